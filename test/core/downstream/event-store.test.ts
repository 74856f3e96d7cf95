import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openChannel } from '../../../core/downstream/channel.ts'
import type { EventLog } from '../../../core/downstream/event-log.ts'
import { EventStore } from '../../../core/downstream/event-store.ts'
import { Shelf } from '../../../core/downstream/shelf.ts'
import { notification, success } from '../../../core/wire/jsonrpc.ts'

const KIB = 1024
const MIB = 1024 * KIB
const LIFE = 5 * 60_000
/** A message whose event has about so many bytes. */
const note = (bytes: number) => notification('note', { text: 'x'.repeat(bytes) })

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function openLog(store: EventStore): EventLog {
  const log = store.open()
  if (log === undefined) throw new Error('too many')
  return log
}

function openStore() {
  const shelf = new Shelf()
  const store = new EventStore(shelf)
  return { shelf, store, log: () => openLog(store) }
}

/** What a client gets that comes back after that event. */
async function replay(log: EventLog, after: number): Promise<string> {
  const channel = openChannel(() => {})
  log.attach(channel, after)
  channel.close()
  return new Response(channel.body).text()
}

describe('the log of a stream', () => {
  it('gives each event once, with its id, and begins anew with none', async () => {
    const { log: open } = openStore()
    const log = open()
    const channel = openChannel(() => {})
    log.attach(channel)
    for (const text of ['a', 'b']) expect(log.send(notification(text))).toBe(true)
    log.finish()
    const sent = await new Response(channel.body).text()
    expect(sent).toBe(
      ['1', '2']
        .map(
          (id, index) => `id: ${log.name}.${id}\nevent: message\ndata: {"jsonrpc":"2.0","method":"${'ab'[index]}"}\n\n`,
        )
        .join(''),
    )
    expect(await replay(log, 0)).toBe(sent)
    expect(await replay(log, 1)).toBe(sent.slice(sent.indexOf('id:', 5)))
    for (const after of [2, 3, 1e12]) expect(await replay(log, after)).toBe('')
  })

  it('turns each message into JSON once', () => {
    const { log } = openStore()
    let times = 0
    const one = log()
    one.attach(openChannel(() => {}))
    const params = { toJSON: () => ({ times: ++times }) }
    one.send({ jsonrpc: '2.0', method: 'note', params: params as {} })
    one.attach(
      openChannel(() => {}),
      0,
    )
    expect(times).toBe(1)
  })

  it('keeps 256 events', async () => {
    const { log: open } = openStore()
    const log = open()
    for (let count = 0; count < 1000; count++) log.send(note(1))
    const events = (await replay(log, 0)).split('\n\n').filter(Boolean)
    expect(events).toHaveLength(256)
    expect(events[0]).toContain(`.${(1000 - 255).toString(36)}\n`)
    expect(events.at(-1)).toContain(`.${(1000).toString(36)}\n`)
  })

  it('keeps 1 MB', async () => {
    const { log: open } = openStore()
    const log = open()
    for (let count = 0; count < 20; count++) {
      log.send(note(100 * KIB))
      expect(log.bytes).toBeLessThanOrEqual(MIB)
    }
    expect((await replay(log, 0)).split('\n\n').filter(Boolean)).toHaveLength(10)
  })

  it('keeps no event beyond that, but says so where a client waits for it', async () => {
    const { log: open } = openStore()
    const log = open()
    const channel = openChannel(() => {})
    log.attach(channel)
    log.send(note(2 * MIB))
    log.send(success(7, { text: 'x'.repeat(2 * MIB) }))
    log.finish()
    expect((await new Response(channel.body).text()).length).toBeGreaterThan(4 * MIB)
    const kept = await replay(log, 0)
    expect(kept.length).toBeLessThan(KIB)
    expect(kept).toContain('"id":7,"error":{"code":-32603')
    expect(kept).not.toContain('data:\n')
  })

  it('keeps next to nothing of a response whose id alone is larger', async () => {
    const { log: open } = openStore()
    const log = open()
    log.send(note(1))
    log.send(success('x'.repeat(2 * MIB), {}))
    expect(log.bytes).toBeLessThan(KIB)
    expect(await replay(log, 0)).toContain('too large to be sent again')
  })

  it('keeps what its client was cut off by', async () => {
    const { log: open } = openStore()
    const log = open()
    const channel = openChannel(() => void log.detach(channel))
    log.attach(channel)
    // Nobody reads: after 8 MiB the connection is cut.
    let count = 0
    for (; count < 20; count++) expect(log.send(note(MIB / 2))).toBe(true)
    expect(await replay(log, 19)).toContain(`.${(20).toString(36)}\n`)
  })
})

