import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ConnectionError, RpcError } from '../../../core/errors.ts'
import { complete, type Call } from '../../../core/gateway/call.ts'
import { EMPTY_LISTS } from '../../../core/gateway/source.ts'
import type { KeptLists, Known } from '../../../core/upstream/kept-lists.ts'
import { createOffer } from '../../../core/upstream/offer.ts'
import type { JsonObject } from '../../../core/wire/jsonrpc.ts'
import { fakeInstance, type FakeInstance } from '../../fixtures/core/instance.ts'
import { memoryLogger } from '../../fixtures/transport/context.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const KEYS: Readonly<Record<string, string>> = {
  'tools/list': 'tools',
  'prompts/list': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
}
const capabilities: JsonObject = { tools: {}, prompts: {}, resources: {} }
const settle = () => vi.advanceTimersByTimeAsync(0)
const LIMIT = 5000

function make(known?: Known) {
  const { logger, lines } = memoryLogger()
  const written: Known[] = []
  const kept: KeptLists = {
    read: async () => known,
    write: (what) => void written.push(what),
    close: async () => {},
    leave: async () => {},
  }
  const end = new AbortController()
  const onlists = vi.fn<(kinds: readonly string[]) => void>()
  const offer = createOffer({ known, kept, logger, signal: end.signal, isSplit: () => true, onlists })
  return { offer, lines, written, onlists, end, load: (from: FakeInstance) => offer.load(from, end.signal, LIMIT) }
}

/** An instance that lists these tools, and nothing else, unless `answer` knows better. */
function listing(
  tools: () => readonly string[],
  answer: (call: Call) => Promise<JsonObject> | undefined = () => undefined,
  instructions?: string,
  era: 'legacy' | 'modern' = 'legacy',
) {
  const asked: string[] = []
  const instance = fakeInstance({
    era,
    about: { capabilities, ...(instructions !== undefined && { instructions }) },
    async call(call) {
      asked.push(call.method)
      const given = await answer(call)
      if (given !== undefined) return complete(given)
      const names = call.method === 'tools/list' ? tools() : []
      return complete({ [KEYS[call.method]!]: names.map((name) => ({ name })) })
    },
  })
  return { instance, asked }
}

/** Answers that come when they are told to. */
function held() {
  const waiting: (() => void)[] = []
  return { wait: () => new Promise<undefined>((resolve) => waiting.push(() => resolve(undefined))), waiting }
}

const namesOf = ({ offer }: ReturnType<typeof make>) => offer.lists.tools.map(({ name }) => name)

describe('what a server offers', () => {
  it('is nothing before it is read, and then what it lists', async () => {
    const made = make()
    expect(made.offer).toMatchObject({ known: false, lists: EMPTY_LISTS, instructions: undefined })
    await made.load(listing(() => ['a', 'b'], undefined, 'be kind').instance)
    expect(made.offer).toMatchObject({ known: true, instructions: 'be kind' })
    expect(namesOf(made)).toEqual(['a', 'b'])
    expect(made.onlists.mock.calls).toEqual([[['tools']]])
  })

  it('is what an earlier run knew, until it is read', async () => {
    const lists = { ...EMPTY_LISTS, tools: [{ name: 'old' }] }
    const made = make({ lists, instructions: 'old words', split: false })
    expect(made.offer).toMatchObject({ known: true, lists, instructions: 'old words' })
    await made.load(listing(() => ['new']).instance)
    expect(namesOf(made)).toEqual(['new'])
    expect(made.offer.instructions).toBeUndefined()
  })

  it('is kept for the next run, also when nothing is new: its time starts anew', async () => {
    const { load, written } = make()
    const { instance } = listing(() => ['a'])
    await load(instance)
    expect(written.at(-1)).toEqual({ lists: { ...EMPTY_LISTS, tools: [{ name: 'a' }] }, split: true })
    const before = written.length
    await load(instance)
    expect(written.length).toBeGreaterThan(before)
  })

  it('that is the same as before is no change', async () => {
    const { load, onlists } = make({ lists: { ...EMPTY_LISTS, tools: [{ name: 'a' }] }, split: false })
    await load(listing(() => ['a']).instance)
    expect(onlists).not.toHaveBeenCalled()
  })

  it('and its words have changed: that is told too', async () => {
    const { load, onlists, written } = make({ lists: EMPTY_LISTS, instructions: 'old', split: false })
    await load(listing(() => [], undefined, 'new').instance)
    expect(onlists).toHaveBeenCalledTimes(1)
    expect(written.at(-1)).toMatchObject({ instructions: 'new' })
  })

  it('and never comes is an error after the limit', async () => {
    const made = make()
    const { instance } = listing(
      () => [],
      (call) =>
        new Promise((_, reject) => {
          const gone = () => reject(new ConnectionError('given up', { delivered: true, lost: false }))
          call.signal.addEventListener('abort', gone)
        }),
    )
    const loading = made.load(instance).catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(LIMIT)
    expect(await loading).toMatchObject({ message: 'its lists did not come within 5 s' })
    expect(made.offer.known).toBe(false)
  })

  it('of a connection that is lost meanwhile is that error', async () => {
    const { load, offer } = make()
    const lost = new ConnectionError('exited with code 1', { delivered: true, lost: true })
    await expect(
      load(
        listing(
          () => [],
          () => Promise.reject(lost),
        ).instance,
      ),
    ).rejects.toBe(lost)
    expect(offer.known).toBe(false)
  })
})

