import type { ConsolaInstance } from 'consola'
import { FastResponse } from 'srvx'
import type { Principal } from '../auth.ts'
import type { Call, Method } from '../gateway/call.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { ErrorCode } from '../wire/codes.ts'
import { openEnvelope } from '../wire/envelope.ts'
import {
  failure,
  isNotification,
  isRequest,
  notification,
  success,
  type JsonObject,
  type RpcId,
  type RpcMessage,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../wire/jsonrpc.ts'
import { askClient, settleAsk, withdrawAsks } from './asks.ts'
import { errorBody } from './errors.ts'
import { isAtLeast } from './levels.ts'
import { project, projectError } from './projection.ts'
import { Reply, takesStreams } from './reply.ts'
import { isMethod, nextRequestId } from './requests.ts'
import { openCallStream } from './resumable.ts'
import { carryRounds, RisingProgress } from './rounds.ts'
import { USUAL_LEVEL, type Session } from './session.ts'
import type { Setting } from './settings.ts'
import type { Shelf } from './shelf.ts'

export interface SessionCallsOptions {
  readonly gateway: Gateway
  readonly settings: ReadonlyMap<string, Setting>
  readonly shelf: Shelf
  readonly logger: ConsolaInstance
}

/** One POST of a session. */
export interface Post {
  readonly headers: Headers
  readonly messages: readonly RpcMessage[]
  readonly batch: boolean
  readonly session: Session
  readonly principal: Principal
}

/** A request under way. */
interface Running extends Pick<Post, 'session' | 'principal'> {
  readonly request: RpcRequest
  readonly requestId: string
  readonly controller: AbortController
  readonly reply: Reply
}

/** Answers what a session's client posts: its requests, notifications, and responses to our questions. */
export function createSessionCalls(options: SessionCallsOptions): (post: Post) => Promise<Response> {
  const { gateway, settings, shelf, logger } = options

  async function answer(request: RpcRequest, { session, principal }: Post, reply: Reply): Promise<RpcResponse> {
    const { id, method } = request
    if (method === 'ping') return success(id, {})
    const setting = settings.get(method)
    if (setting === undefined && !isMethod(method)) {
      return failure(id, { code: ErrorCode.MethodNotFound, message: `Method not found: ${method}` })
    }
    const { calls } = session
    if (calls.has(id)) return failure(id, { code: ErrorCode.InvalidRequest, message: 'This id is in use' })
    const controller = new AbortController()
    const requestId = nextRequestId()
    calls.set(id, controller)
    try {
      if (setting !== undefined) return success(id, await setting(session, principal, request.params ?? {}))
      return success(id, await carry({ request, requestId, controller, session, principal, reply }))
    } catch (error) {
      if (controller.signal.aborted) return failure(id, { code: ErrorCode.InternalError, message: 'Request cancelled' })
      return failure(id, projectError(errorBody(error, requestId, logger)))
    } finally {
      calls.delete(id)
    }
  }

  /** Carries a request through the gateway. Once it has ended nothing more is said about it. */
  async function carry({ request, requestId, controller, session, principal, reply }: Running): Promise<JsonObject> {
    const { params, progressToken } = openEnvelope(request.params)
    const progress = progressToken === undefined ? undefined : new RisingProgress()
    let over = false
    const send = (message: RpcNotification | RpcRequest): boolean => !over && reply.send(message)
    const call: Call = {
      method: request.method as Method,
      params,
      principal,
      party: session.party,
      client: { capabilities: session.capabilities, info: session.clientInfo },
      signal: controller.signal,
      progress: progress !== undefined,
      logLevel: session.level ?? USUAL_LEVEL,
      requestId,
      notify(message) {
        const notice = noticeFor(session, progressToken, message)
        if (notice !== undefined) send(progress?.next(notice) ?? notice)
      },
      ask: (ask, signal) => askClient(session, ask, { send, signal, ...(!ask.unbound && { owner: controller }) }),
    }
    try {
      const outcome = await gateway.call(call)
      if (outcome.kind === 'complete') return project(outcome.result, call, gateway)
      const result = await carryRounds(call, outcome, (next) => {
        progress?.newRound()
        return gateway.call(next)
      })
      return project(result, call, gateway)
    } finally {
      withdrawAsks(session, 'the call has ended', controller)
      over = true
    }
  }

  return async (post) => {
    const expected = post.messages.filter(isRequest).length
    const reply = new Reply({
      expected,
      batch: post.batch,
      streams: takesStreams(post.headers),
      status: ok,
      ondisconnect: goOn,
      open: () => openCallStream(post.session, shelf, soleRequest(post.messages)),
    })
    // In their order: a batch may cancel what it has just asked for.
    for (const message of post.messages) {
      if (isRequest(message)) void answer(message, post, reply).then((response) => reply.end(response))
      else if (isNotification(message)) hear(message, post.session)
      else settleAsk(post.session, message)
    }
    return expected === 0 ? new FastResponse(null, { status: 202 }) : reply.response
  }
}

/** The id of the one request of a POST that has nothing else in it. */
function soleRequest(messages: readonly RpcMessage[]): RpcId | undefined {
  const [first] = messages
  return messages.length === 1 && first !== undefined && isRequest(first) ? first.id : undefined
}

const ok = (): number => 200

/** Losing the connection is no cancellation in these revisions (2025-11-25 basic/transports): the client may resume it. */
const goOn = (): void => {}

/** What a client is told of its call: progress under its own token, the log from its level up, and the end of a question asked by URL. */
function noticeFor(
  session: Session,
  progressToken: string | number | undefined,
  message: RpcNotification,
): RpcNotification | undefined {
  switch (message.method) {
    case 'notifications/progress':
      if (progressToken === undefined) return undefined
      return notification(message.method, { ...message.params, progressToken })
    case 'notifications/message':
      return isAtLeast(session.level ?? USUAL_LEVEL, message) ? message : undefined
    case 'notifications/elicitation/complete':
      return message
    default:
      return undefined
  }
}

/** Changed roots lead nowhere: servers ask for them anew. */
function hear({ method, params }: RpcNotification, session: Session): void {
  if (method !== 'notifications/cancelled') return
  const id = params?.requestId
  if (typeof id === 'string' || typeof id === 'number') session.calls.get(id)?.abort()
}
