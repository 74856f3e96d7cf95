import type { Call, LogLevel, Outcome } from '../gateway/call.ts'
import type { JsonObject, RpcNotification } from '../wire/jsonrpc.ts'

/** What a server says of itself. */
export interface About {
  readonly protocolVersion: string
  readonly capabilities: JsonObject
  readonly serverInfo: JsonObject
  readonly instructions?: string
}

/** What a server says outside of any call. */
export type UpstreamEvent =
  /** A list has changed; `missed`: or may have, while nobody listened. */
  | { readonly kind: 'tools' | 'prompts' | 'resources'; readonly missed?: true }
  | { readonly kind: 'resource'; readonly uri: string }
  /** A log message; `party`: the only party this connection has ever served. */
  | { readonly kind: 'message'; readonly message: RpcNotification; readonly party?: string }

/** The resources that a server cannot be subscribed to, and why: `RpcError` or `ConnectionError`. */
export type Refused = ReadonlyMap<string, Error>

/** Turns calls into one era's wire over one connection. */
export interface UpstreamFace {
  readonly era: 'modern' | 'legacy'
  start(signal: AbortSignal): Promise<About>
  /** Throws `RpcError` with the server's own error, or `ConnectionError`. */
  call(call: Call): Promise<Outcome>
  /** Asks for log messages from this level up; a server without logging, or of the modern era, is left alone. */
  setLevel(level: LogLevel, signal: AbortSignal): Promise<void>
  /** Subscribes and unsubscribes the difference to before: the whole wish. Never rejects. */
  watch(uris: ReadonlySet<string>, signal: AbortSignal): Promise<Refused>
  /** Whether the server tells of changes of this list; absent: it does what it announces. */
  hears?(kind: 'tools' | 'prompts' | 'resources'): boolean
  /** Whether the server is still there: rejects when it gives no answer in time. */
  ping(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
