import type { Method } from '../gateway/call.ts'
import { version } from '../version.ts'
import { Meta } from '../wire/envelope.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'
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

/** Adds what a 2026-07-28 result must carry and a session-based server does not give; what is there stays. */
export function stamp(method: Method, result: JsonObject): JsonObject {
  if (!isPrepared(result)) return add(method, result)
  let ready = stamped.get(result)
  if (ready === undefined) stamped.set(result, (ready = prepare(add(method, result))))
  return ready
}

function add(method: Method, result: JsonObject): JsonObject {
  return {
    resultType: 'complete',
    ...(CACHEABLE.has(method) && { ttlMs: 0, cacheScope: 'private' }),
    ...result,
    _meta: { ...(isObject(result._meta) ? result._meta : undefined), [Meta.serverInfo]: SERVER_INFO },
  }
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
