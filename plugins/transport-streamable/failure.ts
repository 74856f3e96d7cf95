import { isFailure, isResponse, type ConnectionError, type RpcRequest, type RpcResponse } from '../../core/index.ts'
import { forgotSession, isPassing, readMessages, statusError, type Reply } from '../transport-sse/index.ts'
import type { Link } from './link.ts'

/** The response to a request in an answer that is no success: servers of 2026-07-28 answer errors with 400 and 404. */
export function refusalOf(link: Link, reply: Reply, { id, method }: RpcRequest): RpcResponse | undefined {
  const found = readMessages(reply.text)
    .filter(isResponse)
    .find((message) => message.id === id || answersUnread(message))
  if (found === undefined || isSessionLost(link, reply)) return undefined
  const isRefused = reply.status === 401 || reply.status === 403
  if (method !== 'server/discover') return isRefused ? undefined : { ...found, id }
  // Which revision a server speaks must not be concluded from what is wrong for a moment, nor from a gateway's words.
  const isOwnWord = found.id === id && isFailure(found) && UNKNOWN.has(found.error.code)
  return isOwnWord || !(isRefused || isPassing(reply.status)) ? { ...found, id } : undefined
}

/** A server that does not know a request says so with the request's own id, under whatever status: -32600 to -32602. */
const UNKNOWN: ReadonlySet<number> = new Set([-32600, -32601, -32602])
/** Refusals of 2026-07-28 that come before a request is read as far as its id: -32020 to -32022. */
const UNREAD: ReadonlySet<number> = new Set([-32020, -32021, -32022])

function answersUnread(message: RpcResponse): boolean {
  return (message.id === null || message.id === undefined) && isFailure(message) && UNREAD.has(message.error.code)
}

/** Whether the server has forgotten the session (2025-11-25 basic/transports#Session Management). */
export function isSessionLost(link: Link, reply: Reply): boolean {
  return link.session !== undefined && forgotSession(reply)
}

/** An HTTP status that answers no request. */
export function refusal(link: Link, reply: Reply): ConnectionError {
  return statusError(link, reply, isSessionLost(link, reply))
}
