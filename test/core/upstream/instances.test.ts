import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Isolation } from '../../../core/config/resolved.ts'
import { RpcError } from '../../../core/errors.ts'
import type { Peer } from '../../../core/gateway/call.ts'
import { createBreaker } from '../../../core/upstream/breaker.ts'
import { createInstances } from '../../../core/upstream/instances.ts'
import { createIsolation, isolationOf, type Client } from '../../../core/upstream/isolation.ts'
import { createSlot, type Slot } from '../../../core/upstream/slot.ts'
import { fakeInstance, type FakeInstance } from '../../fixtures/core/instance.ts'
import { peerOf } from '../../fixtures/core/source.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** The instances of one server; `refuse`: resources that it cannot be subscribed to. */
function make(
  mode: Isolation,
  { isSplit = false, refuse = [] as readonly string[], isStateless = false, isCheap = false } = {},
) {
  const breaker = createBreaker()
  const created: { readonly peer: Client; readonly slot: Slot; readonly opened: FakeInstance[] }[] = []
  const onsplit = vi.fn<() => void>()
  const watch = async (uris: ReadonlySet<string>) =>
    new Map(refuse.filter((uri) => uris.has(uri)).map((uri) => [uri, new RpcError(-32002, `no ${uri}`)]))
  function slotOf(opened: FakeInstance[], idleStop?: number): Slot {
    return createSlot({
      async open() {
        const instance = fakeInstance({ watch })
        opened.push(instance)
        return instance
      },
      breaker,
      ...(idleStop !== undefined && { idleStop }),
      onopen: () => {},
      ongone: () => {},
    })
  }
  const firsts: FakeInstance[] = []
  const primary = slotOf(firsts)
  const instances = createInstances({
    rule: createIsolation(mode, { isSplit, isCheap }),
    primary,
    isStateless: () => isStateless,
    create(peer) {
      const opened: FakeInstance[] = []
      const slot = slotOf(opened, 600_000)
      created.push({ peer, slot, opened })
      return slot
    },
    onsplit,
  })
  return { instances, primary, firsts, created, onsplit }
}

const user = (id: string) => ({ id, roles: [] })
const [alice, bob, carol] = [peerOf('alice'), peerOf('bob'), peerOf('carol')]
const never = new AbortController().signal
const settle = () => vi.advanceTimersByTimeAsync(0)
const wish = (...uris: string[]) => new Set(uris)

