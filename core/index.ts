/** The public face: all that plugins and embedders may import. */
export type { AccessPolicy, AuthProvider, Permissions, Principal } from './auth.ts'
export type { ResolvedConfig, ServerConfig, ServerSettings } from './config/resolved.ts'
export {
  AuthError,
  ConnectionError,
  ProxyError,
  RpcError,
  isConnectionError,
  isProxyError,
  reasonOf,
} from './errors.ts'
export type { Ask, Call, Method, Outcome, Peer } from './gateway/call.ts'
export type { Hooks } from './hooks.ts'
export type { Keys, KeyPurpose } from './keys.ts'
export type { Middleware } from './middleware.ts'
export { definePlugin } from './plugin.ts'
export type {
  Awaitable,
  Command,
  Contribution,
  Plugin,
  PluginContext,
  PluginSpec,
  Route,
  Run,
  WorkerEnd,
} from './plugin.ts'
export type { StandardSchemaV1 } from './schema.ts'
export type { StorageDriver, Store } from './storage.ts'
export type { Connection, Exchange, TransportAdapter, TransportContext } from './transport.ts'
export type { JsonObject, JsonValue, RpcMessage, RpcNotification, RpcRequest, RpcResponse } from './wire/jsonrpc.ts'
export { asMessage, isFailure, isNotification, isRequest, isResponse } from './wire/jsonrpc.ts'
