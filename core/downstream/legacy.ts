import type { ConsolaInstance } from 'consola'
import { FastResponse } from 'srvx'
import type { Principal } from '../auth.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { HookRunner } from '../hooks.ts'
import { problem, rpcProblem } from '../http/errors.ts'
import type { StandingStreams } from '../standing-streams.ts'
import { version } from '../version.ts'
import { ErrorCode } from '../wire/codes.ts'
import { asMessage, isRequest, success, type JsonObject, type RpcMessage, type RpcRequest } from '../wire/jsonrpc.ts'
import { BATCH_VERSION, isLegacyVersion, NEWEST_LEGACY } from '../wire/versions.ts'
import { withdrawAsks } from './asks.ts'
import type { DownstreamFace } from './face.ts'
import { takesStreams } from './reply.ts'
import { CAPABILITIES } from './requests.ts'
import { openGetStream } from './resumable.ts'
import { createSessionCalls } from './session-calls.ts'
import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'
import { createSettings } from './settings.ts'
import { Shelf } from './shelf.ts'

export interface LegacyFaceOptions {
  readonly gateway: Gateway
  readonly sessions: Sessions
  readonly hooks: HookRunner
  readonly standing: StandingStreams
  readonly logger: ConsolaInstance
}

/** The session-based revisions 2024-11-05 to 2025-11-25 over Streamable HTTP. */
export function legacyDownstream(options: LegacyFaceOptions): DownstreamFace {
  const { gateway, sessions, hooks, standing, logger } = options
  const settings = createSettings({ gateway, sessions, logger })
  const shelf = new Shelf()
  const calls = createSessionCalls({ gateway, settings, shelf, logger })

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
    if (request.method === 'GET') return stream(request, session, principal)
    if (request.method === 'DELETE') return end(session, principal)
    if (Array.isArray(message) && session.protocolVersion !== BATCH_VERSION) {
      return invalid(`Batches are not part of protocol version ${session.protocolVersion}`)
    }
    return calls({ headers: request.headers, messages, batch: Array.isArray(message), session, principal })
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
    const instructions = gateway.instructions(principal)
    const result: JsonObject = {
      protocolVersion,
      capabilities: CAPABILITIES,
      serverInfo,
      ...(instructions && { instructions }),
    }
    return new FastResponse(JSON.stringify(success(request.id, result)), {
      headers: [
        ['content-type', 'application/json'],
        ['mcp-session-id', session.id],
      ],
    })
  }

  function stream(request: Request, session: Session, principal: Principal): Response {
    if (!takesStreams(request.headers)) {
      return problem(406, 'not_acceptable', 'GET answers with text/event-stream only.')
    }
    const lastEventId = request.headers.get('last-event-id') ?? undefined
    return openGetStream({ gateway, standing, shelf, session, principal, lastEventId })
  }

  async function end(session: Session, principal: Principal): Promise<Response> {
    try {
      await sessions.end(session)
    } finally {
      // Also where its end could not be kept: what runs for it is over.
      gateway.release(session.party)
    }
    hooks.run('session:close', { principal: principal.id })
    return new FastResponse(null, { status: 204 })
  }

  return {
    handle,
    async close() {
      for (const session of sessions.live()) {
        session.stream?.channel.close()
        withdrawAsks(session, 'the proxy is closing')
        session.events?.close()
        for (const call of session.calls.values()) call.abort()
      }
    },
  }
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
