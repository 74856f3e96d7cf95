import type { Call, Outcome } from '../gateway/call.ts'
import type { JsonObject } from '../wire/jsonrpc.ts'

/** What a server says of itself. */
export interface About {
  readonly protocolVersion: string
  readonly capabilities: JsonObject
  readonly serverInfo: JsonObject
  readonly instructions?: string
}

/** A server's list changed, or one of its resources did. */
export type UpstreamEvent =
  | { readonly kind: 'tools' | 'prompts' | 'resources' }
  | { readonly kind: 'resource'; readonly uri: string }

/** Turns calls into one era's wire over one connection. */
export interface UpstreamFace {
  readonly era: 'modern' | 'legacy'
  start(signal: AbortSignal): Promise<About>
  /** Throws `RpcError` with the server's own error, or `ConnectionError`. */
  call(call: Call): Promise<Outcome>
  onevent?: (event: UpstreamEvent) => void
  close(): Promise<void>
}
