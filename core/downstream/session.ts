import type { LogLevel } from '../gateway/call.ts'
import type { Subscription } from '../gateway/gateway.ts'
import type { InFlight } from '../in-flight.ts'
import type { JsonObject, RpcId } from '../wire/jsonrpc.ts'
import type { PendingAsk } from './asks.ts'
import type { Channel } from './channel.ts'
import type { EventStore } from './event-store.ts'

/** One legacy client's MCP session. What is there for as long as the session lasts is inside its sealed id, or in its row in the store. */
export interface Session {
  /** The `Mcp-Session-Id`. */
  readonly id: string
  /** Random and unique: the isolation key of its calls. */
  readonly party: string
  readonly protocolVersion: string
  readonly capabilities: JsonObject
  readonly clientInfo: JsonObject
  /** When it ends by itself, in ms since the epoch. */
  readonly expires: number
  /** Open requests by the client's request id. */
  readonly calls: InFlight<RpcId, AbortController>
  /** Questions to the client that have no answer yet, by our request id; made with the first. */
  asks?: Map<RpcId, PendingAsk>
  /** What its streams have said, for when they are cut; made with the first. */
  events?: EventStore
  /** The GET stream, while there is one. */
  stream?: { readonly channel: Channel; readonly subscription: Subscription }
  /** The least severe log messages the client wants, once it has said so. */
  level?: LogLevel
  /** The resources the client has subscribed to, once there were any. */
  uris?: ReadonlySet<string>
}

/** What a client that has not said so gets of the log. */
export const USUAL_LEVEL: LogLevel = 'info'

/** Whether a session must stay in memory. A call whose stream was cut goes on, and counts. */
export function isBusy({ calls, asks, stream }: Session): boolean {
  return calls.size > 0 || stream !== undefined || (asks !== undefined && asks.size > 0)
}
