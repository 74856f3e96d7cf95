import type { IncomingHttpHeaders } from 'node:http'
import type { RpcMessage } from '../../core/index.ts'

/** How an answer begins. */
export interface Head {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** An event stream: messages follow, one by one. */
  readonly streamed: boolean
  /** Path and query that answered, after redirects. */
  readonly path: string
}

/** Who hears of an answer while it comes in. None of these may throw. */
export interface Reader {
  onhead?(head: Head): void
  /** A message of an event stream. */
  onmessage?(message: RpcMessage): void
  /** An event of another type than `message`. */
  onevent?(type: string, data: string): void
  /** An event id, to resume from. */
  onid?(id: string): void
  /** How long the server wants clients to wait before they come back, in milliseconds. */
  onretry?(milliseconds: number): void
  /** A message over the limit went by, unheld: its two ends, and what is wrong. Without this it ends the answer. */
  onlong?(head: string, tail: string, problem: string): void
}

/** An answer that has come in whole. */
export interface Reply extends Head {
  /** The body, where it was no stream; cut where the status was no success. */
  readonly text: string
}
