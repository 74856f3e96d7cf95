import type { ConsolaInstance } from 'consola'
import { isRpcError, reasonOf, RpcError } from '../errors.ts'
import { complete, type Call, type Outcome } from '../gateway/call.ts'
import type { Connection } from '../transport.ts'
import { version } from '../version.ts'
import { ErrorCode } from '../wire/codes.ts'
import { Meta, withMeta } from '../wire/envelope.ts'
import {
  failure,
  isFailure,
  isObject,
  isRequest,
  notification,
  success,
  type JsonObject,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../wire/jsonrpc.ts'
import { isLegacyVersion, NEWEST_LEGACY } from '../wire/versions.ts'
import type { About, UpstreamEvent, UpstreamFace } from './face.ts'
import { startPatience } from './patience.ts'

export interface LegacyOptions {
  readonly connection: Connection
  /** The server's name, for messages. */
  readonly name: string
  readonly logger: ConsolaInstance
  /** Ms without a sign of life; progress resets it. */
  readonly requestTimeout: number
  /** Ms, whatever progress is made. */
  readonly requestCeiling: number
  onevent(event: UpstreamEvent): void
}

const EVENTS: ReadonlyMap<string, 'tools' | 'prompts' | 'resources'> = new Map([
  ['notifications/tools/list_changed', 'tools'],
  ['notifications/prompts/list_changed', 'prompts'],
  ['notifications/resources/list_changed', 'resources'],
] as const)

/** Speaks the session-based revisions to one server: initialize once, then calls by own ids and tokens. */
export function legacyFace(options: LegacyOptions): UpstreamFace {
  const { connection, name, logger } = options
  let lastId = 0
  connection.onmessage = (message) => {
    if (isRequest(message)) void answer(message, undefined)
    else hear(message)
  }

  function hear(message: RpcNotification): void {
    const kind = EVENTS.get(message.method)
    if (kind !== undefined) options.onevent({ kind })
    else if (message.method === 'notifications/message') logOf(message.params)
    else logger.debug(`notification ${message.method} belongs to no call and is dropped`)
  }

  function logOf(params: JsonObject | undefined): void {
    const data = params?.data
    logger.debug(typeof data === 'string' ? data : JSON.stringify(data ?? null))
  }

  /** A question of the server: passed to the client whose call caused it, refused where there is none. */
  async function answer(request: RpcRequest, call: Call | undefined): Promise<void> {
    const respond = (response: RpcResponse) =>
      connection
        .send(response)
        .catch((error) => logger.debug(`answer to ${request.method} not sent: ${reasonOf(error)}`))
    if (request.method === 'ping') return respond(success(request.id, {}))
    try {
      if (call === undefined) throw new RpcError(ErrorCode.MethodNotFound, `${request.method}: no client to ask`)
      const ask =
        request.params === undefined ? { method: request.method } : { method: request.method, params: request.params }
      await respond(success(request.id, await call.ask(ask, call.signal)))
    } catch (error) {
      const body = isRpcError(error) ? { code: error.code, message: error.message } : undefined
      await respond(failure(request.id, body ?? { code: ErrorCode.InternalError, message: reasonOf(error) }))
    }
  }

  function listen(call: Call, alive: () => void) {
    return (message: RpcRequest | RpcNotification): void => {
      alive()
      if (isRequest(message)) void answer(message, call)
      else if (message.method === 'notifications/progress') {
        const { progressToken: _, ...params } = message.params ?? {}
        call.notify(notification(message.method, params))
      } else call.notify(message)
    }
  }

  async function call(call: Call): Promise<Outcome> {
    call.signal.throwIfAborted()
    const id = ++lastId
    const params = call.progress ? withMeta(call.params, Meta.progressToken, id) : call.params
    const stop = new AbortController()
    let timedOut: string | undefined
    const patience = startPatience(options.requestTimeout, options.requestCeiling, (waited) => {
      timedOut = `server "${name}" gave no answer to ${call.method} within ${Math.round(waited / 1000)} s`
      stop.abort()
    })
    const cancel = () => stop.abort()
    call.signal.addEventListener('abort', cancel, { once: true })
    try {
      const response = await connection.request(
        { jsonrpc: '2.0', id, method: call.method, params },
        { party: call.party, signal: stop.signal, onmessage: listen(call, () => patience.reset()) },
      )
      if (isFailure(response)) throw new RpcError(response.error.code, response.error.message, response.error.data)
      return complete(response.result)
    } catch (error) {
      if (stop.signal.aborted) withdraw(id, timedOut ?? 'the client cancelled')
      if (timedOut !== undefined) throw new RpcError(ErrorCode.InternalError, timedOut, { requestId: call.requestId })
      throw error
    } finally {
      patience.stop()
      call.signal.removeEventListener('abort', cancel)
    }
  }

  function withdraw(requestId: number, reason: string): void {
    connection.send(notification('notifications/cancelled', { requestId, reason })).catch((error) => {
      logger.debug(`cancellation not sent: ${reasonOf(error)}`)
    })
  }

  async function start(signal: AbortSignal): Promise<About> {
    const response = await connection.request(
      {
        jsonrpc: '2.0',
        id: ++lastId,
        method: 'initialize',
        // Nothing is declared while questions cannot be passed on: a server then does not ask.
        params: {
          protocolVersion: NEWEST_LEGACY,
          capabilities: {},
          clientInfo: { name: 'mcp-proxy-server', version },
        },
      },
      {
        party: '',
        signal,
        onmessage: (message) => (isRequest(message) ? void answer(message, undefined) : hear(message)),
      },
    )
    if (isFailure(response)) throw new Error(`initialize failed: ${response.error.message}`)
    const about = readAbout(response.result)
    await connection.send(notification('notifications/initialized'))
    return about
  }

  return { era: 'legacy', start, call, close: () => connection.close() }
}

function readAbout(result: JsonObject): About {
  const { protocolVersion, capabilities, serverInfo, instructions } = result
  if (typeof protocolVersion !== 'string' || !isLegacyVersion(protocolVersion)) {
    throw new Error(`initialize answered with protocol version ${JSON.stringify(protocolVersion)}, which is not known`)
  }
  return {
    protocolVersion,
    capabilities: isObject(capabilities) ? capabilities : {},
    serverInfo: isObject(serverInfo) ? serverInfo : {},
    ...(typeof instructions === 'string' ? { instructions } : undefined),
  }
}
