import { isResponse, type ConnectionError, type RpcRequest, type RpcResponse } from '../../core/index.ts'
import { forgotSession, readMessages, statusError, type Reply } from '../transport-sse/index.ts'
import type { Link } from './link.ts'

/** The response to a request in an answer that is no success: servers of 2026-07-28 answer errors with 400 and 404. */
export function refusalOf(link: Link, reply: Reply, { id, method }: RpcRequest): RpcResponse | undefined {
  if (reply.status === 401 || reply.status === 403 || isSessionLost(link, reply)) return undefined
  // Which revision a server speaks must not be concluded from what is wrong with it for a moment.
  if (method === 'server/discover' && isPassing(reply.status)) return undefined
  return readMessages(reply.text).find((message): message is RpcResponse => isResponse(message) && message.id === id)
}

function isPassing(status: number): boolean {
  return status === 408 || status === 429 || status >= 500
}

/** Whether the server has forgotten the session (2025-11-25 basic/transports#Session Management). */
export function isSessionLost(link: Link, reply: Reply): boolean {
  return link.session !== undefined && forgotSession(reply)
}

/** An HTTP status that answers no request. */
export function refusal(link: Link, reply: Reply): ConnectionError {
  return statusError(link, reply, isSessionLost(link, reply))
}
