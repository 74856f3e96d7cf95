import type { ListKind } from '../gateway/source.ts'
import type { Instance } from './instance.ts'

/** Lists that may have changed, by guess: many instances lose their streams at once, and all of them guess. */
export interface Gathered {
  /** Due at once, or, where the list was due a moment ago, once after the pause for all who told meanwhile. */
  tell(from: Instance, kind: ListKind): void
}

/** How often (ms) one list is due at most. */
const PAUSE = 30_000

/** `signal`: nothing is due any more. */
export function createGathered(signal: AbortSignal, due: (from: Instance, kind: ListKind) => void): Gathered {
  /** By list that was due a moment ago: the instances, still up, that have told since. */
  const pausing = new Map<ListKind, { readonly told: Set<Instance>; readonly timer: NodeJS.Timeout }>()
  signal.addEventListener('abort', () => pausing.forEach(({ timer }) => clearTimeout(timer)), { once: true })

  function begin(from: Instance, kind: ListKind): void {
    if (signal.aborted) return
    pausing.set(kind, { told: new Set(), timer: setTimeout(end, PAUSE, kind).unref() })
    due(from, kind)
  }

  function end(kind: ListKind): void {
    const [from] = pausing.get(kind)?.told ?? []
    pausing.delete(kind)
    if (from !== undefined) begin(from, kind)
  }

  return {
    tell(from, kind) {
      const told = pausing.get(kind)?.told
      if (told === undefined) return begin(from, kind)
      told.add(from)
      void from.closed.then(() => told.delete(from))
    },
  }
}