describe('what is kept of a session', () => {
  it('goes 5 minutes after the end of each stream, and not before the end', async () => {
    const { log, store } = openStore()
    const [one, two, three] = [log(), log(), log()]
    for (const each of [one, two, three]) each.send(note(1))
    const standing = store.standing()
    standing.send(note(1))
    await vi.advanceTimersByTimeAsync(10 * LIFE)
    expect(one.bytes).toBeGreaterThan(0)
    one.finish()
    await vi.advanceTimersByTimeAsync(LIFE / 2)
    two.finish()
    standing.finish()
    await vi.advanceTimersByTimeAsync(LIFE / 2)
    expect([one, two, three].map(({ bytes }) => bytes > 0)).toEqual([false, true, true])
    expect(store.find(`${one.name}.1`)?.log).toBeUndefined()
    expect(store.find(`${two.name}.1`)?.log).toBe(two)
    expect(store.standing()).toBe(standing)
    await vi.advanceTimersByTimeAsync(LIFE / 2)
    expect([two, three, standing].map(({ bytes }) => bytes > 0)).toEqual([false, true, true])
    // The standing stream is open again.
    expect(vi.getTimerCount()).toBe(0)
    standing.finish()
    await vi.advanceTimersByTimeAsync(LIFE)
    expect([standing.bytes, vi.getTimerCount()]).toEqual([0, 0])
    const fresh = store.standing()
    fresh.send(note(1))
    expect(store.find(`${fresh.name}.1`)?.log).toBe(fresh)
    expect(store.find(`${standing.name}.1`)).toEqual({ isStanding: true, after: 1 })
  })

  it('are 16 streams: the first that has ended goes, never one that is open', () => {
    const { log, store } = openStore()
    const logs = Array.from({ length: 16 }, log)
    expect(store.open()).toBeUndefined()
    logs[3]?.finish()
    logs[5]?.finish()
    const next = log()
    expect(store.find(`${logs[3]?.name}.0`)?.log).toBeUndefined()
    expect(store.find(`${logs[5]?.name}.0`)?.log).toBe(logs[5])
    expect(store.find(`${next.name}.0`)?.log).toBe(next)
    expect(new Set([...logs, next].map(({ name }) => name)).size).toBe(17)
    expect(store.standing().name).not.toBe(next.name)
  })

  it('are 4 MB: what has ended goes first, then the oldest of the largest', () => {
    const { log } = openStore()
    const logs = Array.from({ length: 5 }, log)
    const total = () => logs.reduce((sum, { bytes }) => sum + bytes, 0)
    const fill = (each: EventLog | undefined, events: number) => {
      for (let count = 0; count < events; count++) each?.send(note(200 * KIB))
      expect(total()).toBeLessThanOrEqual(4 * MIB)
    }
    fill(logs[0], 2)
    logs[0]?.finish()
    for (const each of logs.slice(1)) fill(each, 5)
    expect(logs.map(({ bytes }) => Math.round(bytes / KIB / 200))).toEqual([0, 5, 5, 5, 5])
    const more = log()
    logs.push(more)
    fill(more, 1)
    expect(logs.map(({ bytes }) => Math.round(bytes / KIB / 200))).toEqual([0, 4, 5, 5, 5, 1])
  })

  it('is nothing once it is closed; who is connected still gets the rest', async () => {
    const { log, store } = openStore()
    const [one, two] = [log(), log()]
    const channel = openChannel(() => {})
    one.attach(channel)
    one.send(notification('before'))
    two.finish()
    store.close()
    expect(vi.getTimerCount()).toBe(1) // the keep-alive
    expect([one.send(notification('after')), two.send(notification('nowhere'))]).toEqual([true, false])
    one.finish()
    expect([one.bytes, two.bytes, store.open(), vi.getTimerCount()]).toEqual([0, 0, undefined, 0])
    expect(await new Response(channel.body).text()).toMatch(/before[^]*after/)
    expect(await replay(one, 0)).toBe('')
  })
})

describe('what is kept of all sessions', () => {
  it('are 64 MB of ended streams: the oldest go', () => {
    const shelf = new Shelf()
    const logs = Array.from({ length: 80 }, () => {
      const log = openLog(new EventStore(shelf))
      log.send(note(MIB - KIB))
      log.finish()
      return log
    })
    const kept = logs.map(({ bytes }) => bytes > 0)
    expect(kept.filter(Boolean)).toHaveLength(64)
    expect(kept.indexOf(true)).toBe(16)
    expect(kept.lastIndexOf(false)).toBe(15)
    // What goes makes room.
    for (const log of logs) log.drop()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('are 64 MB with those of open streams: what has ended goes first, then the oldest of the largest', () => {
    const shelf = new Shelf()
    const fill = (events: number, size = 250 * KIB) => {
      const log = openLog(new EventStore(shelf))
      for (let count = 0; count < events; count++) log.send(note(size))
      return log
    }
    const ended = Array.from({ length: 2 }, () => {
      const log = fill(4)
      log.finish()
      return log
    })
    const small = fill(1, KIB)
    const open = Array.from({ length: 70 }, () => fill(4))
    const total = [...ended, small, ...open].reduce((sum, { bytes }) => sum + bytes, 0)
    expect(total).toBeLessThanOrEqual(64 * MIB)
    expect(total).toBeGreaterThan(63 * MIB)
    expect(ended.map(({ bytes }) => bytes)).toEqual([0, 0])
    expect(small.bytes).toBeGreaterThan(KIB)
    expect(open.every(({ bytes }) => bytes > 0)).toBe(true)
    for (const log of [small, ...open]) log.drop()
    expect(fill(4).bytes).toBeGreaterThan(1000 * KIB)
  })
})

describe('an event id', () => {
  it('of another store, also one that has counted as far, means nothing', () => {
    const { shelf, store, log } = openStore()
    const other = new EventStore(shelf)
    const mine = log()
    other.open()
    const foreign = mine.name.replace(/^[^.]+/, (other.open()?.name ?? '').replace(/\..*/, ''))
    expect(store.find(`${mine.name}.2`)).toEqual({ isStanding: false, after: 2, log: mine })
    expect(other.find(`${mine.name}.2`)).toEqual({ isStanding: false, after: 2 })
    expect(store.find(`${foreign}.2`)).toEqual({ isStanding: false, after: 2 })
    expect(store.find(store.strayId())).toEqual({ isStanding: false, after: 0 })
    for (const id of ['', '.', mine.name, `${mine.name}.`, `${mine.name}.-1`, `${mine.name}.1 `, 'a.x1.1']) {
      expect(store.find(id)).toBeUndefined()
    }
  })
})
