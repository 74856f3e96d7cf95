import type { ServerRequest } from 'srvx'
import type { RpcErrorBody, JsonObject } from '../wire/jsonrpc.ts'
import { ErrorCode } from '../wire/codes.ts'
import { mismatchedParam, PARAM_HEADER_PREFIX, paramHeadersOf } from '../wire/param-headers.ts'

/** What is wrong with the headers that mirror a tool's arguments (2026-07-28 streamable-http#Custom Headers from Tool Parameters). */
export function checkParamHeaders(headers: Headers, tool: JsonObject, params: JsonObject): RpcErrorBody | undefined {
  const declared = paramHeadersOf(tool)
  // Broken declarations bind nobody: clients do not list such a tool.
  if (declared === undefined || declared.length === 0) return undefined
  const mismatch = mismatchedParam(declared, params.arguments, (name) => headers.get(name))
  return mismatch === undefined ? undefined : { code: ErrorCode.HeaderMismatch, message: mismatch }
}

/** The `Mcp-Param-*` headers of a request, names in lower case; `undefined` when it has none. */
export function readParamHeaders(request: Request): Record<string, string> | undefined {
  let found: Record<string, string> | undefined
  for (const name of namesOf(request)) {
    if (name.startsWith(PARAM_HEADER_PREFIX)) (found ??= {})[name] = request.headers.get(name) ?? ''
  }
  return found
}

/** Names of headers, in lower case. Node's own table where there is one: to be asked for its names, `Headers` is built anew. */
function namesOf(request: ServerRequest): Iterable<string> {
  const table = request.runtime?.node?.req.headers
  return table === undefined ? request.headers.keys() : Object.keys(table)
}
