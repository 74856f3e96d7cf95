/** A limit on a wait. */
export interface Deadline {
  /** Aborts with the parent, or when the time is over. */
  readonly signal: AbortSignal
  /** Whether the time is over. */
  readonly passed: boolean
  /** The wait has ended. Without this the timer, and what it holds, stay until the time is over. */
  clear(): void
}

/** Starts a limit of `ms`. Not `AbortSignal.timeout`: combined with another signal it lives on until it fires. */
export function startDeadline(ms: number, parent?: AbortSignal): Deadline {
  const expiry = new AbortController()
  const timer = setTimeout(() => expiry.abort(new DOMException('the time is over', 'TimeoutError')), ms).unref()
  return {
    signal: parent === undefined ? expiry.signal : AbortSignal.any([parent, expiry.signal]),
    get passed() {
      return expiry.signal.aborted
    },
    clear: () => clearTimeout(timer),
  }
}
