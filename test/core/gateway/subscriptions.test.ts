import { describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../../core/auth.ts'
import { RpcError } from '../../../core/errors.ts'
import { createGateway, type GatewayEvent } from '../../../core/gateway/gateway.ts'
import { Names } from '../../../core/gateway/names.ts'
import type { Source, Sources } from '../../../core/gateway/source.ts'
import { createSubscriptions } from '../../../core/gateway/subscriptions.ts'
import { captureLog } from '../../harness.ts'
import { logOf, peerOf, SETTLED, toolsOf, userWith, watchedSource } from '../../fixtures/core/source.ts'

function open(all: readonly Source[], sources: Omit<Sources, 'all'> = SETTLED) {
  const { logger } = captureLog()
  const names = { tools: new Names(64), prompts: new Names(64) }
  const view: Sources = {
    all,
    get pending() {
      return sources.pending
    },
    settled: sources.settled,
  }
  const gateway = createGateway({ sources: view, names, middleware: [], logger, firstListWait: 1 })
  function ear(party: string, principal?: Principal) {
    const heard: GatewayEvent[] = []
    const peer = peerOf(party, principal)
    return { peer, heard, ...gateway.subscribe(peer, (event) => heard.push(event)) }
  }
  return { gateway, ear }
}

const make = (refuse?: (uris: ReadonlySet<string>) => Error | undefined) => ({
  a: watchedSource(
    'a',
    { tools: toolsOf('one'), resources: [{ uri: 'a://1' }, { uri: 'a://2' }] },
    refuse && { refuse },
  ),
  b: watchedSource('b', { tools: toolsOf('one'), templates: [{ uriTemplate: 'b://{id}' }] }),
})

const resource = (uri: string): GatewayEvent => ({ kind: 'resource', uri })

describe('a wish', () => {
  it('goes to the owners of its resources, the whole of each part', async () => {
    const { a, b } = make()
    const { ear } = open([a, b])
    const one = ear('p')
    expect(await one.set(new Set(['a://1', 'b://7']))).toEqual(new Map())
    expect([a.wishes.get('p'), b.wishes.get('p')]).toEqual([['a://1'], ['b://7']])
    await one.set(new Set(['a://1', 'a://2']))
    expect([a.wishes.get('p'), b.wishes.get('p')]).toEqual([['a://1', 'a://2'], undefined])
    // The same again concerns nobody.
    const told = a.told
    await one.set(new Set(['a://2', 'a://1']))
    expect(a.told).toBe(told)
  })

  it('of a party is what all its subscriptions wish; each ends with its own', async () => {
    const { a, b } = make()
    const { ear } = open([a, b])
    const [one, two, other] = [ear('p'), ear('p'), ear('q')]
    await Promise.all([
      one.set(new Set(['a://1'])),
      two.set(new Set(['a://1', 'a://2'])),
      other.set(new Set(['a://2'])),
    ])
    expect(a.wishes).toEqual(
      new Map([
        ['p', ['a://1', 'a://2']],
        ['q', ['a://2']],
      ]),
    )
    one.close()
    expect(a.wishes.get('p')).toEqual(['a://1', 'a://2'])
    two.close()
    two.close()
    expect(a.wishes).toEqual(new Map([['q', ['a://2']]]))
    expect(await two.set(new Set(['a://1']))).toEqual(new Map())
    expect(a.wishes.has('p')).toBe(false)
  })

  it('for what nobody offers is refused, and granted once somebody does', async () => {
    const { a, b } = make()
    const all: Source[] = [a, b]
    const { gateway, ear } = open(all)
    const one = ear('p')
    const refused = await one.set(new Set(['a://1', 'c://1']))
    expect([...refused.keys()]).toEqual(['c://1'])
    expect(refused.get('c://1')).toMatchObject({ code: -32002, message: 'Resource not found: c://1' })
    const c = watchedSource('c', { tools: toolsOf('one'), resources: [{ uri: 'c://1' }] })
    all.push(c)
    gateway.refresh(['resources'])
    expect(c.wishes.get('p')).toEqual(['c://1'])
    gateway.close()
  })

  it('moves with its resource from one server to another', async () => {
    const { a, b } = make()
    const all: Source[] = [a, b]
    const { gateway, ear } = open(all)
    const one = ear('p')
    await one.set(new Set(['a://1']))
    const first = watchedSource('first', { tools: toolsOf('one'), resources: [{ uri: 'a://1' }] })
    all.unshift(first)
    gateway.refresh(['resources'])
    expect([first.wishes.get('p'), a.wishes.get('p')]).toEqual([['a://1'], undefined])
    gateway.heard(a, { kind: 'resource', uri: 'a://1' })
    expect(one.heard).toEqual([])
    gateway.heard(first, { kind: 'resource', uri: 'a://1' })
    expect(one.heard).toEqual([resource('a://1')])
    gateway.close()
  })

  it('for what a principal may not see is refused like an unknown one', async () => {
    const { a, b } = make()
    const { gateway, ear } = open([a, b])
    const someone = userWith('b_*')
    const refused = await ear('p', someone).set(new Set(['a://1', 'b://1']))
    expect([...refused.values()]).toMatchObject([{ code: -32002, message: 'Resource not found: a://1' }])
    expect(a.wishes.size).toBe(0)
    await expect(gateway.checkResource(someone, 'a://1')).rejects.toMatchObject({ code: -32002 })
    await expect(gateway.checkResource(someone, 'b://1')).resolves.toBeUndefined()
  })

  it('that a server refuses is refused with its words; others are not', async () => {
    const error = new RpcError(-32601, 'server "a" has no subscriptions')
    const { a, b } = make(() => error)
    const { ear } = open([a, b])
    const [one, two] = [ear('p'), ear('p')]
    const wishes = [one.set(new Set(['a://1', 'b://1'])), two.set(new Set(['a://1']))]
    for (const refused of await Promise.all(wishes)) {
      expect([...refused]).toEqual([['a://1', expect.objectContaining({ code: -32601, message: error.message })]])
    }
    expect(b.wishes.get('p')).toEqual(['b://1'])
    // What failed is told again, also where nothing has changed, and is ended too.
    const told = a.told
    await one.set(new Set(['a://1']))
    expect(a.told).toBe(told + 1)
    one.close()
    two.close()
    expect(a.told).toBeGreaterThan(told + 1)
  })

  it('is refused without an inner word when a server fails otherwise', async () => {
    const { a } = make(() => new Error('connect ECONNREFUSED 10.0.0.1'))
    const { ear } = open([a])
    const refused = await ear('p').set(new Set(['a://1']))
    expect(refused.get('a://1')).toMatchObject({ code: -32603, message: 'server "a" could not be subscribed to' })
  })

  it('waits for servers on their first connect', async () => {
    const { a, b } = make()
    const all: Source[] = []
    const { gateway, ear } = open(all, {
      pending: true,
      settled: async () => {
        all.push(a, b)
        gateway.refresh(['resources'])
      },
    })
    expect(await ear('p').set(new Set(['a://1']))).toEqual(new Map())
    expect(a.wishes.get('p')).toEqual(['a://1'])
    gateway.close()
  })

  it('is known to the server when it resolves, also where another subscription has told it', async () => {
    let answer = (): void => {}
    const { a, b } = make()
    const slow = { ...a, watch: () => new Promise<void>((resolve) => void (answer = resolve)) }
    const { ear } = open([slow, b])
    const done: string[] = []
    const wishes = ['one', 'two'].map(async (name) => {
      await ear('p').set(new Set(['a://1']))
      done.push(name)
    })
    await new Promise((resolve) => void setImmediate(resolve))
    expect(done).toEqual([])
    answer()
    await Promise.all(wishes)
    expect(done).toEqual(['one', 'two'])
  })
})

describe('what a server says outside of calls', () => {
  it('of a resource goes to who has subscribed to it, once each', async () => {
    const { a, b } = make()
    const { gateway, ear } = open([a, b])
    const [one, two, other] = [ear('p'), ear('q'), ear('r')]
    await Promise.all([
      one.set(new Set(['a://1'])),
      two.set(new Set(['a://1', 'a://2'])),
      other.set(new Set(['a://2'])),
    ])
    gateway.heard(a, { kind: 'resource', uri: 'a://1' })
    expect([one.heard, two.heard, other.heard]).toEqual([[resource('a://1')], [resource('a://1')], []])
    gateway.heard(a, { kind: 'resource', uri: 'a://1', party: 'q' })
    expect([one.heard.length, two.heard.length]).toEqual([1, 2])
    // Another server has nothing to say about it.
    gateway.heard(b, { kind: 'resource', uri: 'a://1' })
    expect(one.heard.length).toBe(1)
    await one.set(new Set())
    gateway.heard(a, { kind: 'resource', uri: 'a://1' })
    expect([one.heard.length, two.heard.length]).toEqual([1, 3])
  })

  it('of a part of a resource goes to who has subscribed to the whole', async () => {
    const a = watchedSource('a', {
      resources: [{ uri: 'file:///docs' }, { uri: 'file:///docs/' }, { uri: 'file:///do' }],
    })
    const { gateway, ear } = open([a])
    const [whole, folder, near] = [ear('p'), ear('q'), ear('r')]
    await Promise.all([
      whole.set(new Set(['file:///docs', 'file:///docs/'])),
      folder.set(new Set(['file:///docs/'])),
      near.set(new Set(['file:///do'])),
    ])
    gateway.heard(a, { kind: 'resource', uri: 'file:///docs/a/b.md#top' })
    expect([whole.heard, folder.heard, near.heard]).toEqual([
      [resource('file:///docs/a/b.md#top')],
      [resource('file:///docs/a/b.md#top')],
      [],
    ])
    // An endless one is looked up whole, and costs no more.
    gateway.heard(a, { kind: 'resource', uri: `file:///docs/${'/'.repeat(1_000_000)}` })
    expect(whole.heard.length).toBe(1)
  })

  it('for the log goes to the one party', () => {
    const { a } = make()
    const { gateway, ear } = open([a])
    const [one, again, other] = [ear('p'), ear('p'), ear('q')]
    const message = logOf('info', 'hello')
    gateway.heard(a, { kind: 'message', party: 'p', message })
    gateway.heard(a, { kind: 'message', party: 'nobody', message })
    expect([one.heard, again.heard, other.heard]).toEqual([
      [{ kind: 'message', message }],
      [{ kind: 'message', message }],
      [],
    ])
  })
})

describe('parties', () => {
  it('have a peer while they are subscribed: the newest', () => {
    const { gateway, ear } = open([])
    expect(gateway.peerOf('p')).toBeUndefined()
    const [one, two] = [ear('p'), ear('p')]
    expect(gateway.peerOf('p')).toBe(two.peer)
    two.close()
    expect(gateway.peerOf('p')).toBe(one.peer)
    one.close()
    expect(gateway.peerOf('p')).toBeUndefined()
  })

  it('that are gone for good are released everywhere', () => {
    const { a, b } = make()
    const { gateway } = open([a, b])
    gateway.release('p')
    expect([a.gone, b.gone]).toEqual([['p'], ['p']])
  })

  it('come and go by the thousand and leave nothing', async () => {
    const { a, b } = make()
    const subscriptions = createSubscriptions({
      ownerOf: (_, uri) => (uri.startsWith('a:') ? a : uri.startsWith('b:') ? b : undefined),
      more: async () => {},
    })
    const alive = await Promise.all(
      Array.from({ length: 2000 }, async (_, index) => {
        const subscription = subscriptions.open(peerOf(`p${index % 1500}`), () => {})
        await subscription.set(new Set(['a://1', `a://${index}`, `b://${index}`, `nobody://${index}`]))
        return subscription
      }),
    )
    expect(subscriptions.size).toEqual({ parties: 1500, resources: 6000 })
    expect([a.wishes.size, b.wishes.size]).toEqual([1500, 1500])
    subscriptions.changed('tools')
    for (const { close } of alive) close()
    expect(subscriptions.size).toEqual({ parties: 0, resources: 0 })
    expect([a.wishes.size, b.wishes.size]).toEqual([0, 0])
    vi.useFakeTimers()
    subscriptions.close()
    subscriptions.changed('tools')
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })
})
