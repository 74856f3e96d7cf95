import type { ConsolaInstance } from 'consola'
import { FastResponse } from 'srvx'
import { ownerOf, type Principal } from '../auth.ts'
import type { Peer } from '../gateway/call.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { problem, rpcProblem } from '../http/errors.ts'
import type { Keys } from '../keys.ts'
import type { StandingStreams } from '../standing-streams.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { Envelope } from '../wire/envelope.ts'
import {
  asMessage,
  failure,
  isNotification,
  isObject,
  isRequest,
  success,
  type JsonObject,
  type RpcErrorBody,
  type RpcRequest,
} from '../wire/jsonrpc.ts'
import type { DownstreamFace } from './face.ts'
import { createListeners } from './listen.ts'
import { createModernCalls } from './modern-calls.ts'
import { checkParamHeaders, readParamHeaders } from './params.ts'
import { isMethod, nextRequestId, refuseAsk } from './requests.ts'
import { discovery } from './results.ts'
import { respond } from './statuses.ts'
import type { Asked } from './turn.ts'
import { checkEnvelope, checkLogLevel } from './validate.ts'

export interface ModernFaceOptions {
  readonly gateway: Gateway
  readonly keys: Keys
  readonly standing: StandingStreams
  /** Whether calls of one principal may share what a server says: false where several people look like one. */
  readonly oneParty: boolean
  readonly logger: ConsolaInstance
}

/** How long (ms) clients may keep what `server/discover` answers, once it changes no more by itself. */
const DISCOVERY_LIFE = 3_600_000

/** The stateless revision 2026-07-28 over Streamable HTTP: every request stands for itself. */
export function modernDownstream({ gateway, keys, standing, oneParty, logger }: ModernFaceOptions): DownstreamFace {
  const listeners = createListeners(gateway, standing)
  const calls = createModernCalls({ gateway, keys, logger, onend: leave })

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
    return route(request, message, envelope, principal)
  }

  function route(
    request: Request,
    message: RpcRequest,
    envelope: Envelope,
    principal: Principal,
  ): Response | Promise<Response> {
    const logLevel = checkLogLevel(message)
    if (typeof logLevel === 'object') return refuse(message, logLevel)
    const { id, method } = message
    if (method === 'server/discover') return respond(success(id, discover(principal)))
    const peer = peerOf(envelope, principal)
    if (method === 'subscriptions/listen') return listeners.listen(request, message, peer, () => leave(peer))
    if (!isMethod(method)) {
      return refuse(message, { code: ErrorCode.MethodNotFound, message: `Method not found: ${method}` })
    }
    const asked = { id, method, envelope, peer, requestId: nextRequestId(), ...(logLevel && { logLevel }) }
    return method === 'tools/call' ? callTool(request, message, asked) : calls.answer(request, asked)
  }

  function callTool(request: Request, message: RpcRequest, asked: Asked): Response | Promise<Response> {
    const tool = toolOf(asked)
    if (tool !== undefined || !gateway.settling) return callFound(request, message, asked, tool)
    // While servers are on their first connect it may still come, and its headers count too.
    return gateway.settled().then(() => callFound(request, message, asked, toolOf(asked)))
  }

  function toolOf({ peer, envelope: { params } }: Asked): JsonObject | undefined {
    return typeof params.name === 'string' ? gateway.tool(peer.principal, params.name) : undefined
  }

  function callFound(
    request: Request,
    message: RpcRequest,
    asked: Asked,
    tool: JsonObject | undefined,
  ): Response | Promise<Response> {
    const mismatch = tool && checkParamHeaders(request.headers, tool, asked.envelope.params)
    if (mismatch !== undefined) return refuse(message, mismatch)
    const headers = readParamHeaders(request)
    return calls.answer(request, headers === undefined ? asked : { ...asked, headers })
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
      party: oneParty ? ownerOf(principal) : nextRequestId(),
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

  return {
    handle,
    async close() {
      listeners.close()
      calls.close()
    },
  }
}

function refuse({ id }: RpcRequest, error: RpcErrorBody): Response {
  const status = error.code === ErrorCode.MethodNotFound ? 404 : 400
  return respond(failure(id, error), status)
}
