import { closeSync, openSync } from 'node:fs'
import type { ConsolaInstance } from 'consola'
import { stopListeningEarly } from './early.ts'
import { EXIT, signalCode } from './exit.ts'

export interface EndOptions {
  readonly logger: ConsolaInstance
  /** Whether a supervisor is there to start another worker. */
  readonly supervised: boolean
  /** How long (ms) the orderly close may take before the process ends regardless. Default: 7 s. */
  readonly deadline?: number
}

/** The one place where a process is told to end. */
export interface End {
  /** Aborted as soon as the end was asked for. */
  readonly signal: AbortSignal
  /** Resolves the exit code, once the end was asked for. */
  readonly asked: Promise<number>
  /** Asks for the end; only the first one counts. */
  ask(code: number, reason: string): void
  /** What SIGHUP calls; without it, or where that answers false, the process ends to be started anew. */
  onreload: (() => boolean) | undefined
}

/** Ctrl-C reaches the whole foreground group and npm passes it on once more: within this time (ms) it is one wish. */
export const SAME_WISH = 500

/**
 * Listens for what ends a process: SIGTERM and SIGINT (exit code 0), SIGHUP (`onreload`, else 42: start anew), and the
 * loss of the supervisor. A process that nobody supervises ends at once when it is asked a second time.
 */
export function createEnd({ logger, supervised, deadline = 7000 }: EndOptions): End {
  const controller = new AbortController()
  const hadTerminal = hasTerminal()
  let since = 0
  let resolve: (code: number) => void = () => undefined
  const asked = new Promise<number>((done) => (resolve = done))

  function ask(code: number, reason: string): void {
    if (controller.signal.aborted) return
    since = Date.now()
    logger.info(`closing: ${reason}`)
    setTimeout(() => {
      logger.warn(`not closed after ${deadline / 1000} s; ending regardless`)
      process.exit(code)
    }, deadline).unref()
    controller.abort()
    resolve(code)
  }

  function stop(signal: NodeJS.Signals): void {
    // The supervisor decides about a second signal; it may have got the first one together with this process.
    const again = controller.signal.aborted && !supervised && Date.now() - since > SAME_WISH
    if (again) process.exit(signalCode(signal))
    ask(EXIT.ok, signal)
  }

  const end: End = { signal: controller.signal, asked, ask, onreload: undefined }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  stopListeningEarly()
  process.on('SIGHUP', (signal) => {
    if (!supervised || (hadTerminal && !hasTerminal())) stop(signal)
    else if (end.onreload?.() !== true) ask(EXIT.reload, `${signal}, starting anew`)
  })
  if (supervised) onSupervisorLost(() => ask(EXIT.ok, 'the supervisor is gone'))
  return end
}

/** Whether this process has a terminal. One that had and has no longer got SIGHUP because its window was closed. */
export function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}

/** The channel to the parent closes when the parent dies, however it dies. */
function onSupervisorLost(lost: () => void): void {
  if (!process.connected) return lost()
  process.once('disconnect', lost)
  process.channel?.unref()
}