describe('who gets which instance', () => {
  it('shared: everybody the same', () => {
    const { instances, primary, onsplit } = make('shared')
    for (const peer of [alice, bob, peerOf('alice', user('other'))]) expect(instances.slotFor(peer)).toBe(primary)
    instances.split()
    expect(onsplit).not.toHaveBeenCalled()
    expect(instances.slotFor(bob)).toBe(primary)
  })

  it('user: the first user the first one, each other user one of their own, whatever the session', () => {
    const { instances, primary, created } = make('user')
    expect(instances.slotFor(peerOf('s1', user('alice')))).toBe(primary)
    const bobs = instances.slotFor(peerOf('s2', user('bob')))
    expect(bobs).not.toBe(primary)
    expect(instances.slotFor(peerOf('s3', user('alice')))).toBe(primary)
    expect(instances.slotFor(peerOf('s4', user('bob')))).toBe(bobs)
    expect(created).toHaveLength(1)
    expect(created[0]?.peer.principal.id).toBe('bob')
  })

  it('session: each one of their own; the first one is for lists alone', () => {
    const { instances, primary, created } = make('session')
    const slots = [alice, bob, alice].map((peer) => instances.slotFor(peer))
    expect(slots).not.toContain(primary)
    expect(slots[0]).toBe(slots[2])
    expect(new Set(slots).size).toBe(2)
    expect(created.map(({ peer }) => peer.party)).toEqual(['alice', 'bob'])
  })

  it('keeps nothing of the call that it was first needed for', () => {
    const { instances, created } = make('session')
    instances.slotFor({ ...alice, params: { large: true } } as Peer)
    expect(Object.keys(created[0]?.peer ?? {}).toSorted()).toEqual(['client', 'party', 'principal'])
  })

  it('a user and a party of one name are not mixed up', () => {
    const rule = createIsolation('user')
    expect(rule.keyOf(peerOf('p', user('x')))).not.toBe(createIsolation('session').keyOf(peerOf('x')))
  })

  describe('what one party declares differently from request to request', () => {
    const declaring = (party: string, capabilities: object) => ({
      ...peerOf(party, user(party)),
      client: { capabilities } as never,
    })
    const [plain, rooted] = [declaring('alice', { sampling: {} }), declaring('alice', { sampling: {}, roots: {} })]

    it('session: has an instance each, which end together', async () => {
      const { instances, created } = make('session')
      const slots = [plain, rooted, plain, rooted].map((peer) => instances.slotFor(peer))
      expect([slots[0] === slots[2], slots[1] === slots[3], slots[0] === slots[1]]).toEqual([true, true, false])
      await Promise.all(created.map(({ slot }) => slot.acquire(never)))
      instances.release('alic')
      expect(instances.slotFor(rooted)).toBe(slots[1])
      instances.release('alice')
      await settle()
      expect(created.map(({ opened }) => opened[0]?.isClosed)).toEqual([true, true])
    })

    it('user: the calls of a user that are one party have what they declare; the first instance is for all else', () => {
      const { instances, primary } = make('user', { isCheap: true })
      const usual = declaring('alice', { elicitation: {}, sampling: {} })
      const own = instances.slotFor(rooted)
      expect(own).not.toBe(primary)
      expect(instances.slotFor(plain)).not.toBe(own)
      expect(instances.slotFor(plain)).not.toBe(primary)
      expect(instances.slotFor(usual)).toBe(primary)
      expect(instances.slotFor(rooted)).toBe(own)
      expect(instances.slotFor({ ...rooted, party: 's1' })).toBe(primary)
    })

    it('user: a program that is started costs more than that, and is one for the user', () => {
      const { instances, primary } = make('user')
      expect([plain, rooted].map((peer) => instances.slotFor(peer))).toEqual([primary, primary])
    })

    it('makes no difference to a stateless server', () => {
      const rules = (['user', 'session'] as const).map((mode) =>
        createIsolation(mode, { isCheap: true, isStateless: () => true }),
      )
      for (const rule of rules) expect(rule.keyOf(rooted)).toBe(rule.keyOf(plain))
    })
  })

  it('is `auto` for programs, `user` for servers elsewhere, unless the entry says otherwise', () => {
    const server = (entry: object, settings: object = {}) => isolationOf({ entry, settings } as never)
    expect(server({ command: 'x' })).toBe('auto')
    expect(server({ url: 'http://127.0.0.1' })).toBe('user')
    expect(server({ url: 'http://127.0.0.1' }, { isolate: 'session' })).toBe('session')
    expect(server({ command: 'x' }, { isolate: 'shared' })).toBe('shared')
  })
})

describe('auto', () => {
  it('is shared until the server shows state', () => {
    const { instances, primary, created } = make('auto')
    for (const peer of [alice, bob]) expect(instances.slotFor(peer)).toBe(primary)
    expect(created).toEqual([])
  })

  it('with one party so far: that one keeps the instance which knows it', () => {
    const { instances, primary, onsplit } = make('auto')
    instances.slotFor(alice)
    instances.slotFor(alice)
    instances.split()
    instances.split()
    expect(onsplit).toHaveBeenCalledTimes(1)
    expect(instances.slotFor(alice)).toBe(primary)
    expect(instances.slotFor(bob)).not.toBe(primary)
  })

  it('with several so far: none of them keeps what all have used', () => {
    const { instances, primary } = make('auto')
    for (const peer of [alice, bob, alice]) instances.slotFor(peer)
    instances.split()
    const slots = [alice, bob, carol].map((peer) => instances.slotFor(peer))
    expect(slots).not.toContain(primary)
    expect(new Set(slots).size).toBe(3)
  })

  it('with nobody so far: the first one is for lists alone', () => {
    const { instances, primary, onsplit } = make('auto')
    instances.split()
    expect(onsplit).toHaveBeenCalledTimes(1)
    expect(instances.slotFor(alice)).not.toBe(primary)
  })

  it('of a server that showed state in an earlier run: split from the start', () => {
    const { instances, primary, onsplit } = make('auto', { isSplit: true })
    expect(instances.slotFor(alice)).not.toBe(primary)
    instances.split()
    expect(onsplit).not.toHaveBeenCalled()
  })

  it('stays shared by those who subscribe to a server that keeps nothing', async () => {
    const { instances, primary, onsplit } = make('auto', { isStateless: true })
    for (const peer of [alice, bob]) await instances.watch(peer, wish('a'))
    expect(onsplit).not.toHaveBeenCalled()
    for (const peer of [alice, bob]) expect(instances.slotFor(peer)).toBe(primary)
    expect(instances.watchersOf(primary)).toEqual(['alice', 'bob'])
  })

  it('splits with the first subscription', async () => {
    const { instances, primary, onsplit } = make('auto')
    await instances.watch(alice, wish())
    expect(onsplit).not.toHaveBeenCalled()
    for (const peer of [alice, bob]) instances.slotFor(peer)
    await instances.watch(alice, wish('a'))
    expect(onsplit).toHaveBeenCalledTimes(1)
    expect(instances.slotFor(alice)).not.toBe(primary)
  })
})

