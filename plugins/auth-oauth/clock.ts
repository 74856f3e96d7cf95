/** Milliseconds since the epoch. */
export type Clock = () => number

/**
 * The time that lives are measured by: never behind what has really passed since the start, so that a clock set back makes
 * nothing live longer.
 */
export function steadyClock(): Clock {
  const [wall, passed] = [Date.now(), performance.now()]
  return () => Math.max(Date.now(), wall + performance.now() - passed)
}