describe('a changed list', () => {
  it('alone is read again, and told if it differs', async () => {
    let tools = ['a']
    const made = make()
    const { instance, asked } = listing(() => tools)
    await made.load(instance)
    made.onlists.mockClear()
    asked.length = 0
    made.offer.changed(instance, ['tools'])
    await settle()
    expect(asked).toEqual(['tools/list'])
    expect(made.onlists).not.toHaveBeenCalled()
    tools = ['a', 'b']
    made.offer.changed(instance, ['tools'])
    await settle()
    expect(made.onlists.mock.calls).toEqual([[['tools']]])
    expect(namesOf(made)).toEqual(['a', 'b'])
  })

  it('is read one at a time; what is said meanwhile is read once more', async () => {
    const { wait, waiting } = held()
    let reading = 0
    let most = 0
    let reads = 0
    const made = make()
    const { instance } = listing(
      () => [`r${reads}`],
      async () => {
        most = Math.max(most, ++reading)
        await wait()
        reading--
        reads++
        return undefined as never
      },
    )
    for (let count = 0; count < 100; count++) made.offer.changed(instance, ['tools'])
    await settle()
    for (let count = 0; count < 100; count++) made.offer.changed(instance, ['tools'])
    while (waiting.length > 0) {
      waiting.shift()?.()
      await settle()
    }
    expect(most).toBe(1)
    expect(reads).toBe(2)
    expect(namesOf(made)).toEqual(['r2'])
  })

  it('is read after a reading of everything that is under way', async () => {
    let tools = ['old']
    const { wait, waiting } = held()
    const made = make()
    const { instance } = listing(
      () => tools,
      async ({ method }) => {
        if (method === 'prompts/list') await wait()
        return undefined as never
      },
    )
    const loading = made.load(instance)
    await settle()
    tools = ['new']
    made.offer.changed(instance, ['tools'])
    await settle()
    expect(namesOf(made)).toEqual([])
    waiting.shift()?.()
    await loading
    await settle()
    expect(namesOf(made)).toEqual(['new'])
  })

  it('that cannot be read stays as it was, and the others are read', async () => {
    let broken = false
    const made = make()
    const { instance } = listing(
      () => ['a'],
      async ({ method }) => {
        if (broken && method === 'tools/list') throw new RpcError(-32603, 'database locked')
        return (broken && method === 'prompts/list' ? { prompts: [{ name: 'p' }] } : undefined) as never
      },
    )
    await made.load(instance)
    broken = true
    made.onlists.mockClear()
    made.offer.changed(instance, ['tools', 'prompts'])
    await settle()
    expect(namesOf(made)).toEqual(['a'])
    expect(made.offer.lists.prompts).toEqual([{ name: 'p' }])
    expect(made.onlists.mock.calls).toEqual([[['prompts']]])
    expect(made.lines).toContain('warn: tools/list failed: database locked')
  })

  it('of an instance that is gone is a warning, and the next one is read', async () => {
    const made = make()
    const lost = new ConnectionError('gone', { delivered: false, lost: true })
    made.offer.changed(
      listing(
        () => [],
        () => Promise.reject(lost),
      ).instance,
      ['tools'],
    )
    made.offer.changed(listing(() => ['a']).instance, ['tools'])
    await settle()
    expect(made.lines).toEqual(['warn: the changed list could not be read: gone'])
    expect(namesOf(made)).toEqual(['a'])
  })

  it('is not read any more once all is over', async () => {
    const made = make()
    const { instance, asked } = listing(() => ['a'])
    made.offer.changed(instance, ['tools'])
    made.end.abort()
    await settle()
    expect(asked).toEqual([])
    expect(made.lines).toEqual([])
  })
})

