import { describe, expect, it } from 'vitest'
import { createGateway } from '../../../core/gateway/gateway.ts'
import { mergeInstructions } from '../../../core/gateway/instructions.ts'
import { Names } from '../../../core/gateway/names.ts'
import type { Source } from '../../../core/gateway/source.ts'
import { captureLog } from '../../harness.ts'
import { SETTLED, sourceOf, toolsOf, userWith } from '../../fixtures/core/source.ts'

const saying = (name: string, instructions: string) => sourceOf(name, { tools: toolsOf('one') }, { instructions })

describe('instructions', () => {
  it('are merged in the order of the configuration, each under the name of its server', () => {
    expect(mergeInstructions([saying('b', 'Be brief.\n'), sourceOf('mute'), saying('a', 'Ask first.')])).toBe(
      '## b\n\nBe brief.\n\n## a\n\nAsk first.',
    )
    expect(mergeInstructions([sourceOf('mute'), saying('blank', ' \n ')])).toBeUndefined()
  })

  it('have a limit in all, which takes from who says too much and from nobody else', () => {
    const text = mergeInstructions([
      saying('long', '😀'.repeat(50_000)),
      saying('short', 'Be brief.'),
      saying('l2', 'y'.repeat(50_000)),
    ])
    expect(text?.length).toBeLessThanOrEqual(16_000)
    expect(text?.length).toBeGreaterThan(15_900)
    expect(text).toContain('## short\n\nBe brief.\n\n')
    expect(text).toMatch(/😀…\n\n## short/)
    expect(text?.endsWith('y…')).toBe(true)
    // Half a character would be no text any more.
    expect(Buffer.from(text ?? '').toString()).toBe(text)
  })

  it('are those of the servers that a principal may use, as of the last refresh', () => {
    const { logger } = captureLog()
    const all: Source[] = [saying('a', 'Of a.'), saying('b', 'Of b.')]
    const names = { tools: new Names(64), prompts: new Names(64) }
    const gateway = createGateway({ sources: { all, ...SETTLED }, names, middleware: [], logger, firstListWait: 1 })
    const anybody = { id: 'local', roles: [] }
    expect(gateway.instructions(anybody)).toBe('## a\n\nOf a.\n\n## b\n\nOf b.')
    expect(gateway.instructions(userWith('b_*'))).toBe('## b\n\nOf b.')
    expect(gateway.instructions(userWith('c_*'))).toBeUndefined()
    all[0] = saying('a', 'New of a.')
    gateway.refresh([])
    expect(gateway.instructions(anybody)).toBe('## a\n\nNew of a.\n\n## b\n\nOf b.')
    gateway.close()
  })
})
