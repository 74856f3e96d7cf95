import { isObject, type JsonObject, type JsonValue, type RpcId } from './jsonrpc.ts'
import { MODERN_VERSIONS } from './versions.ts'

/** Keys of the 2026-07-28 `_meta` envelope (basic/index#_meta). */
export const Meta = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  logLevel: 'io.modelcontextprotocol/logLevel',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  progressToken: 'progressToken',
} as const

const HOP_KEYS = new Set<string>([
  Meta.protocolVersion,
  Meta.clientCapabilities,
  Meta.clientInfo,
  Meta.logLevel,
  Meta.progressToken,
])

/** What one request says about its own hop, taken out of `params`. */
export interface Envelope {
  readonly protocolVersion?: JsonValue
  readonly clientCapabilities?: JsonValue
  readonly clientInfo?: JsonValue
  readonly progressToken?: string | number
  /** The request's own parameters; other keys of `_meta` (trace context, vendors') stay in it. */
  readonly params: JsonObject
}

/** Separates the envelope from a request's parameters. */
export function openEnvelope(params: JsonObject | undefined): Envelope {
  const meta = params?._meta
  if (params === undefined || !isObject(meta)) return { params: params ?? {} }
  const token = meta[Meta.progressToken]
  return {
    ...pick('protocolVersion', meta[Meta.protocolVersion]),
    ...pick('clientCapabilities', meta[Meta.clientCapabilities]),
    ...pick('clientInfo', meta[Meta.clientInfo]),
    ...(typeof token === 'string' || typeof token === 'number' ? { progressToken: token } : undefined),
    params: withoutHopKeys(params, meta),
  }
}

/** What a request says about its own hop. */
export interface Hop {
  readonly clientCapabilities: JsonObject
  readonly clientInfo: JsonObject
  readonly progressToken?: RpcId | undefined
  readonly logLevel?: string | undefined
}

/** A request's parameters in the envelope of 2026-07-28; other keys of `_meta` (trace context, vendors') stay. */
export function sealEnvelope(params: JsonObject, hop: Hop): JsonObject {
  const meta: Record<string, JsonValue | undefined> = isObject(params._meta) ? { ...params._meta } : {}
  meta[Meta.protocolVersion] = MODERN_VERSIONS[0]
  meta[Meta.clientCapabilities] = hop.clientCapabilities
  meta[Meta.clientInfo] = hop.clientInfo
  if (hop.progressToken !== undefined) meta[Meta.progressToken] = hop.progressToken
  if (hop.logLevel !== undefined) meta[Meta.logLevel] = hop.logLevel
  return { ...params, _meta: meta }
}

function pick<K extends string>(key: K, value: JsonValue | undefined): { [key in K]?: JsonValue } | undefined {
  return value === undefined ? undefined : ({ [key]: value } as { [key in K]: JsonValue })
}

function withoutHopKeys(params: JsonObject, meta: JsonObject): JsonObject {
  const rest: Record<string, JsonValue | undefined> = {}
  let kept = false
  for (const key of Object.keys(meta)) {
    if (HOP_KEYS.has(key)) continue
    rest[key] = meta[key]
    kept = true
  }
  const { _meta, ...own } = params
  return kept ? { ...own, _meta: rest } : own
}

/** Adds one key to `_meta` of params or of a result, keeping what is there. */
export function withMeta(object: JsonObject, key: string, value: JsonValue): JsonObject {
  return { ...object, _meta: { ...(isObject(object._meta) ? object._meta : undefined), [key]: value } }
}