describe('release', () => {
  it('ends what served the party alone, and nobody else’s', async () => {
    const { instances, created } = make('session')
    for (const peer of [alice, bob]) await instances.slotFor(peer).acquire(never)
    instances.release('alice')
    instances.release('nobody')
    await settle()
    expect(created.map(({ opened }) => opened[0]?.isClosed)).toEqual([true, false])
    expect(instances.slotFor(alice)).not.toBe(created[0]?.slot)
  })

  it('of who adopted the first instance renews it: the next one must not find what it remembers', async () => {
    const { instances, primary, firsts } = make('auto')
    await instances.slotFor(alice).acquire(never)
    instances.split()
    instances.release('alice')
    expect(firsts[0]?.isClosed).toBe(true)
    await settle()
    expect(firsts).toHaveLength(2)
    expect(instances.slotFor(alice)).not.toBe(primary)
  })

  it('of a user’s session leaves the user’s instance to the other sessions', async () => {
    const { instances, firsts, created } = make('user')
    await instances.slotFor(peerOf('s1', user('alice'))).acquire(never)
    await instances.slotFor(peerOf('s2', user('bob'))).acquire(never)
    for (const party of ['s1', 's2']) instances.release(party)
    await settle()
    expect(firsts[0]?.isClosed).toBe(false)
    expect(created[0]?.opened[0]?.isClosed).toBe(false)
  })

  it('takes the party’s subscriptions off what it shared with others', async () => {
    const { instances, primary, firsts } = make('shared')
    await instances.watch(alice, wish('a', 'b'))
    await instances.watch(bob, wish('b', 'c'))
    instances.release('alice')
    await settle()
    expect(firsts[0]?.watched.at(-1)).toEqual(['b', 'c'])
    expect(instances.watchersOf(primary)).toEqual(['bob'])
  })

  it('is finished before close is', async () => {
    const { instances, created } = make('session')
    let release: () => void = () => {}
    const wait = new Promise<void>((resolve) => (release = resolve))
    const slot = instances.slotFor(alice)
    const instance = await slot.acquire(never)
    const close = vi.spyOn(instance, 'close').mockReturnValue(wait)
    instances.release('alice')
    let closed = false
    const closing = instances.close().then(() => (closed = true))
    await settle()
    expect(close).toHaveBeenCalled()
    expect(closed).toBe(false)
    release()
    await closing
    expect(created).toHaveLength(1)
  })
})

