import type { ConsolaInstance } from 'consola'
import { FastResponse } from 'srvx'
import type { Principal } from '../auth.ts'
import { RpcError } from '../errors.ts'
import type { Call } from '../gateway/call.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { HookRunner } from '../hooks.ts'
import { problem, rpcProblem } from '../http/errors.ts'
import { version } from '../version.ts'
import { ErrorCode } from '../wire/codes.ts'
import { openEnvelope } from '../wire/envelope.ts'
import {
  asMessage,
  failure,
  isNotification,
  isRequest,
  notification,
  success,
  type JsonObject,
  type RpcMessage,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../wire/jsonrpc.ts'
import { BATCH_VERSION, isLegacyVersion, NEWEST_LEGACY } from '../wire/versions.ts'
import { openStandingChannel, STREAM_HEADERS } from './channel.ts'
import { errorBody } from './errors.ts'
import type { DownstreamFace } from './face.ts'
import { Reply, takesStreams } from './reply.ts'
import { CAPABILITIES, isMethod, listChanged, nextRequestId, refuseAsk } from './requests.ts'
import type { Session, Sessions } from './sessions.ts'

export interface LegacyFaceOptions {
  readonly gateway: Gateway
  readonly sessions: Sessions
  readonly hooks: HookRunner
  readonly logger: ConsolaInstance
}

/** The session-based revisions 2024-11-05 to 2025-11-25 over Streamable HTTP. */
export function legacyDownstream(options: LegacyFaceOptions): DownstreamFace {
  const { gateway, sessions, hooks, logger } = options

  async function handle(request: Request, message: unknown, principal: Principal): Promise<Response> {
    const messages = request.method === 'POST' ? readMessages(message) : []
    if (messages instanceof Response) return messages
    const [first] = messages
    if (first !== undefined && isRequest(first) && first.method === 'initialize') {
      return messages.length === 1 && !Array.isArray(message)
        ? initialize(first, principal)
        : invalid('initialize must come alone')
    }
    const version = request.headers.get('mcp-protocol-version')
    if (version !== null && !isLegacyVersion(version)) return invalid(`MCP-Protocol-Version ${version} is not served`)
    const id = request.headers.get('mcp-session-id')
    if (id === null) return invalid('Mcp-Session-Id is missing: send initialize first', idOf(first))
    const session = await sessions.find(id, principal)
    if (session === undefined) return rpcProblem(404, ErrorCode.SessionNotFound, 'Session not found', idOf(first))
    if (request.method === 'GET') return stream(request, session)
    if (request.method === 'DELETE') return end(session, principal)
    if (Array.isArray(message) && session.protocolVersion !== BATCH_VERSION) {
      return invalid(`Batches are not part of protocol version ${session.protocolVersion}`)
    }
    return exchange(request, messages, Array.isArray(message), session, principal)
  }

  function initialize(request: RpcRequest, principal: Principal): Response {
    const { protocolVersion: wanted, capabilities, clientInfo } = request.params ?? {}
    if (typeof wanted !== 'string') {
      return rpcProblem(400, ErrorCode.InvalidParams, 'initialize: "protocolVersion" must be a string', request.id)
    }
    const protocolVersion = isLegacyVersion(wanted) ? wanted : NEWEST_LEGACY
    const session = sessions.open({ protocolVersion, capabilities, clientInfo }, principal)
    hooks.run('session:open', { principal: principal.id, ...(principal.client && { client: principal.client }) })
    const serverInfo = { name: 'mcp-proxy-server', title: 'MCP Proxy Server', version }
    const result: JsonObject = { protocolVersion, capabilities: CAPABILITIES, serverInfo }
    return new FastResponse(JSON.stringify(success(request.id, result)), {
      headers: [
        ['content-type', 'application/json'],
        ['mcp-session-id', session.id],
      ],
    })
  }

  /** The GET stream: what concerns no call. A second one takes over, since the first is often dead without anyone knowing. */
  function stream(request: Request, session: Session): Response {
    if (!takesStreams(request.headers)) {
      return problem(406, 'not_acceptable', 'GET answers with text/event-stream only.')
    }
    session.channel?.close()
    const unsubscribe = gateway.subscribe(({ kind }) => void channel.send(notification(listChanged(kind))))
    const channel = openStandingChannel(() => {
      unsubscribe()
      if (session.channel === channel) delete session.channel
    })
    session.channel = channel
    return new FastResponse(channel.body, { headers: STREAM_HEADERS as [string, string][] })
  }

  async function end(session: Session, principal: Principal): Promise<Response> {
    await sessions.end(session)
    hooks.run('session:close', { principal: principal.id })
    return new FastResponse(null, { status: 204 })
  }

  function exchange(
    request: Request,
    messages: readonly RpcMessage[],
    batch: boolean,
    session: Session,
    principal: Principal,
  ) {
    const expected = messages.filter(isRequest).length
    const reply = new Reply({
      expected,
      batch,
      streams: takesStreams(request.headers),
      status: () => 200,
      // Losing the connection is no cancellation in these revisions (2025-11-25 basic/transports): the call goes on.
      ondisconnect: () => {},
    })
    // In their order: a batch may cancel what it has just asked for.
    for (const message of messages) {
      if (isRequest(message)) void answer(message, session, principal, reply).then((response) => reply.end(response))
      else if (isNotification(message)) hear(message, session)
    }
    if (expected === 0) return new FastResponse(null, { status: 202 })
    return reply.response
  }

  async function answer(
    request: RpcRequest,
    session: Session,
    principal: Principal,
    reply: Reply,
  ): Promise<RpcResponse> {
    const { id, method } = request
    if (method === 'ping') return success(id, {})
    if (!isMethod(method))
      return failure(id, { code: ErrorCode.MethodNotFound, message: `Method not found: ${method}` })
    if (session.calls.has(id)) return failure(id, { code: ErrorCode.InvalidRequest, message: 'This id is in use' })
    const controller = new AbortController()
    const { params, progressToken } = openEnvelope(request.params)
    const call: Call = {
      method,
      params,
      principal,
      party: session.party,
      client: { capabilities: session.capabilities, info: session.clientInfo },
      signal: controller.signal,
      progress: progressToken !== undefined,
      requestId: nextRequestId(),
      notify: (message) => relay(message, progressToken, reply),
      ask: refuseAsk,
    }
    session.calls.set(id, controller)
    try {
      const outcome = await gateway.call(call)
      if (outcome.kind === 'complete') return success(id, outcome.result)
      throw new RpcError(ErrorCode.InternalError, 'The server needs input, which this client cannot be asked for')
    } catch (error) {
      if (controller.signal.aborted) return failure(id, { code: ErrorCode.InternalError, message: 'Request cancelled' })
      return failure(id, errorBody(error, call.requestId, logger))
    } finally {
      session.calls.delete(id)
    }
  }

  return {
    handle,
    async close() {
      for (const session of sessions.live()) {
        session.channel?.close()
        for (const call of session.calls.values()) call.abort()
      }
    },
  }
}

/** Only progress is passed on: `logging` is not among the capabilities declared to the client. */
function relay(message: RpcNotification, progressToken: string | number | undefined, reply: Reply): void {
  if (message.method !== 'notifications/progress' || progressToken === undefined) return
  reply.notify(notification(message.method, { ...message.params, progressToken }))
}

function hear(message: RpcNotification, session: Session): void {
  if (message.method !== 'notifications/cancelled') return
  const id = message.params?.requestId
  if (typeof id === 'string' || typeof id === 'number') session.calls.get(id)?.abort()
}

function readMessages(body: unknown): readonly RpcMessage[] | Response {
  if (Array.isArray(body) && body.length === 0) return invalid('An empty batch')
  const messages: RpcMessage[] = []
  for (const value of Array.isArray(body) ? body : [body]) {
    const message = asMessage(value)
    if (message === undefined) return invalid('Not a JSON-RPC 2.0 message')
    messages.push(message)
  }
  return messages
}

function idOf(message: RpcMessage | undefined) {
  return message !== undefined && isRequest(message) ? message.id : null
}

function invalid(message: string, id: string | number | null = null): Response {
  return rpcProblem(400, ErrorCode.InvalidRequest, message, id)
}
