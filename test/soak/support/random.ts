/** Numbers that look random and are the same for the same seed. */
export interface Random {
  /** 0 (inclusive) to 1 (exclusive). */
  next(): number
  /** A whole number from 0, below `count`. */
  below(count: number): number
  /** One of a list, which must not be empty. */
  pick<T>(from: readonly T[]): T
}

/** A linear congruential generator (modulus 2^32), good enough to choose what comes next. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  function next(): number {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const below = (count: number): number => Math.floor(next() * count)
  function pick<T>(from: readonly T[]): T {
    const index = below(from.length)
    if (index >= from.length) throw new Error('nothing to choose from')
    return from[index] as T
  }
  return { next, below, pick }
}
