import { sleep } from '../backoff.ts'

/** How often (ms) it is looked whether the calls have ended. */
const STEP = 50

/** Something on which calls are under way. */
interface Busy {
  readonly busy: number
}

/** Waits until no call is under way, `limit` ms at the longest, or until `signal` aborts. Resolves how many there still are. */
export async function untilIdle(place: Busy, limit: number, signal: AbortSignal): Promise<number> {
  for (let waited = 0; waited < limit && place.busy > 0 && !signal.aborted; waited += STEP) await sleep(STEP, signal)
  return place.busy
}
