import { cachingOf } from '../gateway/caching.ts'
import type { Method } from '../gateway/call.ts'
import type { Caching } from '../gateway/source.ts'
import { version } from '../version.ts'
import { Meta } from '../wire/envelope.ts'
import { isObject, type JsonObject, type JsonValue } from '../wire/jsonrpc.ts'
import { isPrepared, prepare } from '../wire/serialise.ts'
import { MODERN_VERSIONS } from '../wire/versions.ts'
import { CAPABILITIES } from './requests.ts'

const SERVER_INFO: JsonObject = { name: 'mcp-proxy-server', title: 'MCP Proxy Server', version }

/** Results that must say how long they may be kept (2026-07-28 server/utilities/caching). */
const CACHEABLE: ReadonlySet<Method> = new Set<Method>([
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
])

const stamped = new WeakMap<JsonObject, JsonObject>()

/**
 * Makes a complete result one of 2026-07-28: says so, says who answers and, where it must, how long it may be kept.
 * `isPrivate`: what this caller gets is not what everybody gets.
 */
export function stamp(method: Method, result: JsonObject, isPrivate: boolean): JsonObject {
  if (!isPrepared(result)) return complete(method, result, isPrivate)
  let ready = stamped.get(result)
  if (ready === undefined) stamped.set(result, (ready = prepare(complete(method, result, isPrivate))))
  return ready
}

function complete(method: Method, result: JsonObject, isPrivate: boolean): JsonObject {
  return {
    ...result,
    ...(method === 'tools/list' && Array.isArray(result.tools) && { tools: result.tools.map(withoutExecution) }),
    ...(CACHEABLE.has(method) && keeping(result, isPrivate)),
    resultType: 'complete',
    _meta: metaOf(result),
  }
}

/** The server's own word where it is one; without any, nothing may be kept. */
function keeping(result: JsonObject, isPrivate: boolean): { readonly [key in keyof Caching]: JsonValue } {
  const { ttlMs, cacheScope } = cachingOf(result) ?? result
  return {
    ttlMs: typeof ttlMs === 'number' && ttlMs >= 0 ? ttlMs : 0,
    cacheScope: cacheScope === 'public' && !isPrivate ? 'public' : 'private',
  }
}

/** Tasks, which `execution` is about, are no part of this revision. */
function withoutExecution(tool: JsonValue): JsonValue {
  if (!isObject(tool) || tool.execution === undefined) return tool
  const { execution: _, ...rest } = tool
  return rest
}

/** Adds who answers, which is this proxy, whatever a server said there. */
export function metaOf(result: JsonObject): JsonObject {
  return { ...(isObject(result._meta) ? result._meta : undefined), [Meta.serverInfo]: SERVER_INFO }
}

/** The answer to `server/discover`. The capabilities are the same whatever servers are behind the endpoint; what these say of themselves is not. */
export function discovery(said: {
  readonly instructions: string | undefined
  /** Ms that the answer may be kept. */
  readonly ttlMs: number
  /** Whether it is the same for everybody. */
  readonly isPublic: boolean
}): JsonObject {
  return {
    resultType: 'complete',
    supportedVersions: MODERN_VERSIONS,
    capabilities: CAPABILITIES,
    ...(said.instructions && { instructions: said.instructions }),
    ttlMs: said.ttlMs,
    cacheScope: said.isPublic ? 'public' : 'private',
    _meta: { [Meta.serverInfo]: SERVER_INFO },
  }
}
