import type { ConsolaInstance } from 'consola'
import { FastResponse } from 'srvx'
import type { Principal } from '../auth.ts'
import { RpcError } from '../errors.ts'
import type { Call, LogLevel, Method, Peer } from '../gateway/call.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { problem, rpcProblem } from '../http/errors.ts'
import { InFlight } from '../in-flight.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { Envelope } from '../wire/envelope.ts'
import {
  asMessage,
  failure,
  isNotification,
  isObject,
  isRequest,
  notification,
  success,
  type JsonObject,
  type RpcErrorBody,
  type RpcId,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../wire/jsonrpc.ts'
import { errorBody } from './errors.ts'
import type { DownstreamFace } from './face.ts'
import { isAtLeast } from './levels.ts'
import { createListeners } from './listen.ts'
import { Reply, takesStreams } from './reply.ts'
import { isMethod, nextRequestId, refuseAsk } from './requests.ts'
import { discovery, stamp } from './results.ts'
import { checkEnvelope, checkLogLevel } from './validate.ts'

export interface ModernFaceOptions {
  readonly gateway: Gateway
  /** Whether calls of one principal may share what a server says: false where several people look like one. */
  readonly oneParty: boolean
  readonly logger: ConsolaInstance
}

/** How long (ms) clients may keep what `server/discover` answers, once it changes no more by itself. */
const DISCOVERY_LIFE = 3_600_000

/** A request for the gateway. */
interface Asked {
  readonly id: RpcId
  readonly method: Method
  readonly envelope: Envelope
  readonly peer: Peer
  /** For the log. */
  readonly requestId: string
  readonly logLevel?: LogLevel
}

/** The stateless revision 2026-07-28 over Streamable HTTP: every request stands for itself. */
export function modernDownstream(options: ModernFaceOptions): DownstreamFace {
  const { gateway, oneParty, logger } = options
  const listeners = createListeners(gateway)
  const open = new InFlight<string, AbortController>()

  async function handle(request: Request, body: unknown, principal: Principal): Promise<Response> {
    if (request.method !== 'POST')
      return problem(405, 'method_not_allowed', 'This protocol version has POST only.', { allow: 'POST, OPTIONS' })
    if (Array.isArray(body))
      return rpcProblem(400, ErrorCode.InvalidRequest, 'Batches are not part of this protocol version')
    const message = asMessage(body)
    if (message === undefined || !isRequest(message)) {
      // The only notification a client has in this revision is for stdio; here it has nothing to say.
      if (message !== undefined && isNotification(message)) return new FastResponse(null, { status: 202 })
      return rpcProblem(400, ErrorCode.InvalidRequest, 'Not a JSON-RPC 2.0 request')
    }
    const envelope = checkEnvelope(request.headers, message)
    if ('code' in envelope) return refuse(message, envelope)
    const logLevel = checkLogLevel(message)
    if (typeof logLevel === 'object') return refuse(message, logLevel)
    if (message.method === 'server/discover') return respond(success(message.id, discover(principal)))
    const peer = peerOf(envelope, principal)
    if (message.method === 'subscriptions/listen') {
      return listeners.listen(request, message, peer, () => leave(peer))
    }
    const { method } = message
    if (!isMethod(method)) {
      return refuse(message, { code: ErrorCode.MethodNotFound, message: `Method not found: ${method}` })
    }
    return exchange(request, {
      id: message.id,
      method,
      envelope,
      peer,
      requestId: nextRequestId(),
      ...(logLevel && { logLevel }),
    })
  }

  function discover(principal: Principal): JsonObject {
    return discovery({
      instructions: gateway.instructions(principal),
      // While servers are on their first connect, more of them may yet have something to say.
      ttlMs: gateway.settling ? 0 : DISCOVERY_LIFE,
      isPublic: principal.permissions === undefined,
    })
  }

  function peerOf({ clientCapabilities, clientInfo }: Envelope, principal: Principal): Peer {
    return {
      principal,
      party: oneParty ? principal.id : nextRequestId(),
      client: {
        capabilities: isObject(clientCapabilities) ? clientCapabilities : {},
        ...(isObject(clientInfo) && { info: clientInfo }),
      },
      notify: () => {},
      ask: refuseAsk,
    }
  }

  /** A party of one request is gone with it. */
  function leave({ party }: Peer): void {
    if (!oneParty) gateway.release(party)
  }

  function exchange(request: Request, asked: Asked): Promise<Response> {
    const { requestId } = asked
    const controller = new AbortController()
    const cancel = () => controller.abort()
    // In this revision closing the stream is how a client cancels (basic/patterns/cancellation).
    request.signal.addEventListener('abort', cancel, { once: true })
    open.set(requestId, controller)
    const reply = new Reply({
      expected: 1,
      batch: false,
      streams: takesStreams(request.headers),
      status: statusOf,
      ondisconnect: cancel,
    })
    void answer(asked, controller.signal, reply).then((response) => {
      open.delete(requestId)
      request.signal.removeEventListener('abort', cancel)
      reply.end(response)
      leave(asked.peer)
    })
    return reply.response
  }

  async function answer(asked: Asked, signal: AbortSignal, reply: Reply): Promise<RpcResponse> {
    const { id, method, envelope, peer, logLevel, requestId } = asked
    const call: Call = {
      ...peer,
      method,
      params: envelope.params,
      signal,
      progress: envelope.progressToken !== undefined,
      ...(logLevel && { logLevel }),
      requestId,
      notify(message) {
        const notice = noticeFor(asked, message)
        if (notice !== undefined) reply.send(notice)
      },
    }
    try {
      const outcome = await gateway.call(call)
      if (outcome.kind === 'complete') return success(id, stamp(method, outcome.result))
      throw new RpcError(ErrorCode.InternalError, 'The server needs input, which cannot be passed on yet')
    } catch (error) {
      if (signal.aborted) return failure(id, { code: ErrorCode.InternalError, message: 'Request cancelled' })
      return failure(id, ofThisEra(errorBody(error, requestId, logger)))
    }
  }

  return {
    handle,
    async close() {
      listeners.close()
      for (const controller of open.values()) controller.abort()
    },
  }
}

/** What a client is told of its call: progress under its own token, and the log if it asked for it, from that level up. */
function noticeFor({ envelope, logLevel }: Asked, message: RpcNotification): RpcNotification | undefined {
  if (message.method === 'notifications/message') {
    return logLevel !== undefined && isAtLeast(logLevel, message) ? message : undefined
  }
  const { progressToken } = envelope
  if (message.method !== 'notifications/progress' || progressToken === undefined) return undefined
  return notification(message.method, { ...message.params, progressToken })
}

/** 2026-07-28 has no code of its own for missing resources (basic/index#Error Codes). */
function ofThisEra(error: RpcErrorBody): RpcErrorBody {
  return error.code === ErrorCode.ResourceNotFound ? { ...error, code: ErrorCode.InvalidParams } : error
}

/** HTTP status of an answer (streamable-http): 404 for an unknown method, 400 where request and wire disagree, else 200. */
function statusOf(response: RpcResponse): number {
  if (!('error' in response)) return 200
  const { code } = response.error
  if (code === ErrorCode.MethodNotFound) return 404
  return code <= ErrorCode.HeaderMismatch && code >= ErrorCode.UnsupportedProtocolVersion ? 400 : 200
}

function refuse({ id }: RpcRequest, error: RpcErrorBody): Response {
  const status = error.code === ErrorCode.MethodNotFound ? 404 : 400
  return respond(failure(id, error), status)
}

function respond(response: RpcResponse, status = 200): Response {
  return new FastResponse(JSON.stringify(response), { status, headers: { 'content-type': 'application/json' } })
}
