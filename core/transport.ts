import type { StandardSchemaV1 } from './schema.ts'
import type { ConsolaInstance } from 'consola'
import type { Principal } from './auth.ts'
import type { Awaitable } from './plugin.ts'
import type { RpcNotification, RpcRequest, RpcResponse } from './wire/jsonrpc.ts'

/** One request's side of a connection: everything the server says about that request arrives here. */
export interface Exchange {
  /** Who may see what is said: the isolation key. `''`: the proxy itself (initialize, ping, lists), which is no party. */
  readonly party: string
  readonly signal?: AbortSignal
  /** Extra HTTP headers of this request (2026-07-28 `Mcp-*`), names in lower case. */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Progress, logs and requests that belong to this request; `own`: it came on the request's own response stream, so that
   * it can be about no other. Must not throw.
   */
  onmessage(message: RpcRequest | RpcNotification, own?: boolean): void
}

/** One open pipe to an upstream. It delivers messages per exchange, which the SDK's `Transport` cannot. */
export interface Connection {
  /** True where every request has a response stream of its own, so that closing it cancels (2026-07-28 HTTP). */
  readonly perRequestStream: boolean
  /** Resolves with the response to `message`; rejects `ConnectionError`. `signal` ends the wait, it tells the server nothing. */
  request(message: RpcRequest, exchange: Exchange): Promise<RpcResponse>
  /** Sends what needs no response; rejects `ConnectionError`. */
  send(message: RpcNotification | RpcResponse): Promise<void>
  /** What belongs to no exchange; `party`: the only one this connection has served so far, when there is exactly one. */
  onmessage?: (message: RpcRequest | RpcNotification, party?: string) => void
  /** Resolves once the pipe is gone, with the reason unless `close()` was called. Never rejects. */
  readonly closed: Promise<Error | undefined>
  /** Idempotent; resolves when everything it opened is closed, within 5 s. */
  close(): Promise<void>
}

export interface TransportContext {
  /** The server's name in the configuration. */
  readonly name: string
  readonly logger: ConsolaInstance
  /** Aborted when the upstream is given up: `connect` must stop. */
  readonly signal: AbortSignal
  /** Set when the instance belongs to one principal. */
  readonly principal?: Principal
  /** Largest message accepted from the server, in bytes. */
  readonly maxMessageBytes: number
  /** Records a process group, so that it is reaped even when this process is killed; call the result once the group is gone. */
  processGroup(pid: number): () => void
}

/** Fills slot `transports`: opens connections for server entries of its `type`. */
export interface TransportAdapter<Entry = unknown> {
  readonly type: string
  readonly aliases?: readonly string[]
  /** The only era it can carry, where there is only one: its servers are not asked for the other. */
  readonly era?: 'modern' | 'legacy'
  /** The keys of a server entry that this transport reads; keys that its output lacks are reported as unknown. */
  readonly schema: StandardSchemaV1<unknown, Entry>
  /** Says where an entry leads, for tables and logs; without secrets. */
  describe?(entry: Entry): string
  /** Rejects with a message that says what to do. Never waits longer than `signal` allows. */
  connect(entry: Entry, context: TransportContext): Awaitable<Connection>
}
