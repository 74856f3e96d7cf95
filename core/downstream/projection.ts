import type { Call, Method } from '../gateway/call.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { ErrorCode } from '../wire/codes.ts'
import { Meta } from '../wire/envelope.ts'
import { isObject, type JsonObject, type JsonValue, type RpcErrorBody } from '../wire/jsonrpc.ts'
import { isPrepared, prepare } from '../wire/serialise.ts'
import { describesObject, wrapSchema } from './output-schema.ts'

/** Pages of lists as older clients get them, by the page. */
const pages = new WeakMap<JsonObject, JsonObject>()

/**
 * A result as clients of the session-based revisions can read it: without what only 2026-07-28 knows, and with
 * structured content that is an object. The very same object where nothing has to change: a copy costs time, and loses
 * the text that large results keep.
 */
export function project(result: JsonObject, call: Call, gateway: Pick<Gateway, 'tool'>): JsonObject {
  const { method } = call
  if (isPrepared(result)) return projectPage(method, result)
  return strip(method === 'tools/call' ? wrapContent(result, call, gateway) : projectList(method, result))
}

/** An error as these clients know it: 2026-07-28 has a code of its own for what a client did not declare. */
export function projectError(error: RpcErrorBody): RpcErrorBody {
  return error.code === ErrorCode.MissingClientCapability ? { ...error, code: ErrorCode.InternalError } : error
}

function projectPage(method: Method, page: JsonObject): JsonObject {
  let ready = pages.get(page)
  if (ready === undefined) {
    const projected = strip(projectList(method, page))
    pages.set(page, (ready = projected === page ? page : prepare(projected)))
  }
  return ready
}

function strip(result: JsonObject): JsonObject {
  const { resultType, ttlMs, cacheScope, _meta: meta } = result
  const isStamped = isObject(meta) && meta[Meta.serverInfo] !== undefined
  if (resultType === undefined && ttlMs === undefined && cacheScope === undefined && !isStamped) return result
  const { resultType: _, ttlMs: __, cacheScope: ___, ...own } = result
  if (!isStamped) return own
  const { [Meta.serverInfo]: ____, ...kept } = meta
  const { _meta: _____, ...rest } = own
  return Object.keys(kept).length > 0 ? { ...rest, _meta: kept } : rest
}

function projectList(method: Method, result: JsonObject): JsonObject {
  const { tools } = result
  if (method !== 'tools/list' || !Array.isArray(tools)) return result
  const readable: JsonValue[] = tools.map(projectTool)
  return readable.some((tool, index) => tool !== tools[index]) ? { ...result, tools: readable } : result
}

function projectTool(tool: JsonValue): JsonValue {
  if (!isObject(tool) || !isObject(tool.outputSchema) || describesObject(tool.outputSchema)) return tool
  return { ...tool, outputSchema: wrapSchema(tool.outputSchema) }
}

/** Most results have none: then their tool is not even looked up. */
function wrapContent(result: JsonObject, { principal, params }: Call, gateway: Pick<Gateway, 'tool'>): JsonObject {
  const { structuredContent, resultType } = result
  if (structuredContent === undefined) return result
  const schema = typeof params.name === 'string' ? gateway.tool(principal, params.name)?.outputSchema : undefined
  // The list says so; or a server of 2026-07-28 does it without saying. What others do is between them and the client.
  const isWrapped = isObject(schema) && !describesObject(schema)
  if (!isWrapped && (resultType === undefined || isObject(structuredContent))) return result
  return { ...result, structuredContent: { result: structuredContent } }
}
