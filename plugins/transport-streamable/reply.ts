import type { IncomingHttpHeaders } from 'node:http'
import type { RpcMessage } from '../../core/index.ts'

/** Who hears of an answer while it comes in. None of these may throw. */
export interface Reader {
  /** `streamed`: messages follow, one by one. */
  onheaders?(status: number, headers: IncomingHttpHeaders, streamed: boolean): void
  /** A message of an event stream. */
  onmessage?(message: RpcMessage): void
  /** An event id, to resume from. */
  onid?(id: string): void
  /** How long the server wants clients to wait before they come back, in milliseconds. */
  onretry?(milliseconds: number): void
}

/** An answer that has come in whole. */
export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Whether it was an event stream; the reader has its messages. */
  readonly streamed: boolean
  /** The body, where it was none; cut where the status was no success. */
  readonly text: string
}
