import type { ListKind } from '../gateway/source.ts'
import type { Instance } from './instance.ts'

/** Lists that are to be read again from an instance after a while, for as long as it is up. */
export interface Rereads {
  /** In `ms`, instead of whatever was planned before for this list; `undefined`: not at all. */
  plan(from: Instance, kind: ListKind, ms: number | undefined): void
}

export function createRereads(due: (from: Instance, kind: ListKind) => void): Rereads {
  /** By instance; `undefined` for one that is gone. */
  const planned = new WeakMap<Instance, Map<ListKind, NodeJS.Timeout> | undefined>()

  function timersOf(from: Instance): Map<ListKind, NodeJS.Timeout> | undefined {
    if (planned.has(from)) return planned.get(from)
    const timers = new Map<ListKind, NodeJS.Timeout>()
    planned.set(from, timers)
    void from.closed.then(() => {
      planned.set(from, undefined)
      for (const timer of timers.values()) clearTimeout(timer)
    })
    return timers
  }

  return {
    plan(from, kind, ms) {
      if (ms === undefined && !planned.has(from)) return
      const timers = timersOf(from)
      clearTimeout(timers?.get(kind))
      if (ms !== undefined) timers?.set(kind, setTimeout(due, ms, from, kind).unref())
    },
  }
}
