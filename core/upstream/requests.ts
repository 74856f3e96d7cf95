import type { ConsolaInstance } from 'consola'
import { reasonOf, RpcError } from '../errors.ts'
import type { Call } from '../gateway/call.ts'
import { InFlight } from '../in-flight.ts'
import type { Connection, Exchange } from '../transport.ts'
import { ErrorCode } from '../wire/codes.ts'
import { sealEnvelope } from '../wire/envelope.ts'
import {
  isFailure,
  notification,
  type JsonObject,
  type RpcErrorBody,
  type RpcId,
  type RpcRequest,
  type RpcResponse,
} from '../wire/jsonrpc.ts'
import { CLIENT_INFO } from './capabilities.ts'
import { startPatience, type Patience } from './patience.ts'

export interface RequestsOptions {
  readonly connection: Connection
  /** The server's name, for messages. */
  readonly name: string
  readonly logger: ConsolaInstance
  /** Ms without a sign of life; progress resets it. */
  readonly requestTimeout: number
  /** Ms, whatever progress is made. */
  readonly requestCeiling: number
  /** The server was silent for too long: whether it is still there at all is worth asking. */
  onsilence(): void
}

/** Makes what hears the server's words about one call. */
export type Listen = (call: Call, patience: Patience) => Exchange['onmessage']

/** Clients' requests on one connection, of whichever era: each has its patience and can be cancelled. */
export interface Requests {
  /** Rejects `ConnectionError`, or `RpcError` when the server was silent for too long. */
  send(call: Call, message: RpcRequest, headers?: Readonly<Record<string, string>>): Promise<RpcResponse>
  /** Those without an answer yet. */
  readonly open: InFlight<RpcId, Open>
}

/** A request without an answer yet. */
interface Open {
  /** Of the client's call. */
  readonly requestId: string
  readonly patience: Patience
}

/** `tells`: whether the server must be told that nobody waits any more, rather than see a stream closed. */
export function createRequests(options: RequestsOptions, listen: Listen, tells: () => boolean): Requests {
  const { connection, name, logger } = options
  const open = new InFlight<RpcId, Open>()

  async function send(
    call: Call,
    message: RpcRequest,
    headers?: Readonly<Record<string, string>>,
  ): Promise<RpcResponse> {
    const { id } = message
    const stop = new AbortController()
    let timedOut: string | undefined
    const patience = startPatience(options.requestTimeout, options.requestCeiling, (waited) => {
      timedOut = `server "${name}" gave no answer to ${call.method} within ${Math.round(waited / 1000)} s`
      stop.abort()
    })
    const cancel = () => stop.abort()
    call.signal.addEventListener('abort', cancel, { once: true })
    open.set(id, { requestId: call.requestId, patience })
    const { party } = call
    const { signal } = stop
    const onmessage = listen(call, patience)
    try {
      const exchange = headers === undefined ? { party, signal, onmessage } : { party, signal, onmessage, headers }
      return await connection.request(message, exchange)
    } catch (error) {
      if (signal.aborted && tells()) withdraw(connection, logger, id, timedOut ?? 'the client cancelled')
      if (timedOut === undefined) throw error
      options.onsilence()
      throw new RpcError(ErrorCode.InternalError, timedOut, { requestId: call.requestId })
    } finally {
      patience.stop()
      call.signal.removeEventListener('abort', cancel)
      open.delete(id)
    }
  }

  return { send, open }
}

/** Tells the server that nobody waits for the answer to a request any more. Never rejects. */
export function withdraw(connection: Connection, logger: ConsolaInstance, requestId: RpcId, reason: string): void {
  connection.send(notification('notifications/cancelled', { requestId, reason })).catch((error) => {
    logger.debug(`cancellation not sent: ${reasonOf(error)}`)
  })
}

/** The result in a response; throws `RpcError` with the server's error. */
export function resultOf(response: RpcResponse): JsonObject {
  if (isFailure(response)) throw rpcError(response.error)
  return response.result
}

/** The server's own error. */
export function rpcError({ code, message, data }: RpcErrorBody): RpcError {
  return new RpcError(code, message, data)
}

/** A 2026-07-28 request that the proxy makes for itself: nobody is behind it who could be asked. */
export function ownRequest(method: string, params: JsonObject, id: RpcId): RpcRequest {
  const sealed = sealEnvelope(params, { clientCapabilities: {}, clientInfo: CLIENT_INFO })
  return { jsonrpc: '2.0', id, method, params: sealed }
}