describe('a list that may have changed, unheard', () => {
  it('is read at once, and then once in half a minute for all instances that say so', async () => {
    const made = make()
    const [one, other, gone] = ['a', 'b', 'c'].map((name) => listing(() => [name]))
    made.offer.missed(one!.instance, ['tools', 'prompts'])
    await settle()
    expect(one!.asked).toEqual(['tools/list', 'prompts/list'])
    for (const { instance } of [gone!, other!, other!]) made.offer.missed(instance, ['tools'])
    gone!.instance.end()
    await vi.advanceTimersByTimeAsync(29_999)
    expect(other!.asked).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(other!.asked).toEqual(['tools/list'])
    expect(gone!.asked).toEqual([])
    made.offer.missed(one!.instance, ['tools'])
    await settle()
    expect(one!.asked).toHaveLength(2)
    // What is said to have changed is read at once all the same.
    made.offer.changed(one!.instance, ['tools'])
    await settle()
    expect(one!.asked).toHaveLength(3)
    await vi.advanceTimersByTimeAsync(30_000)
    expect(one!.asked).toHaveLength(4)
    await vi.advanceTimersByTimeAsync(600_000)
    made.offer.missed(other!.instance, ['tools'])
    await settle()
    expect(other!.asked).toHaveLength(2)
  })
})

describe('a list that lasts for a while', () => {
  const lasting = (tools: () => readonly string[], era: 'legacy' | 'modern' = 'modern') =>
    listing(
      tools,
      async ({ method }) =>
        (method === 'tools/list'
          ? { tools: tools().map((name) => ({ name })), ttlMs: 60_000, cacheScope: 'public' }
          : undefined) as never,
      undefined,
      era,
    )
  const reads = (asked: readonly string[]) => asked.filter((method) => method === 'tools/list').length

  it('is read again after it, again and again, while its instance is up', async () => {
    let tools = ['a']
    const made = make()
    const { instance, asked } = lasting(() => tools)
    await made.load(instance)
    expect(made.offer.caching.tools).toEqual({ ttlMs: 60_000, cacheScope: 'public' })
    await vi.advanceTimersByTimeAsync(59_999)
    expect(reads(asked)).toBe(1)
    tools = ['b']
    await vi.advanceTimersByTimeAsync(1)
    expect(reads(asked)).toBe(2)
    expect(namesOf(made)).toEqual(['b'])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(reads(asked)).toBe(3)
    instance.end()
    await vi.advanceTimersByTimeAsync(600_000)
    expect(reads(asked)).toBe(3)
  })

  it('is told of when only that has changed', async () => {
    const made = make({ lists: { ...EMPTY_LISTS, tools: [{ name: 'a' }] }, split: false })
    await made.load(lasting(() => ['a']).instance)
    expect(made.onlists.mock.calls).toEqual([[[]]])
    await made.load(listing(() => ['a']).instance)
    expect(made.offer.caching).toEqual({})
    expect(made.onlists).toHaveBeenCalledTimes(2)
  })

  it('of a legacy server says nothing of the kind', async () => {
    const made = make()
    const { instance, asked } = lasting(() => ['a'], 'legacy')
    await made.load(instance)
    expect(made.offer.caching).toEqual({})
    await vi.advanceTimersByTimeAsync(600_000)
    expect(reads(asked)).toBe(1)
  })
})
