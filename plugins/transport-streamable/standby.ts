import type { ConsolaInstance } from 'consola'
import { backoff, doubling, reasonOf, sleep, type RpcMessage } from '../../core/index.ts'
import { isSessionLost, statusError } from './failure.ts'
import { send } from './http.ts'
import type { Link } from './link.ts'
import type { Reply } from './reply.ts'

/** How long a stream must have lived, in milliseconds, for its end to count as harmless. */
const LONG_LIFE = 30_000

export interface StandbyOptions {
  readonly logger: ConsolaInstance
  /** Ends it. */
  readonly signal: AbortSignal
  onmessage(message: RpcMessage): void
  /** The server has forgotten the session. */
  onlost(reason: Error): void
  /** Milliseconds before the nth attempt in a row; a growing, jittered one up to a minute where absent. */
  readonly delay?: (attempt: number) => number
}

/**
 * Keeps the stream open on which a server says what belongs to no request (2025-11-25 basic/transports#Listening for
 * Messages from the Server). Servers without one answer 405 and are left alone. Ends with `signal`; never rejects.
 */
export async function standBy(link: Link, options: StandbyOptions): Promise<void> {
  const { logger, signal, delay = backoff({ delays: doubling(1000, 60_000), jitter: 0.5 }) } = options
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
      if (isSessionLost(link, end)) return options.onlost(statusError(link, end))
      if (!isPassing(end.status)) return logger.debug(`no stream for messages outside of requests (${end.status})`)
    }
    // A server that closes at once, however gracefully, is asked less and less often.
    if (Date.now() - since >= LONG_LIFE) attempt = 0
    await sleep(Math.max(retry, delay(attempt++)), signal)
  }
}

function isPassing(status: number): boolean {
  return status === 429 || status >= 500
}
