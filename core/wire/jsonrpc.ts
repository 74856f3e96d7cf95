/** JSON-RPC 2.0 as MCP uses it: types and the cheap shape checks that replace schema validation on the hot path. */

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined
}

export type RpcId = string | number

export interface RpcRequest {
  readonly jsonrpc: '2.0'
  readonly id: RpcId
  readonly method: string
  readonly params?: JsonObject
}

export interface RpcNotification {
  readonly jsonrpc: '2.0'
  readonly method: string
  readonly params?: JsonObject
}

export interface RpcErrorBody {
  readonly code: number
  readonly message: string
  readonly data?: JsonValue
}

export interface RpcResult {
  readonly jsonrpc: '2.0'
  readonly id: RpcId
  readonly result: JsonObject
}

export interface RpcFailure {
  readonly jsonrpc: '2.0'
  /** `null` or absent where the request could not be read far enough to know its id. */
  readonly id?: RpcId | null
  readonly error: RpcErrorBody
}

export type RpcResponse = RpcResult | RpcFailure
export type RpcMessage = RpcRequest | RpcNotification | RpcResponse

/** True for a plain JSON object: not null, not an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Longest id, in characters: it is kept and repeated in many places. */
const LONGEST_ID = 1024

function isId(value: unknown): value is RpcId {
  return (
    (typeof value === 'string' && value.length <= LONGEST_ID) || (typeof value === 'number' && Number.isInteger(value))
  )
}

/**
 * What a parsed JSON value is in JSON-RPC terms, or `undefined` when it is no message at all.
 * Only the envelope is looked at; `params` must be an object where present, `result` is not looked into.
 */
function messageKind(value: unknown): 'request' | 'notification' | 'response' | undefined {
  if (!isObject(value) || value.jsonrpc !== '2.0') return undefined
  if (typeof value.method === 'string') {
    if (value.params !== undefined && !isObject(value.params)) return undefined
    if (value.id === undefined) return 'notification'
    return isId(value.id) ? 'request' : undefined
  }
  if (value.method !== undefined) return undefined
  if (isObject(value.result)) return isId(value.id) && value.error === undefined ? 'response' : undefined
  if (isObject(value.error)) {
    const { code, message } = value.error
    const addressed = isId(value.id) || value.id === null || value.id === undefined
    return addressed && typeof code === 'number' && typeof message === 'string' ? 'response' : undefined
  }
  return undefined
}

/** Narrows a parsed JSON value to a message; `undefined` when it is none. */
export function asMessage(value: unknown): RpcMessage | undefined {
  return messageKind(value) === undefined ? undefined : (value as RpcMessage)
}

export function isRequest(message: RpcMessage): message is RpcRequest {
  return 'method' in message && 'id' in message
}

export function isNotification(message: RpcMessage): message is RpcNotification {
  return 'method' in message && !('id' in message)
}

export function isResponse(message: RpcMessage): message is RpcResponse {
  return !('method' in message)
}

export function isFailure(response: RpcResponse): response is RpcFailure {
  return 'error' in response
}

export function success(id: RpcId, result: JsonObject): RpcResult {
  return { jsonrpc: '2.0', id, result }
}

export function failure(id: RpcId | null, error: RpcErrorBody): RpcFailure {
  return { jsonrpc: '2.0', id, error }
}

export function notification(method: string, params?: JsonObject): RpcNotification {
  return params === undefined ? { jsonrpc: '2.0', method } : { jsonrpc: '2.0', method, params }
}
