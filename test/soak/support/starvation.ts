import { waitedForCpu } from './processes.ts'

/** Adds up for how long processes had to wait for a processor: on a busy machine everything takes longer. */
export interface Starvation {
  /** Looks at these processes; what one has waited before it is first looked at counts where it is `fresh`. */
  look(pids: readonly (number | undefined)[], fresh: boolean): void
  /** ms */
  readonly total: number
}

export function createStarvation(): Starvation {
  const last = new Map<number, number>()
  let total = 0
  return {
    look(pids, fresh) {
      for (const pid of pids) {
        if (pid === undefined) continue
        const now = waitedForCpu(pid)
        total += Math.max(0, now - (last.get(pid) ?? (fresh ? 0 : now)))
        last.set(pid, Math.max(now, last.get(pid) ?? 0))
      }
    },
    get total() {
      return total
    },
  }
}
