import type { ListKind } from '../gateway/source.ts'
import type { Instance } from './instance.ts'

/** Lists that may have changed, by guess: many instances lose their streams at once, and all of them guess. */
export interface Gathered {
  /** Due at once, or, where the list was due a moment ago, once after the pause for all who told meanwhile. */
  tell(from: Instance, kind: ListKind): void
}

/** How often (ms) one list is due at most. */
const PAUSE = 30_000

export function createGathered(due: (from: Instance, kind: ListKind) => void): Gathered {
  /** By list that was due a moment ago: the instances, still up, that have told since. */
  const pausing = new Map<ListKind, Set<Instance>>()

  function begin(from: Instance, kind: ListKind): void {
    pausing.set(kind, new Set())
    setTimeout(end, PAUSE, kind).unref()
    due(from, kind)
  }

  function end(kind: ListKind): void {
    const [from] = pausing.get(kind) ?? []
    pausing.delete(kind)
    if (from !== undefined) begin(from, kind)
  }

  return {
    tell(from, kind) {
      const told = pausing.get(kind)
      if (told === undefined) return begin(from, kind)
      told.add(from)
      void from.closed.then(() => told.delete(from))
    },
  }
}
