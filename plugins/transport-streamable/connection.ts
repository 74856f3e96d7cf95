import { ConnectionError, createAttribution, InFlight, isFailure, isResponse } from '../../core/index.ts'
import type {
  Connection,
  Exchange,
  RpcId,
  RpcMessage,
  RpcNotification,
  RpcRequest,
  RpcResponse,
  TransportContext,
} from '../../core/index.ts'
import { closeSite, createGate, createSite, post, POST_WIDTH } from '../transport-sse/index.ts'
import { createEnding } from './ending.ts'
import type { StreamableEntry } from './entry.ts'
import { isSessionLost } from './failure.ts'
import { createLink } from './link.ts'
import { openRequest, type OpenRequest } from './request.ts'
import { standBy } from './standby.ts'

/** One server over Streamable HTTP, and the session with it where it has one. Opens no socket before the first request. */
export function openStreamable(entry: StreamableEntry, context: TransportContext): Connection {
  const link = createLink(entry, context.name, context.maxMessageBytes)
  const attribution = createAttribution()
  const gate = createGate(link.who, POST_WIDTH, link.maxMessageBytes)
  const open = new InFlight<RpcId, OpenRequest>()
  const anew = () => createSite('transport-streamable', entry, context.name, context.maxMessageBytes)
  const endSession = createEnding(link, anew, context.logger)
  const stop = new AbortController()
  let gone: ConnectionError | undefined
  let closing: Promise<void> | undefined
  let standing = false
  /** The ends of sessions that nobody asked for. */
  let strays: Promise<unknown> = Promise.resolve()
  let resolveClosed: (reason: Error | undefined) => void = () => {}
  const closed = new Promise<Error | undefined>((resolve) => (resolveClosed = resolve))

  /** The session is over; what is under way may still be answered. */
  function lose(reason: Error): void {
    gone ??= new ConnectionError(reason.message, { delivered: false, lost: true }, { cause: reason })
    stop.abort()
    resolveClosed(reason)
  }

  function noteLoss(error: unknown): never {
    if (!closing && error instanceof ConnectionError && error.lost) lose(error)
    throw error
  }

  /** What arrives on no request's own stream. */
  function hear(message: RpcMessage): void {
    if (isResponse(message)) return
    const destination = attribution.route(message)
    if (destination === 'nobody') connection.onmessage?.(message, attribution.party)
    else if (destination !== 'dropped') destination.onmessage(message)
  }

  function stand(): void {
    if (standing || stop.signal.aborted) return
    standing = true
    void standBy(link, { logger: context.logger, signal: stop.signal, onmessage: hear, onlost: lose })
  }

  async function request(message: RpcRequest, exchange: Exchange): Promise<RpcResponse> {
    if (gone) throw gone
    if (exchange.signal?.aborted) throw givenUp(exchange.signal, false)
    const closeExchange = attribution.open(message.id, exchange)
    const underway = openRequest(link, message, exchange)
    const onabort = () => giveUp(underway, givenUp(exchange.signal, true))
    open.set(message.id, underway)
    exchange.signal?.addEventListener('abort', onabort, { once: true })
    try {
      const response = await underway.response
      if (message.method === 'initialize' && !isFailure(response)) {
        const { protocolVersion } = response.result
        if (typeof protocolVersion === 'string') link.agree(protocolVersion)
      }
      return response
    } catch (error) {
      return noteLoss(error)
    } finally {
      exchange.signal?.removeEventListener('abort', onabort)
      open.delete(message.id)
      closeExchange()
      if (message.method === 'server/discover') refuseSession(underway)
    }
  }

  /** There are servers that begin a session with whatever request they refuse: nobody else would end it. */
  function refuseSession(underway: OpenRequest): void {
    const session = underway.session()
    if (session !== undefined && !underway.answered()) strays = Promise.all([strays, endSession(session)])
  }

  function giveUp(underway: OpenRequest, error: ConnectionError): void {
    const late = underway.giveUp(error)
    if (late !== undefined) strays = Promise.all([strays, endLate(late)])
  }

  async function endLate(late: Promise<string | undefined>): Promise<void> {
    const session = await late
    if (session !== undefined) await endSession(session)
  }

  async function tell(message: RpcNotification | RpcResponse): Promise<void> {
    if (gone) throw gone
    if (isResponse(message) && message.id !== undefined && message.id !== null) attribution.answered(message.id)
    const body = JSON.stringify(message)
    const forgot = isSessionLost.bind(undefined, link)
    // Not what a server should do, but it may answer with a stream of messages.
    const send = () => post(link, { headers: link.headers(), body }, forgot, { onmessage: hear })
    await gate.pass(body.length, send).catch(noteLoss)
    if (!isResponse(message) && message.method === 'notifications/initialized') stand()
  }

  async function close(): Promise<void> {
    const forgotten = gone !== undefined
    gone ??= new ConnectionError(`${link.who} was closed by the proxy`, { delivered: false, lost: true })
    stop.abort()
    for (const underway of open.values())
      giveUp(underway, new ConnectionError(gone.message, { delivered: true, lost: true }))
    await Promise.all([strays, link.session !== undefined && !forgotten && endSession(link.session)])
    await closeSite(link)
    resolveClosed(undefined)
  }

  const connection: Connection = {
    perRequestStream: true,
    closed,
    request,
    send: tell,
    close: () => (closing ??= close()),
  }
  return connection
}

function givenUp(signal: AbortSignal | undefined, delivered: boolean): ConnectionError {
  return new ConnectionError('the request was given up', { delivered, lost: false }, { cause: signal?.reason })
}
