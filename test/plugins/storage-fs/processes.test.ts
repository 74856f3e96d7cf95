import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createStore } from '../../../core/store.ts'
import { fsDriver } from '../../../plugins/storage-fs/driver.ts'
import type { Order, Tally } from '../../fixtures/storage/hammer.ts'

const script = fileURLToPath(new URL('../../fixtures/storage/hammer.ts', import.meta.url))

interface Said {
  readonly ready?: true
  readonly added?: number
  readonly result?: unknown
  readonly error?: string
}

/** A running hammer. */
interface Hammer {
  readonly child: ChildProcess
  /** Increments it has confirmed. */
  added(): number
  run(order: Order): Promise<unknown>
  /** Resolves once `added()` is at least `count`. */
  until(count: number): Promise<void>
}

describe('storage-fs with several processes', () => {
  let dir: string
  const children: ChildProcess[] = []

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'store-'))
  })
  afterEach(async () => {
    for (const child of children.splice(0)) await end(child)
    await rm(dir, { recursive: true })
  })

  const open = () => createStore(fsDriver(dir), { namespace: 'hammer' })

  async function start(): Promise<Hammer> {
    const child = fork(script, [dir], { execArgv: [] })
    children.push(child)
    let added = 0
    child.on('message', (said: Said) => void (added = said.added ?? added))
    await said(child, ({ ready }) => ready === true)
    return {
      child,
      added: () => added,
      async run(order) {
        child.send(order)
        const { result, error } = await said(child, (text) => 'result' in text || 'error' in text)
        if (error !== undefined) throw new Error(error)
        return result
      },
      async until(count) {
        if (added < count) await said(child, (text) => (text.added ?? 0) >= count)
      },
    }
  }

  it('300 records taken by two processes at once: each has one winner', async () => {
    const store = open()
    const ids = Array.from({ length: 300 }, (_, id) => id)
    for (const id of ids) await store.put(`take:${id}`, id)
    const [one, two] = await Promise.all([start(), start()])
    const order: Order = { do: 'take', count: ids.length }
    const won = (await Promise.all([one.run(order), two.run(order)])) as number[][]
    expect(won.flat().sort((left, right) => left - right)).toEqual(ids)
    for await (const [key] of store.scan('take')) expect.unreachable(`${key} is still there`)
  })

  it('200 records made by two processes at once: each has one maker', async () => {
    const [one, two] = await Promise.all([start(), start()])
    const order: Order = { do: 'create', count: 200 }
    const made = (await Promise.all([one.run(order), two.run(order)])) as number[][]
    expect(made.flat().sort((left, right) => left - right)).toEqual(Array.from({ length: 200 }, (_, id) => id))
  })

  it('increments of three processes on one record add up', async () => {
    const hammers = await Promise.all([start(), start(), start()])
    await Promise.all(hammers.map((hammer, index) => hammer.run({ do: 'add', who: `p${index}`, count: 100 })))
    expect(await open().get<Tally>('count:1')).toEqual({ total: 300, by: { p0: 100, p1: 100, p2: 100 } })
  })

  it('one process killed again and again in the middle: the other finishes, nothing confirmed is lost, nothing is half', async () => {
    const survivor = await start()
    let dying = true
    const finished = (async () => {
      let done = 0
      // Batch after batch while the others die, and one more.
      for (let last = false; !last; done += 50) {
        last = !dying
        await survivor.run({ do: 'add', who: 'survivor', count: 50 })
      }
      return done
    })()
    const confirmed: number[] = []
    for (let round = 0; round < 8; round++) {
      const victim = await start()
      const ended = victim.run({ do: 'add', who: `victim${round}`, count: 1_000_000 }).catch((error: unknown) => error)
      await victim.until(5 + round)
      // Some way into whatever it does now.
      await sleep(Math.random() * 10)
      victim.child.kill('SIGKILL')
      expect(await ended).toMatchObject({ message: 'the process ended' })
      confirmed.push(victim.added())
    }
    dying = false
    const done = await finished
    const tally = await open().get<Tally>('count:1')
    expect(tally?.by['survivor']).toBe(done)
    for (const [round, count] of confirmed.entries()) expect(tally?.by[`victim${round}`]).toBeGreaterThanOrEqual(count)
    expect(Object.values(tally?.by ?? {}).reduce((sum, count) => sum + count, 0)).toBe(tally?.total)
    await open().update<Tally>('count:1', () => ({ total: 0, by: {} }))
    expect(await open().take('count:1')).toEqual({ total: 0, by: {} })
  })
})

/** The first message of `child` that `fits`; rejects when it ends before. */
function said(child: ChildProcess, fits: (text: Said) => boolean): Promise<Said> {
  return new Promise((resolve, reject) => {
    const done = () => {
      child.off('message', hear).off('exit', fail)
    }
    const hear = (text: Said) => {
      if (!fits(text)) return
      done()
      resolve(text)
    }
    const fail = () => {
      done()
      reject(new Error('the process ended'))
    }
    child.on('message', hear).on('exit', fail)
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
