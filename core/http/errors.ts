import { FastResponse } from 'srvx'
import type { RpcId } from '../wire/jsonrpc.ts'
import { failure } from '../wire/jsonrpc.ts'

/** A refusal outside JSON-RPC: `{ error, error_description }`, without the request's URL in it. */
export function problem(
  status: number,
  error: string,
  description: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new FastResponse(JSON.stringify({ error, error_description: description }), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
  })
}

/** A refusal as a JSON-RPC error with an HTTP status. */
export function rpcProblem(status: number, code: number, message: string, id: RpcId | null = null): Response {
  return new FastResponse(JSON.stringify(failure(id, { code, message })), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  })
}
