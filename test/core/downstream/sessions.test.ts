import { afterEach, describe, expect, it, vi } from 'vitest'
import { LOCAL_USER } from '../../../core/auth.ts'
import { EventStore } from '../../../core/downstream/event-store.ts'
import { createSessions } from '../../../core/downstream/sessions.ts'
import { Shelf } from '../../../core/downstream/shelf.ts'
import { createKeys } from '../../../core/keys.ts'
import { memoryStore } from '../../../core/store.ts'
import { openStandingChannel } from '../../../core/downstream/channel.ts'

const DAY = 24 * 3_600_000
const start = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }

function create(store = memoryStore()) {
  const keys = createKeys(['a'.repeat(32)])
  const sessions = createSessions({ keys, store, life: DAY })
  /** As after a restart: same keys, same store, empty memory. */
  return { sessions, again: () => createSessions({ keys, store, life: DAY }) }
}

afterEach(() => void vi.useRealTimers())

describe('sessions', () => {
  it('are known by id, also where memory was lost', async () => {
    const { sessions, again } = create()
    const session = sessions.open(start, LOCAL_USER)
    expect(await sessions.find(session.id, LOCAL_USER)).toBe(session)
    const found = await again().find(session.id, LOCAL_USER)
    expect(found).toMatchObject({ id: session.id, party: session.party, protocolVersion: '2025-11-25' })
  })

  it('asked for twice at once are one', async () => {
    const { sessions, again } = create()
    const { id } = sessions.open(start, LOCAL_USER)
    const fresh = again()
    const [one, two] = await Promise.all([fresh.find(id, LOCAL_USER), fresh.find(id, LOCAL_USER)])
    expect(one).toBeDefined()
    expect(one).toBe(two)
  })

  it('end after their life, in memory and out of it', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const { sessions, again } = create()
    const { id } = sessions.open(start, LOCAL_USER)
    vi.setSystemTime(Date.now() + DAY - 1)
    expect(await sessions.find(id, LOCAL_USER)).toBeDefined()
    expect(await again().find(id, LOCAL_USER)).toBeDefined()
    vi.setSystemTime(Date.now() + 2)
    expect(await sessions.find(id, LOCAL_USER)).toBeUndefined()
    expect(await again().find(id, LOCAL_USER)).toBeUndefined()
  })

  it('once ended stay ended for others on the same store, and their calls are aborted', async () => {
    const { sessions, again } = create()
    const session = sessions.open(start, LOCAL_USER)
    const call = new AbortController()
    session.calls.set(1, call)
    await sessions.end(session)
    expect(call.signal.aborted).toBe(true)
    expect(await sessions.find(session.id, LOCAL_USER)).toBeUndefined()
    expect(await again().find(session.id, LOCAL_USER)).toBeUndefined()
  })

  it('keep what the client has set, for as long as they last', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const store = memoryStore()
    const { sessions, again } = create(store)
    const session = sessions.open(start, LOCAL_USER)
    expect(await again().find(session.id, LOCAL_USER)).not.toHaveProperty('level')
    Object.assign(session, { level: 'error', uris: new Set(['x://1', 'x://2']) })
    await sessions.save(session)
    const found = await again().find(session.id, LOCAL_USER)
    expect(found).toMatchObject({ level: 'error', uris: new Set(['x://1', 'x://2']) })
    vi.setSystemTime(Date.now() + DAY - 1)
    expect(await again().find(session.id, LOCAL_USER)).toMatchObject({ level: 'error' })
    vi.setSystemTime(Date.now() + 2)
    expect(await store.sweep()).toBe(1)
  })

  it('leave no row of what was set once they are ended', async () => {
    const store = memoryStore()
    const { sessions, again } = create(store)
    const session = sessions.open(start, LOCAL_USER)
    session.level = 'debug'
    await sessions.save(session)
    await sessions.end(session)
    await sessions.save(session)
    const rows = async (collection: string) => {
      let count = 0
      for await (const _ of store.scan(collection)) count++
      return count
    }
    expect([await rows('session-settings'), await rows('session-ended')]).toEqual([0, 1])
    expect(await again().find(session.id, LOCAL_USER)).toBeUndefined()
  })

  it('have ids that fit a header whatever the client declares', async () => {
    const { sessions } = create()
    const big = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`k${index}`, {}]))
    const session = sessions.open(
      {
        protocolVersion: '2025-11-25',
        capabilities: { elicitation: big, sampling: {}, experimental: big, roots: 'yes' },
        clientInfo: { name: 'n'.repeat(5000), version: 7, icons: ['x'.repeat(5000)] },
      },
      LOCAL_USER,
    )
    expect(session.id.length).toBeLessThan(2000)
    expect(session.id).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(session.capabilities).toEqual({ elicitation: {}, sampling: {} })
    expect(session.clientInfo).toEqual({ name: 'n'.repeat(64), version: '' })
    for (const odd of [null, [], 'text', undefined]) {
      const { capabilities, clientInfo } = sessions.open({ ...start, capabilities: odd, clientInfo: odd }, LOCAL_USER)
      expect([capabilities, clientInfo]).toEqual([{}, {}])
    }
  })

  it('are forgotten beyond 10,000, those in use last; the forgotten are found by their id again', async () => {
    const { sessions } = create()
    const busy = sessions.open(start, LOCAL_USER)
    busy.calls.set(1, new AbortController())
    const streaming = sessions.open(start, LOCAL_USER)
    const subscription = { set: async () => new Map(), close: () => {} }
    streaming.stream = { channel: openStandingChannel(() => {}), subscription }
    const asking = sessions.open(start, LOCAL_USER)
    asking.asks = new Map([['q', { owner: undefined, settle: () => {}, withdraw: () => {} }]])
    const idle = sessions.open(start, LOCAL_USER)
    idle.events = new EventStore(new Shelf())
    const log = idle.events.open()
    log?.send({ jsonrpc: '2.0', method: 'note' })
    log?.finish()
    expect(log?.bytes).toBeGreaterThan(0)
    const used = sessions.open(start, LOCAL_USER)
    for (let count = 5; count < 10_000; count++) sessions.open(start, LOCAL_USER)
    await sessions.find(used.id, LOCAL_USER)
    for (let count = 0; count < 10; count++) sessions.open(start, LOCAL_USER)
    const live = new Set(sessions.live())
    expect(live.size).toBe(10_000)
    expect([busy, streaming, asking, idle, used].map((session) => live.has(session))).toEqual([
      true,
      true,
      true,
      false,
      true,
    ])
    expect(await sessions.find(idle.id, LOCAL_USER)).toMatchObject({ party: idle.party })
    expect(log?.bytes).toBe(0)
    streaming.stream.channel.close()
  })
})
