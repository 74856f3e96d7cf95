import {
  ConnectionError,
  isConnectionError,
  reasonOf,
  type Connection,
  type TransportContext,
} from '../../core/index.ts'
import { openSse } from '../transport-sse/index.ts'
import { openStreamable } from './connection.ts'
import type { StreamableEntry } from './entry.ts'

/** What a server that only knows HTTP+SSE answers to a POST (2025-11-25 basic/transports#Backwards Compatibility). */
const OLDER = new Set([400, 404, 405])
/** Longest wait for the older transport, in milliseconds: many servers keep a GET open and say nothing on it. */
const LIMIT = 10_000

/**
 * One server over whichever of both transports it has: Streamable HTTP unless it refuses `initialize` there. What is
 * found out counts for this connection only, since servers are updated.
 */
export function openEither(entry: StreamableEntry, context: TransportContext): Connection {
  const stop = new AbortController()
  let current: Connection
  let known = false
  let changing: Promise<void> | undefined
  let closing: Promise<void> | undefined
  let resolveClosed: (reason: Error | undefined) => void = () => {}
  const closed = new Promise<Error | undefined>((resolve) => (resolveClosed = resolve))

  function use(next: Connection): void {
    current = next
    next.onmessage = (message, party) => connection.onmessage?.(message, party)
    void next.closed.then((reason) => current === next && resolveClosed(reason))
  }

  async function change(refusal: ConnectionError, signal: AbortSignal | undefined): Promise<void> {
    const expiry = new AbortController()
    const timer = setTimeout(() => expiry.abort(new Error(`nothing within ${LIMIT / 1000} s`)), LIMIT).unref()
    const limits = [stop.signal, expiry.signal, ...(signal === undefined ? [] : [signal])]
    const older = await openSse(entry, { ...context, signal: AbortSignal.any(limits) })
      .catch((error: unknown) => {
        throw new ConnectionError(`${refusal.message}; and as the older HTTP+SSE: ${reasonOf(error)}`, refusal)
      })
      .finally(() => clearTimeout(timer))
    const before = current
    use(older)
    await before.close()
    context.logger.debug(`speaks the older HTTP+SSE (${refusal.status} to a POST)`)
  }

  const connection: Connection = {
    get perRequestStream() {
      return current.perRequestStream
    },
    closed,
    async request(message, exchange) {
      if (known || message.method !== 'initialize') return current.request(message, exchange)
      try {
        const response = await current.request(message, exchange)
        known = true
        return response
      } catch (error) {
        if (known || closing || !isConnectionError(error) || !OLDER.has(error.status ?? 0)) throw error
        changing = change(error, exchange.signal)
        await changing
        known = true
        return current.request(message, exchange)
      }
    },
    send: (message) => current.send(message),
    close: () => (closing ??= close()),
  }

  async function close(): Promise<void> {
    stop.abort()
    await changing?.catch(() => undefined)
    await current.close()
    resolveClosed(undefined)
  }

  use(openStreamable(entry, context))
  return connection
}
