import { FastResponse } from 'srvx'
import { ErrorCode } from '../wire/codes.ts'
import type { RpcErrorBody, RpcResponse } from '../wire/jsonrpc.ts'

/** HTTP status of an answer (2026-07-28 streamable-http): 404 for an unknown method, 400 where request and wire disagree, else 200. */
export function statusOf(response: RpcResponse): number {
  if (!('error' in response)) return 200
  const { code } = response.error
  if (code === ErrorCode.MethodNotFound) return 404
  return code <= ErrorCode.HeaderMismatch && code >= ErrorCode.UnsupportedProtocolVersion ? 400 : 200
}

/** An error as 2026-07-28 says it, which has no code of its own for missing resources and for URLs to open first (basic/index#Error Codes). */
export function ofThisEra(error: RpcErrorBody): RpcErrorBody {
  if (error.code === ErrorCode.ResourceNotFound) return { ...error, code: ErrorCode.InvalidParams }
  return error.code === ErrorCode.UrlElicitationRequired ? { ...error, code: ErrorCode.InternalError } : error
}

/** An answer that is there at once, as JSON. */
export function respond(response: RpcResponse, status = 200): Response {
  return new FastResponse(JSON.stringify(response), { status, headers: { 'content-type': 'application/json' } })
}
