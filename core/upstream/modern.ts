import { ConnectionError, RpcError } from '../errors.ts'
import type { Call, Outcome } from '../gateway/call.ts'
import type { Exchange } from '../transport.ts'
import { ErrorCode } from '../wire/codes.ts'
import { Meta, sealEnvelope } from '../wire/envelope.ts'
import { standardHeaders } from '../wire/headers.ts'
import {
  failure,
  isFailure,
  isObject,
  isRequest,
  notification,
  type JsonObject,
  type RpcErrorBody,
  type RpcId,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../wire/jsonrpc.ts'
import { mirrorParams } from '../wire/param-headers.ts'
import { MODERN_VERSIONS } from '../wire/versions.ts'
import { readAbout } from './about.ts'
import { capabilitiesOf, CLIENT_INFO } from './capabilities.ts'
import { createDeclared } from './declared.ts'
import { concernsAll, eventOf } from './events.ts'
import type { About, UpstreamEvent, UpstreamFace } from './face.ts'
import { createListening } from './listening.ts'
import { readOutcome } from './modern-outcome.ts'
import type { Patience } from './patience.ts'
import { createRequests, ownRequest, resultOf, rpcError, type RequestsOptions } from './requests.ts'

export interface ModernOptions extends RequestsOptions {
  /** The answer to `server/discover`, where it is there already. */
  readonly discovered?: JsonObject | undefined
  /** The server's tools as they are known from another connection or run. */
  readonly tools: readonly JsonObject[]
  onevent(event: UpstreamEvent): void
  /** The server no longer speaks this era. */
  onera(): void
}

const VERSION = MODERN_VERSIONS[0]

/** Speaks 2026-07-28 to one server: every request stands for itself, and nothing is remembered between two. */
export function modernFace(options: ModernOptions): UpstreamFace {
  const { connection, name, logger } = options
  const declared = createDeclared({ tools: options.tools, isHttp: connection.perRequestStream, logger, call })
  const requests = createRequests(options, listen, () => !connection.perRequestStream)
  const listening = createListening({ ...options, request: own, onmessage: (message) => hear(message, undefined) })
  /** Calls about which the server has said something: it has begun to carry them out. */
  const begun = new WeakSet<Call>()
  let lastId = 0
  let hasAsked = false

  connection.onmessage = (message, party) => {
    if (isRequest(message)) refuse(message)
    else hear(message, party)
  }

  /** Servers of this era ask in their results (basic/patterns#Overview). */
  function refuse({ id, method }: RpcRequest): void {
    if (!hasAsked) logger.debug(`the server sent the request ${method}, which this protocol version does not have`)
    hasAsked = true
    if (connection.perRequestStream) return
    const error = { code: ErrorCode.MethodNotFound, message: `Servers send no requests in ${VERSION}` }
    connection.send(failure(id, error)).catch(() => {})
  }

  function hear(message: RpcNotification, party: string | undefined): void {
    const event = eventOf(message, party)
    if (event !== undefined) options.onevent(event)
    else if (message.method === 'notifications/cancelled') listening.cancelled(message.params?.requestId)
    else logger.debug(`notification ${message.method} belongs to no call and is dropped`)
  }

  /** Everything the server says about one call. */
  function listen(call: Call, patience: Patience) {
    return (message: RpcRequest | RpcNotification): void => {
      patience.reset()
      begun.add(call)
      if (isRequest(message)) refuse(message)
      else if (message.method === 'notifications/progress') {
        const { progressToken: _, ...params } = message.params ?? {}
        call.notify(notification(message.method, params))
      } else if (concernsAll(message.method)) hear(message, undefined)
      else call.notify(message)
    }
  }

  function send(call: Call, headers: Record<string, string> | undefined): Promise<RpcResponse> {
    const id = ++lastId
    const { method, round } = call
    let { params } = call
    if (round?.inputResponses !== undefined) params = { ...params, inputResponses: round.inputResponses }
    if (round?.requestState !== undefined) params = { ...params, requestState: round.requestState }
    const sealed = sealEnvelope(params, {
      clientCapabilities: capabilitiesOf(call),
      clientInfo: CLIENT_INFO,
      progressToken: call.progress ? id : undefined,
      logLevel: call.logLevel,
    })
    return requests.send(call, { jsonrpc: '2.0', id, method, params: sealed }, headers)
  }

  function headersOf(call: Call): Record<string, string> {
    const headers = standardHeaders(call.method, call.params)
    const tool = call.method === 'tools/call' && typeof call.params.name === 'string' ? call.params.name : undefined
    const mirrored = tool === undefined ? [] : declared.of(tool)
    if (mirrored.length > 0) Object.assign(headers, mirrorParams(mirrored, call.params.arguments))
    // Whatever else the client sent may be some intermediary's business.
    for (const header in call.headers) {
      const value = call.headers[header]
      if (value !== undefined && !mirrored.some((own) => own.header === header)) headers[header] = value
    }
    return headers
  }

  async function call(call: Call): Promise<Outcome> {
    call.signal.throwIfAborted()
    const headers = connection.perRequestStream ? headersOf(call) : undefined
    let response = await send(call, headers)
    if (headers !== undefined && isMismatch(response)) response = (await mend(call, headers)) ?? response
    if (isFailure(response)) throw failed(response.error, call) ?? rpcError(response.error)
    const result = call.method === 'tools/list' ? declared.learn(call.params, response.result) : response.result
    return readOutcome(name, call.method, result)
  }

  /** Sends a call once more where its tool is not what it was when it was listed: only then was it refused unseen. */
  async function mend(call: Call, sent: Record<string, string>): Promise<RpcResponse | undefined> {
    if (call.method !== 'tools/call' || begun.has(call)) return undefined
    await declared.relist(call.signal)
    const headers = headersOf(call)
    if (isSame(headers, sent)) return undefined
    options.onevent({ kind: 'tools' })
    return send(call, headers)
  }

  /** What a server says about this hop is nothing that a client could do anything about. */
  function failed({ code, data }: RpcErrorBody, call: Call): Error | undefined {
    const { method, requestId } = call
    if (code === ErrorCode.HeaderMismatch) {
      const message = `server "${name}" finds that headers and body of ${method} disagree`
      return new RpcError(ErrorCode.InternalError, message, { requestId })
    }
    if (code !== ErrorCode.UnsupportedProtocolVersion) return undefined
    const supported = isObject(data) ? data.supported : undefined
    // Only of what it provably did not begin: the call goes to a new instance.
    if (Array.isArray(supported) && !supported.includes(VERSION) && !begun.has(call)) {
      options.onera()
      return new ConnectionError(`it no longer speaks ${VERSION}`, { delivered: false, lost: true })
    }
    const message = `server "${name}" refuses the protocol version of ${method}, though it speaks it`
    return new RpcError(ErrorCode.InternalError, message, { requestId })
  }

  /** A request of the proxy's own. */
  function own(
    method: string,
    params: JsonObject,
    signal: AbortSignal,
    onmessage: Exchange['onmessage'] = (message) => connection.onmessage?.(message),
    id: RpcId = ++lastId,
  ): Promise<RpcResponse> {
    const message = ownRequest(method, params, id)
    return connection.request(message, { party: '', signal, onmessage, headers: standardHeaders(method, params) })
  }

  return {
    era: 'modern',
    async start(signal) {
      const about = aboutOf(options.discovered ?? resultOf(await own('server/discover', {}, signal)))
      await listening.begin(about.capabilities, signal)
      return about
    },
    call,
    // Every call says for itself which messages it wants.
    setLevel: async () => {},
    watch: listening.watch,
    hears: listening.hears,
    ping: async (signal) => void resultOf(await own('server/discover', {}, signal)),
    close() {
      listening.close()
      return connection.close()
    },
  }
}

function isSame(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(one)
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name])
}

function isMismatch(response: RpcResponse): boolean {
  return isFailure(response) && response.error.code === ErrorCode.HeaderMismatch
}

/** Throws `RpcError` where the server does not name this version. */
function aboutOf(discovered: JsonObject): About {
  const { supportedVersions, _meta } = discovered
  if (Array.isArray(supportedVersions) && supportedVersions.includes(VERSION)) {
    return readAbout(VERSION, discovered, isObject(_meta) ? _meta[Meta.serverInfo] : undefined)
  }
  const message = `server/discover answered with the protocol versions ${JSON.stringify(supportedVersions)}`
  throw new RpcError(ErrorCode.UnsupportedProtocolVersion, message)
}