describe('at most a hundred instances of single clients', () => {
  const parties = Array.from({ length: 100 }, (_, index) => peerOf(`p${index}`))

  it('beyond, the longest unused one gives way', async () => {
    const { instances, created } = make('session')
    for (const peer of parties) await instances.slotFor(peer).acquire(never)
    instances.slotFor(parties[0]!)
    await instances.slotFor(alice).acquire(never)
    await settle()
    expect(created.map(({ opened }) => opened[0]?.isClosed)).toEqual(created.map((_, index) => index === 1))
    expect(instances.slotFor(parties[0]!)).toBe(created[0]?.slot)
    expect(instances.slotFor(alice)).toBe(created[100]?.slot)
  })

  it('one with a call, a subscription or an opening under way does not', async () => {
    const { instances, created } = make('session')
    const [calling, watching, opening] = parties
    const instance = await instances.slotFor(calling!).acquire(never)
    instances.slotFor(calling!).enter(instance)
    await instances.watch(watching!, wish('a'))
    const acquiring = instances.slotFor(opening!).acquire(never)
    for (const peer of parties.slice(3)) instances.slotFor(peer)
    const given = vi.spyOn(created[3]!.slot, 'close')
    instances.slotFor(alice)
    expect(given).toHaveBeenCalledTimes(1)
    expect(await acquiring).toBe(created[2]?.opened[0])
    expect(created.slice(0, 3).map(({ opened }) => opened[0]?.isClosed)).toEqual([false, false, false])
  })

  it('when all are busy, one more is refused; when one is free again, it is not', async () => {
    const { instances, created } = make('session')
    for (const peer of parties) {
      const slot = instances.slotFor(peer)
      slot.enter(await slot.acquire(never))
    }
    expect(() => instances.slotFor(alice)).toThrow(/busy with 100 clients; try again later/)
    expect(instances.slotFor(parties[7]!)).toBe(created[7]?.slot)
    created[7]!.slot.leave(created[7]!.opened[0]!)
    expect(instances.slotFor(alice)).toBe(created[100]?.slot)
    await settle()
    expect(created[7]?.opened[0]?.isClosed).toBe(true)
  })
})

describe('subscriptions', () => {
  it('of several parties are counted: the server hears of the first and of the last', async () => {
    const { instances, primary, firsts } = make('shared')
    await instances.watch(alice, wish('a'))
    await instances.watch(bob, wish('a', 'b'))
    expect(firsts[0]?.watched.at(-1)).toEqual(['a', 'b'])
    expect(instances.watchersOf(primary)).toEqual(['alice', 'bob'])
    await instances.watch(bob, wish())
    expect(firsts[0]?.watched.at(-1)).toEqual(['a'])
    expect(instances.watchersOf(primary)).toEqual(['alice'])
    await instances.watch(alice, wish())
    expect(firsts[0]?.watched.at(-1)).toEqual([])
    expect(instances.watchersOf(primary)).toEqual([])
  })

  it('go to the instance of the party, and its news to that party alone', async () => {
    const { instances, created, firsts } = make('session')
    await instances.watch(alice, wish('a'))
    await instances.watch(bob, wish('a'))
    expect(firsts).toEqual([])
    expect(created.map(({ slot }) => instances.watchersOf(slot))).toEqual([['alice'], ['bob']])
  })

  it('that end open nothing', async () => {
    const { instances, created, firsts } = make('session')
    await instances.watch(alice, wish())
    expect([created, firsts]).toEqual([[], []])
  })

  it('that the server refuses are rejected with its error, and the wish is as it was', async () => {
    const { instances, primary, firsts } = make('shared', { refuse: ['bad'] })
    await instances.watch(alice, wish('a'))
    await expect(instances.watch(alice, wish('a', 'bad'))).rejects.toMatchObject({ code: -32002, message: 'no bad' })
    await settle()
    expect(firsts[0]?.watched.at(-1)).toEqual(['a'])
    expect(instances.watchersOf(primary)).toEqual(['alice'])
  })

  it('that are refused to one are no error of another', async () => {
    const { instances, primary, firsts } = make('shared', { refuse: ['bad'] })
    const [bad, good] = await Promise.allSettled([
      instances.watch(alice, wish('bad')),
      instances.watch(bob, wish('good')),
    ])
    expect([bad.status, good.status]).toEqual(['rejected', 'fulfilled'])
    await settle()
    expect(firsts[0]?.watched.at(-1)).toEqual(['good'])
    expect(instances.watchersOf(primary)).toEqual(['bob'])
  })

  it('that are refused take back no later wish of the same party', async () => {
    const { instances, primary, firsts } = make('shared', { refuse: ['bad'] })
    await primary.acquire(never)
    await Promise.allSettled([instances.watch(alice, wish('bad')), instances.watch(alice, wish('good'))])
    await settle()
    expect(firsts[0]?.watched.at(-1)).toEqual(['good'])
    expect(instances.watchersOf(primary)).toEqual(['alice'])
  })

  it('that were refused keep no instance from resting', async () => {
    const { instances, created } = make('session', { refuse: ['bad'] })
    await expect(instances.watch(alice, wish('bad'))).rejects.toThrow('no bad')
    await vi.advanceTimersByTimeAsync(600_000)
    expect(created[0]?.opened[0]?.isClosed).toBe(true)
  })
})
