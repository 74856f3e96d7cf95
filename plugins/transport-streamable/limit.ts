/** How often the time that has passed is looked at, in milliseconds. */
const STEP = 250

/**
 * Calls `passed` after `ms` milliseconds; the result stops it. Counted in steps: a pause of the whole process is one of
 * them, however long. Timers come before the network, so that what has arrived meanwhile would else be too late.
 */
export function startLimit(ms: number, passed: () => void): () => void {
  let left = Math.ceil(ms / STEP)
  const timer = setInterval(() => {
    if (--left > 0) return
    clearInterval(timer)
    passed()
  }, STEP)
  return () => clearInterval(timer)
}
