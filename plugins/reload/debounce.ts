/** Work that is begun a while after the last wish for it. */
export interface Debounce {
  /** Begins once nobody has wished for it for the whole delay; by then at the latest when it was wished for again and again. */
  soon(): void
  /** Begins at once. */
  now(): void
}

/** However often it is wished for, it begins after so many delays. */
const MOST = 10

/** Does `work`, which must not reject, one at a time; what is wished for meanwhile begins after it. `delay` in ms. */
export function createDebounce(delay: number, signal: AbortSignal, work: () => Promise<void>): Debounce {
  let timer: NodeJS.Timeout | undefined
  let first = 0
  let isWorking = false
  let again = false

  async function begin(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    if (isWorking) return void (again = true)
    isWorking = true
    do {
      again = false
      if (!signal.aborted) await work()
    } while (again && !signal.aborted)
    isWorking = false
  }

  signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  return {
    soon() {
      if (signal.aborted) return
      if (timer === undefined) first = Date.now()
      clearTimeout(timer)
      const latest = first + MOST * delay - Date.now()
      timer = setTimeout(() => void begin(), Math.max(0, Math.min(delay, latest))).unref()
    },
    now: () => void begin(),
  }
}
