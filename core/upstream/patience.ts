/** Ends a wait that shows no sign of life. */
export interface Patience {
  /** A sign of life: the wait starts anew, unless its ceiling is reached. */
  reset(): void
  /** Somebody else is being waited for (a user who was asked): only the ceiling counts until the result is called. */
  hold(): () => void
  stop(): void
}

/**
 * Calls `expire` once after `idle` ms without `reset()`, and after `ceiling` ms whatever happens.
 * One timer, so that it costs a call next to nothing.
 */
export function startPatience(idle: number, ceiling: number, expire: (waited: number) => void): Patience {
  const started = performance.now()
  let holds = 0
  let stopped = false
  let timer = setTimeout(end, Math.min(idle, ceiling))

  function end(): void {
    expire(performance.now() - started)
  }
  function restart(): void {
    if (stopped) return
    const left = ceiling - (performance.now() - started)
    if (holds === 0 && left > idle) return void timer.refresh()
    clearTimeout(timer)
    timer = setTimeout(end, Math.max(0, left))
  }
  function start(): void {
    if (stopped) return
    clearTimeout(timer)
    timer = setTimeout(end, Math.max(0, Math.min(idle, ceiling - (performance.now() - started))))
  }
  return {
    reset: () => void (holds === 0 && restart()),
    hold() {
      let held = true
      if (holds++ === 0) restart()
      return () => {
        if (!held) return
        held = false
        if (--holds === 0) start()
      }
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
