import { EXIT } from './exit.ts'

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/**
 * Ends the process with 0 at SIGTERM and SIGINT as long as it has started nothing. Without this the signal's own exit code
 * would be seen, and process 1 of a container, which signals that nobody listens for do not reach, would go on.
 */
export function listenEarly(): void {
  for (const signal of SIGNALS) process.on(signal, end)
}

/** Whoever listens now ends it in order. */
export function stopListeningEarly(): void {
  for (const signal of SIGNALS) process.off(signal, end)
}

function end(): never {
  process.exit(EXIT.ok)
}
