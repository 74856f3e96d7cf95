import type { ConsolaInstance } from 'consola'
import { backoff, doubling, reasonOf, sleep, type RpcMessage } from '../../core/index.ts'
import { send, type Reply } from '../transport-sse/index.ts'
import { isSessionLost, refusal } from './failure.ts'
import type { Link } from './link.ts'

/** How long a stream must have lived, in milliseconds, for its end to count as harmless. */
const LONG_LIFE = 30_000

/** Milliseconds between attempts in a row. */
const DELAYS = { delays: doubling(1000, 60_000), jitter: 0.5 }

export interface StandbyOptions {
  readonly logger: ConsolaInstance
  /** Ends it. */
  readonly signal: AbortSignal
  onmessage(message: RpcMessage): void
  /** The server has forgotten the session. */
  onlost(reason: Error): void
  /** Milliseconds before the nth attempt in a row; a growing, jittered one up to a minute where absent. */
  readonly delay?: (attempt: number) => number
  /** How it pauses, for tests. */
  readonly wait?: typeof sleep
}

/**
 * Keeps the stream open on which a server says what belongs to no request (2025-11-25 basic/transports#Listening for
 * Messages from the Server). Servers without one answer 405 and are left alone. Ends with `signal`; never rejects.
 */
export async function standBy(link: Link, options: StandbyOptions): Promise<void> {
  const { logger, signal, wait = sleep, delay = backoff(DELAYS) } = options
  let lastEventId: string | undefined
  let retry = 0
  let attempt = 0

  /** The answer, or the reason why there was none. */
  async function listen(): Promise<Reply | Error> {
    const extra = lastEventId === undefined ? undefined : { 'last-event-id': lastEventId }
    const underway = send(
      link,
      { method: 'GET', headers: link.headers(extra) },
      {
        onmessage(message) {
          attempt = 0
          options.onmessage(message)
        },
        onid: (id) => (lastEventId = id),
        onretry: (milliseconds) => (retry = milliseconds),
        // Without this the stream would be cut and, coming back to the same place, cut again.
        onlong: (_head, _tail, problem) => logger.warn(`the server ${problem}; it was skipped`),
      },
    )
    signal.addEventListener('abort', underway.stop, { once: true })
    try {
      return await underway.reply
    } catch (error) {
      return error instanceof Error ? error : new Error(reasonOf(error))
    } finally {
      signal.removeEventListener('abort', underway.stop)
    }
  }

  while (!signal.aborted) {
    const since = Date.now()
    const end = await listen()
    if (signal.aborted) return
    if (!(end instanceof Error) && !end.streamed) {
      if (isSessionLost(link, end)) return options.onlost(refusal(link, end))
      if (!isPassing(end.status)) return logger.debug(`no stream for messages outside of requests (${end.status})`)
    }
    // A server that closes at once, however gracefully, is asked less and less often.
    if (Date.now() - since >= LONG_LIFE) attempt = 0
    await wait(Math.max(retry, delay(attempt++)), signal)
  }
}

function isPassing(status: number): boolean {
  return status === 429 || status >= 500
}
