/** Ends a wait that shows no sign of life. */
export interface Patience {
  /** A sign of life: the wait starts anew, unless its ceiling is reached. */
  reset(): void
  stop(): void
}

/**
 * Calls `expire` once after `idle` ms without `reset()`, and after `ceiling` ms whatever happens.
 * One timer, so that it costs a call next to nothing.
 */
export function startPatience(idle: number, ceiling: number, expire: (waited: number) => void): Patience {
  const started = Date.now()
  let timer = setTimeout(end, Math.min(idle, ceiling))
  function end(): void {
    expire(Date.now() - started)
  }
  return {
    reset() {
      const left = ceiling - (Date.now() - started)
      if (left > idle) timer.refresh()
      else {
        clearTimeout(timer)
        timer = setTimeout(end, Math.max(0, left))
      }
    },
    stop: () => clearTimeout(timer),
  }
}
