import type { Principal } from '../auth.ts'
import type { JsonObject, JsonValue, RpcNotification } from '../wire/jsonrpc.ts'

/** MCP requests that reach an upstream; everything else is answered by a face. */
export type Method =
  | 'tools/list'
  | 'tools/call'
  | 'resources/list'
  | 'resources/templates/list'
  | 'resources/read'
  | 'prompts/list'
  | 'prompts/get'
  | 'completion/complete'

const TAKES_INPUT: ReadonlySet<Method> = new Set<Method>(['tools/call', 'prompts/get', 'resources/read'])

/** Whether a request may be answered with `input_required` (2026-07-28 basic/patterns/mrtr). */
export function takesInput(method: Method): boolean {
  return TAKES_INPUT.has(method)
}

/** Severity of log messages, least severe first (2025-11-25 server/utilities/logging; RFC 5424 §6.2.1). */
export const LOG_LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** A question of a server to the user: elicitation, sampling or roots. */
export type Ask = {
  readonly method: string
  readonly params?: JsonObject
  /** Which of these calls (`requestId`) it is about cannot be told: it does not end with the one it is asked on. */
  readonly unbound?: readonly string[]
}

/** The client behind a call or a legacy session. */
export interface Peer {
  readonly principal: Principal
  /** Who may see what one pipe says: the isolation key. */
  readonly party: string
  readonly client: { readonly capabilities: JsonObject; readonly info?: JsonObject }
  /** Never throws, never waits. */
  notify(message: RpcNotification): void
  /** `signal`: the server took the question back. Always ends: rejects `RpcError` when nobody can be asked. */
  ask(request: Ask, signal: AbortSignal): Promise<JsonObject>
}

/** One MCP request on its way, of no era. Plain data and closures: `{ ...call, params }` works. */
export interface Call extends Peer {
  readonly method: Method
  /** Without envelope, progress token, inputResponses, requestState. */
  readonly params: JsonObject
  /** Of the call, not of the HTTP request: survives parking. */
  readonly signal: AbortSignal
  /** Whether the client wants progress. */
  readonly progress: boolean
  /** The least severe log messages the client wants; absent: none. */
  readonly logLevel?: LogLevel
  /** For the log, and carried by errors to the client. */
  readonly requestId: string
  /** Absent on the first attempt: what the client says to an earlier `input_required` of this very request. */
  readonly round?: Round
  /** The client's `Mcp-Param-*` headers, names in lower case: some are nobody's but the server's business. */
  readonly headers?: Readonly<Record<string, string>>
}

/** A client's answers to what a server needed (2026-07-28 basic/patterns/mrtr). */
export interface Round {
  /** By the keys of `inputRequests`: results, not responses. As the client sent it: whether it is well formed is the server's to judge. */
  readonly inputResponses?: JsonValue
  /** The server's own, byte for byte. */
  readonly requestState?: string
}

/** How a call ended; a failure is a thrown `RpcError`. */
export type Outcome =
  | { readonly kind: 'complete'; readonly result: JsonObject }
  | {
      readonly kind: 'input_required'
      readonly result: { readonly inputRequests?: Readonly<Record<string, Ask>>; readonly requestState?: string }
    }

export function complete(result: JsonObject): Outcome {
  return { kind: 'complete', result }
}
