import { RpcError } from '../errors.ts'
import { complete, type Call, type LogLevel, type Outcome, type Peer } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { Meta, withMeta } from '../wire/envelope.ts'
import {
  isFailure,
  isObject,
  isRequest,
  notification,
  type JsonObject,
  type RpcErrorBody,
  type RpcNotification,
  type RpcRequest,
} from '../wire/jsonrpc.ts'
import { isLegacyVersion, NEWEST_LEGACY } from '../wire/versions.ts'
import { readAbout } from './about.ts'
import { createAsks, type Asked } from './asks.ts'
import { CLIENT_INFO } from './capabilities.ts'
import { concernsAll, eventOf } from './events.ts'
import type { About, Refused, UpstreamEvent, UpstreamFace } from './face.ts'
import type { Patience } from './patience.ts'
import { createRequests, resultOf, rpcError, type RequestsOptions } from './requests.ts'
import { createSubscriber } from './subscriber.ts'

export interface LegacyOptions extends RequestsOptions {
  /** What is declared to the server: what its clients can be asked. */
  readonly capabilities: JsonObject
  onevent(event: UpstreamEvent): void
  /** The server shows state per client: it asked somebody something. */
  onstate(): void
  /** The only party that this instance will ever serve, where that is known from the start. */
  readonly owner?: string
  /** Who of a party can be asked outside of any call. */
  peerOf(party: string): Peer | undefined
}

/** Speaks the session-based revisions to one server: initialize once, then calls by own ids and tokens. */
export function legacyFace(options: LegacyOptions): UpstreamFace {
  const { connection, name, logger } = options
  const asks = createAsks(connection, logger)
  const subscribe = createSubscriber(own)
  // Closing a stream means nothing in these revisions: the server is told.
  const requests = createRequests(options, listen, () => true)
  /** Aborts once no call waits any more; made when somebody wants to know. */
  let calm: AbortController | undefined
  let lastId = 0
  let about: About | undefined

  connection.onmessage = (message, party = options.owner) => {
    if (!isRequest(message)) return hear(message, party)
    const peer = party === undefined ? undefined : options.peerOf(party)
    ask(message, peer && { peer })
  }

  function ask(message: RpcRequest, asked: Asked | undefined): void {
    if (message.method !== 'ping') options.onstate()
    void asks.answer(message, asked)
  }

  function hear(message: RpcNotification, party: string | undefined): void {
    const event = eventOf(message, party)
    if (event !== undefined) options.onevent(event)
    else if (message.method === 'notifications/cancelled') takeBack(message.params)
    else logger.debug(`notification ${message.method} belongs to no call and is dropped`)
  }

  function takeBack(params: JsonObject | undefined): void {
    const id = params?.requestId
    if (typeof id === 'string' || typeof id === 'number') asks.cancel(id)
  }

  /** Everything the server says about one call. */
  function listen(call: Call, patience: Patience) {
    return (message: RpcRequest | RpcNotification, isOwn = false): void => {
      patience.reset()
      if (isRequest(message)) {
        if (message.method !== 'ping') options.onstate()
        // On a pipe it may be about any of several calls: each of them waits for the answer, and none of them ends it.
        const open = isOwn ? [{ requestId: call.requestId, patience }] : requests.open.values()
        const releases = open.map((each) => each.patience.hold())
        const asked =
          open.length > 1
            ? { peer: call, signal: endOfAll(), unbound: open.map(({ requestId }) => requestId) }
            : { peer: call, signal: call.signal }
        void asks.answer(message, asked).finally(() => releases.forEach((release) => release()))
      } else if (message.method === 'notifications/progress') {
        const { progressToken: _, ...params } = message.params ?? {}
        call.notify(notification(message.method, params))
      } else if (message.method === 'notifications/cancelled') takeBack(message.params)
      else if (concernsAll(message.method)) hear(message, undefined)
      else call.notify(message)
    }
  }

  async function call(call: Call): Promise<Outcome> {
    call.signal.throwIfAborted()
    if (call.method === 'completion/complete' && !completes(about)) return complete({ completion: { values: [] } })
    const id = ++lastId
    const params = call.progress ? withMeta(call.params, Meta.progressToken, id) : call.params
    try {
      const response = await requests.send(call, { jsonrpc: '2.0', id, method: call.method, params })
      if (isFailure(response)) throw rpcError(ofNoWire(response.error))
      return complete(response.result)
    } finally {
      if (requests.open.size === 0) becomeCalm()
    }
  }

  function endOfAll(): AbortSignal {
    calm ??= new AbortController()
    return calm.signal
  }

  function becomeCalm(): void {
    calm?.abort()
    calm = undefined
  }

  /** A request of the proxy's own; rejects `RpcError` with the server's error. */
  async function own(method: string, params: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    const onmessage = (message: RpcRequest | RpcNotification): void => connection.onmessage?.(message)
    const response = await connection.request(
      { jsonrpc: '2.0', id: ++lastId, method, params },
      { party: '', signal, onmessage },
    )
    return resultOf(response)
  }

  async function start(signal: AbortSignal): Promise<About> {
    const params = { protocolVersion: NEWEST_LEGACY, capabilities: options.capabilities, clientInfo: CLIENT_INFO }
    about = aboutOf(await own('initialize', params, signal))
    await connection.send(notification('notifications/initialized'))
    return about
  }

  async function setLevel(level: LogLevel, signal: AbortSignal): Promise<void> {
    if (about?.capabilities.logging !== undefined) await own('logging/setLevel', { level }, signal)
  }

  async function watch(uris: ReadonlySet<string>, signal: AbortSignal): Promise<Refused> {
    const resources = about?.capabilities.resources
    if (isObject(resources) && resources.subscribe === true) return subscribe(uris, signal)
    const error = new RpcError(ErrorCode.MethodNotFound, `server "${name}" has no subscriptions`)
    return new Map([...uris].map((uri) => [uri, error]))
  }

  return {
    era: 'legacy',
    start,
    call,
    setLevel,
    watch,
    ping: async (signal) => void (await own('ping', {}, signal)),
    close() {
      asks.close()
      return connection.close()
    },
  }
}

/** What the codes mean that 2026-07-28 has for the wire is nothing that a server of these revisions can have meant. */
function ofNoWire(error: RpcErrorBody): RpcErrorBody {
  const { code } = error
  const isOfWire = code <= ErrorCode.HeaderMismatch && code >= ErrorCode.UnsupportedProtocolVersion
  return isOfWire ? { ...error, code: ErrorCode.InternalError } : error
}

/** Whether a server can be asked for completions. The first revision had no capability for them. */
function completes(about: About | undefined): boolean {
  return about === undefined || about.protocolVersion === '2024-11-05' || about.capabilities.completions !== undefined
}

function aboutOf(result: JsonObject): About {
  const { protocolVersion, serverInfo } = result
  if (typeof protocolVersion !== 'string' || !isLegacyVersion(protocolVersion)) {
    throw new Error(`initialize answered with protocol version ${JSON.stringify(protocolVersion)}, which is not known`)
  }
  return readAbout(protocolVersion, result, serverInfo)
}
