import { sleep } from '../backoff.ts'
import type { Call, Outcome } from '../gateway/call.ts'

/** The calls under way to one server. */
export interface Calls {
  /** Carries one. */
  carry(call: Call): Promise<Outcome>
  /** Waits until none is under way, `limit` ms at the longest, or until `signal` aborts. Resolves how many there still are. */
  untilNone(limit: number, signal: AbortSignal): Promise<number>
}

/** How often (ms) it is looked whether the calls have ended. */
const STEP = 50

/** Counts what `carry` carries, from before it has an instance to go to. */
export function countCalls(carry: (call: Call) => Promise<Outcome>): Calls {
  let count = 0
  return {
    async carry(call) {
      count++
      try {
        return await carry(call)
      } finally {
        count--
      }
    },
    async untilNone(limit, signal) {
      // One step in any case: a call whose server was looked up a moment ago is counted in the next one.
      for (let waited = 0; waited < limit && (waited === 0 || count > 0) && !signal.aborted; waited += STEP)
        await sleep(STEP, signal)
      return count
    },
  }
}
