import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../core/auth.ts'
import { buildCatalogue } from '../../../core/gateway/catalogue.ts'
import { Names } from '../../../core/gateway/names.ts'
import { PAGE_SIZE, Pages } from '../../../core/gateway/pages.ts'
import { sourceOf, toolsOf, userWith } from '../../fixtures/core/source.ts'

const EVERYBODY: Principal = { id: 'local', roles: [] }

function pagesOf(count: number): Pages {
  const tools = toolsOf(...Array.from({ length: count }, (_, index) => `t${index}`))
  const names = { tools: new Names(64), prompts: new Names(64) }
  return new Pages(buildCatalogue([sourceOf('s', { tools })], names, () => {}))
}

/** Every tool name, page by page, as a client would read them. */
function read(pages: Pages, principal = EVERYBODY): string[][] {
  const read: string[][] = []
  let cursor: unknown
  do {
    const page = pages.page('tools', principal, cursor)
    read.push((page.tools as { name: string }[]).map(({ name }) => name))
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return read
}

describe('pages', () => {
  it('give 2,500 tools once each, in order', () => {
    const parts = read(pagesOf(2500))
    expect(parts.map((part) => part.length)).toEqual([PAGE_SIZE, PAGE_SIZE, 500])
    expect(parts.flat()).toEqual(Array.from({ length: 2500 }, (_, index) => `s_t${index}`))
  })

  it('give one page without a cursor where everything fits, and an empty one for nothing', () => {
    expect(read(pagesOf(PAGE_SIZE))).toHaveLength(1)
    expect(pagesOf(0).page('tools', EVERYBODY, undefined)).toEqual({ tools: [] })
    expect(pagesOf(0).page('templates', EVERYBODY, undefined)).toEqual({ resourceTemplates: [] })
  })

  it.each(['', 'garbage', 'page-0', 'page-3', 'page--1', 'page-1e3', 'page-99999999', 1, null, {}, [], true])(
    'refuse the cursor %j',
    (cursor) => {
      expect(() => pagesOf(2500).page('tools', EVERYBODY, cursor)).toThrow(
        expect.objectContaining({ code: -32602, message: 'Invalid cursor' }),
      )
    },
  )

  it('are made once per catalogue and permissions', () => {
    const pages = pagesOf(3)
    const someone = userWith('s_t1')
    expect(pages.page('tools', EVERYBODY, undefined)).toBe(pages.page('tools', { id: 'other', roles: [] }, undefined))
    expect(pages.page('tools', someone, undefined)).toBe(pages.page('tools', someone, undefined))
    expect(read(pages, someone)).toEqual([['s_t1']])
  })

  it('are cut after filtering', () => {
    expect(read(pagesOf(2500), userWith('s_t1*')).map((part) => part.length)).toEqual([PAGE_SIZE, 111])
  })
})
