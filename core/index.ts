/** The public face: all that plugins and embedders may import. */
export type { AccessPolicy, AuthProvider, Permissions, Principal } from './auth.ts'
export { defineConfig } from './config/define.ts'
export type {
  CommandEntry,
  Config,
  ServerEntries,
  ServerEntry,
  ServerOptions,
  UntypedConfig,
  UrlEntry,
} from './config/define.ts'
export { didYouMean } from './config/nearest.ts'
export { pathVariableOf, variableOf } from './config/variable.ts'
export { DEFAULT_PLUGINS, resolveConfig } from './config/resolve.ts'
export type { ResolveOptions } from './config/resolve.ts'
export { backoff, doubling, sleep } from './backoff.ts'
export type { ConfigChange } from './config/change.ts'
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
export { InFlight } from './in-flight.ts'
export type { Keys, KeyPurpose } from './keys.ts'
export type { Middleware } from './middleware.ts'
export { definePlugin } from './plugin.ts'
export type {
  Awaitable,
  Remote,
  Command,
  Contribution,
  NextConfig,
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
export type {
  JsonObject,
  JsonValue,
  RpcId,
  RpcMessage,
  RpcNotification,
  RpcRequest,
  RpcResponse,
} from './wire/jsonrpc.ts'
export { asMessage, isFailure, isNotification, isRequest, isResponse } from './wire/jsonrpc.ts'
export { createAttribution } from './upstream/attribution.ts'
export type { Attribution, Destination } from './upstream/attribution.ts'
export { fromTransport } from './upstream/connection.ts'
export { createPipe } from './upstream/pipe.ts'
export type { Pipe, PipeEnds } from './upstream/pipe.ts'
export type { BackoffOptions } from './backoff.ts'
export { EXIT } from './cli/exit.ts'
export { endGroups } from './process-groups/end.ts'
export type { GroupGrace } from './process-groups/end.ts'
export { BodyTooLarge, readBody } from './http/body.ts'
export { createStore, memoryStore } from './store.ts'
export type { StoreOptions, SweepableStore } from './store.ts'
export { createKernel } from './kernel.ts'
export type { Kernel, KernelOptions } from './kernel.ts'
export type { UpstreamState, UpstreamStatus } from './status.ts'
export { parseJsonRpc } from './wire/serialise.ts'
export { responseId } from './wire/oversize.ts'
