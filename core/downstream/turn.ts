import type { LogLevel, Method, Peer } from '../gateway/call.ts'
import type { Envelope } from '../wire/envelope.ts'
import { notification, type RpcId, type RpcNotification, type RpcResponse } from '../wire/jsonrpc.ts'
import { isAtLeast } from './levels.ts'
import { Reply, takesStreams } from './reply.ts'
import { statusOf } from './statuses.ts'

/** What one HTTP request of the stateless era asks of the gateway. */
export interface Asked {
  readonly id: RpcId
  readonly method: Method
  readonly envelope: Envelope
  readonly peer: Peer
  /** For the log. */
  readonly requestId: string
  readonly logLevel?: LogLevel
  /** The `Mcp-Param-*` headers, names in lower case. */
  readonly headers?: Readonly<Record<string, string>>
}

/** One HTTP request that waits for its answer. A call may take several, one after the other. */
export class Turn {
  readonly asked: Asked
  readonly #reply: Reply
  readonly #signal: AbortSignal
  readonly #cancel: () => void

  /** In this revision closing the stream is how a client cancels (2026-07-28 basic/patterns/cancellation). */
  constructor(request: Request, asked: Asked, cancel: () => void) {
    this.asked = asked
    this.#signal = request.signal
    this.#cancel = cancel
    this.#reply = new Reply({
      expected: 1,
      batch: false,
      streams: takesStreams(request.headers),
      status: statusOf,
      ondisconnect: cancel,
    })
    this.#signal.addEventListener('abort', cancel, { once: true })
    if (this.#signal.aborted) cancel()
  }

  get response(): Promise<Response> {
    return this.#reply.response
  }

  /** Whether this request asked to be told this. */
  takes(message: RpcNotification): boolean {
    return noticeFor(this.asked, message) !== undefined
  }

  /** Tells the client of its call: progress under its own token, and the log if this request asks for it, from that level up. */
  notify(message: RpcNotification): void {
    const notice = noticeFor(this.asked, message)
    if (notice !== undefined) this.#reply.send(notice)
  }

  /** Answers; the client can no longer cancel by leaving. */
  end(response: RpcResponse): void {
    this.#signal.removeEventListener('abort', this.#cancel)
    this.#reply.end(response)
  }
}

function noticeFor({ envelope, logLevel }: Asked, message: RpcNotification): RpcNotification | undefined {
  if (message.method === 'notifications/message') {
    return logLevel !== undefined && isAtLeast(logLevel, message) ? message : undefined
  }
  const { progressToken } = envelope
  if (message.method !== 'notifications/progress' || progressToken === undefined) return undefined
  return notification(message.method, { ...message.params, progressToken })
}
