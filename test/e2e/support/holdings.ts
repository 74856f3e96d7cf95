import { createHook } from 'node:async_hooks'
import { readdirSync, readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { until } from './until.ts'

/** What this process holds. */
export interface Holdings {
  /** Bytes in use, after a collection. */
  readonly heap: number
  /** Open files and sockets. */
  readonly descriptors: number
  /** Timers that will still fire, also those that keep nothing alive. */
  readonly timers: number
  /** Child processes. */
  readonly processes: number
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const timers = new Set<number>()
createHook({
  init: (id, type) => void (type === 'Timeout' && timers.add(id)),
  destroy: (id) => void timers.delete(id),
}).enable()

/** Only Linux tells of descriptors and children; elsewhere these count as none. */
export function holdings(): Holdings {
  collect()
  const linux = process.platform === 'linux'
  return {
    heap: process.memoryUsage().heapUsed,
    descriptors: linux ? readdirSync('/proc/self/fd').length : 0,
    timers: timers.size,
    processes: linux ? readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').length - 1 : 0,
  }
}

/** Timers that may be there or not: pools of sockets share one, and so do queues of logs. */
const PASSING = 2

/** Waits until no more is held than before; the heap may grow by `growth` bytes. Rejects with both where it is not. */
export async function untilReturned(before: Holdings, growth: number, limit = 10_000): Promise<Holdings> {
  let now = holdings()
  const returned = () => {
    now = holdings()
    return (
      now.heap <= before.heap + growth &&
      now.descriptors <= before.descriptors &&
      now.timers <= before.timers + PASSING &&
      now.processes <= before.processes
    )
  }
  await until('everything to be given back', returned, limit).catch(() => {
    throw new Error(`held before: ${JSON.stringify(before)}; now: ${JSON.stringify(now)}`)
  })
  return now
}
