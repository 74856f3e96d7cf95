/** Too many wait already. */
export class Busy extends Error {}

export interface TurnsOptions {
  /** How many work at once. */
  readonly atOnce: number
  /** How many may wait behind them. */
  readonly waiting: number
}

/** Work that takes turns, first come, first served. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>

/** Lets a few work at once and a bounded number wait; rejects `Busy` beyond, before anything is done. */
export function createTurns({ atOnce, waiting }: TurnsOptions): InTurn {
  let working = 0
  const queue: (() => void)[] = []

  return async (work) => {
    if (working < atOnce) working++
    else if (queue.length >= waiting) throw new Busy('too many wait already')
    else await new Promise<void>((resolve) => queue.push(resolve))
    try {
      return await work()
    } finally {
      // The place goes straight to who waits longest: nobody new can slip in between.
      const next = queue.shift()
      if (next === undefined) working--
      else next()
    }
  }
}
