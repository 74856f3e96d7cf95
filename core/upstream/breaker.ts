import { backoff } from '../backoff.ts'

/** Keeps a server that cannot be reached from being asked again and again: after a failure, nobody tries for a while. */
export interface Breaker {
  /** Ms until the next attempt is allowed; 0: now. */
  wait(): number
  /** Why the last attempt failed; absent: it did not. */
  readonly reason: string | undefined
  failed(reason: string): void
  succeeded(): void
}

/** Waits between attempts, in ms; half of each is random, so that many proxies do not knock at once. */
const PAUSES = { delays: [1000, 2000, 4000, 8000, 16_000, 30_000, 60_000], jitter: 0.5 }

/** `now`: ms since whenever, by a clock that nobody sets: one set back by a day would keep a server away for a day. */
export function createBreaker(now: () => number = () => performance.now()): Breaker {
  const pause = backoff(PAUSES)
  let failures = 0
  let until = 0
  let reason: string | undefined
  return {
    wait: () => Math.max(0, until - now()),
    get reason() {
      return reason
    },
    failed(why) {
      reason = why
      until = now() + pause(failures++)
    },
    succeeded() {
      reason = undefined
      failures = 0
      until = 0
    },
  }
}
