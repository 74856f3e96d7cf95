import { setTimeout as wait } from 'node:timers/promises'

export interface BackoffOptions {
  /** Milliseconds before the first, second, … attempt; the last one repeats. */
  readonly delays: readonly number[]
  /** 0 to 1: the share of a delay that is random, so that many who failed together do not return together. */
  readonly jitter?: number
  /** For tests: 0 (inclusive) to 1 (exclusive). */
  readonly random?: () => number
}

/**
 * How long to wait, in milliseconds, before each further attempt (after the first failure: 0). With jitter, a delay is shortened by up to
 * that share and never lengthened: the configured numbers stay upper bounds.
 */
export function backoff(options: BackoffOptions): (attempt: number) => number {
  const { delays, jitter = 0, random = Math.random } = options
  return (attempt) => {
    const delay = delays[Math.min(attempt, delays.length - 1)] ?? 0
    return Math.round(delay * (1 - jitter * random()))
  }
}

/** Doubles from `first` up to `most`: what a list of delays is made of when the user names only its ends. Milliseconds. */
export function doubling(first: number, most: number): readonly number[] {
  if (first <= 0 || first >= most) return [first]
  return [first, ...doubling(Math.min(first * 2, most), most)]
}

/** Waits `ms` milliseconds, or until `signal` aborts: who needs to know which looks at the signal. Never rejects. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  await wait(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
}
