import type { JsonValue, RpcErrorBody } from './wire/jsonrpc.ts'

/** Stable kinds of failure. They are API: recognise an error by its `code`, never by `instanceof`. */
export type ProxyErrorCode =
  | 'ERR_PROXY_CONFIG'
  | 'ERR_PROXY_PLUGIN'
  | 'ERR_PROXY_AUTH'
  | 'ERR_PROXY_UPSTREAM'
  | 'ERR_PROXY_SESSION'
  | 'ERR_PROXY_STORAGE'

/** An error of the proxy itself; its message says who, where and what to do. */
export class ProxyError extends Error {
  readonly code: ProxyErrorCode
  constructor(code: ProxyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ProxyError'
    this.code = code
  }
}

/** A failure that goes to an MCP client as a JSON-RPC error. */
export class RpcError extends Error {
  readonly code: number
  readonly data?: JsonValue
  constructor(code: number, message: string, data?: JsonValue) {
    super(message)
    this.name = 'RpcError'
    this.code = code
    if (data !== undefined) this.data = data
  }
}

/** What a transport knows about a request that got no response. */
export interface ConnectionFailure {
  /** Whether the server may have seen the request; only `false` may be tried again. */
  readonly delivered: boolean
  /** Whether the connection (process, socket, session) is gone for good. */
  readonly lost: boolean
  /** HTTP status, where there was one. */
  readonly status?: number
  /** The `WWW-Authenticate` header of a 401 or 403. */
  readonly challenge?: string
  /** What clients may know of it, after the server's name: no address, no words of the server. */
  readonly brief?: string
}

/** A request got no response: the process died, the socket closed, the HTTP status was no success. */
export class ConnectionError extends Error implements ConnectionFailure {
  readonly code = 'ERR_PROXY_UPSTREAM'
  readonly delivered: boolean
  readonly lost: boolean
  readonly status?: number
  readonly challenge?: string
  readonly brief?: string
  constructor(message: string, failure: ConnectionFailure, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConnectionError'
    this.delivered = failure.delivered
    this.lost = failure.lost
    if (failure.status !== undefined) this.status = failure.status
    if (failure.challenge !== undefined) this.challenge = failure.challenge
    if (failure.brief !== undefined) this.brief = failure.brief
  }
}

/** The request may not pass: `status` 401 (who are you?), 403 (not you) or 503 (nobody can say for now). */
export class AuthError extends Error {
  readonly code = 'ERR_PROXY_AUTH'
  readonly status: 401 | 403 | 503
  /** Response headers, `WWW-Authenticate` among them (RFC 6750 §3). */
  readonly headers: Readonly<Record<string, string>>
  constructor(status: 401 | 403 | 503, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.name = 'AuthError'
    this.status = status
    this.headers = headers
  }
}

export function isProxyError(error: unknown, code?: ProxyErrorCode): error is ProxyError {
  const found = (error as { code?: unknown } | undefined)?.code
  return typeof found === 'string' && found.startsWith('ERR_PROXY_') && (code === undefined || found === code)
}

export function isRpcError(error: unknown): error is RpcErrorBody & Error {
  return error instanceof Error && error.name === 'RpcError' && typeof (error as { code?: unknown }).code === 'number'
}

export function isConnectionError(error: unknown): error is ConnectionError {
  return error instanceof Error && error.name === 'ConnectionError'
}

export function isAuthError(error: unknown): error is AuthError {
  return error instanceof Error && error.name === 'AuthError'
}

/** The message of anything thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
