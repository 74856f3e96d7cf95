import { FastResponse } from 'srvx'
import { ErrorCode } from '../wire/codes.ts'
import { failure, type RpcNotification, type RpcRequest, type RpcResponse } from '../wire/jsonrpc.ts'
import { textOf } from '../wire/serialise.ts'
import { openChannel, STREAM_HEADERS, type Channel } from './channel.ts'

/** A call this long (ms) without a word gets a stream, so that keep-alive comments can be sent. */
const OPEN_AFTER = 5000

/** What a client gets in the place of an answer that cannot be made JSON. */
export const UNSENDABLE = {
  code: ErrorCode.InternalError,
  message: 'The answer nests too deep, or is too long, and cannot be sent',
} as const

const JSON_HEADERS: [string, string][] = [['content-type', 'application/json']]

export interface ReplyOptions {
  /** Responses to come; more than one, or `batch`, makes the JSON answer an array. */
  readonly expected: number
  readonly batch: boolean
  /** What the client's Accept header allows. */
  readonly streams: boolean
  /** HTTP status of a JSON answer. */
  status(response: RpcResponse): number
  /** The client closed the stream before the end. */
  ondisconnect(): void
  /** Opens the stream where a plain one will not do. */
  open?(onclose: () => void): Channel
}

/**
 * The answer to one POST: plain JSON as long as nothing else was said, an event stream from the first notification on.
 * The stream is opened late because after it no HTTP status can be chosen.
 */
export class Reply {
  readonly response: Promise<Response>
  readonly #options: ReplyOptions
  readonly #opening: NodeJS.Timeout | undefined
  #answer!: (response: Response) => void
  #channel: Channel | undefined
  #waiting: number
  readonly #done: RpcResponse[] = []

  constructor(options: ReplyOptions) {
    this.#options = options
    this.#waiting = options.expected
    this.response = new Promise((resolve) => (this.#answer = resolve))
    if (options.streams && options.expected > 0) this.#opening = setTimeout(() => this.#open(), OPEN_AFTER)
  }

  /**
   * Sends a message ahead of the responses. False when it went nowhere: the client takes no streams, has left, this is
   * after the end, or it nests too deep.
   */
  send(message: RpcNotification | RpcRequest): boolean {
    return this.#options.streams && this.#waiting > 0 && this.#open().send(message)
  }

  /** One response; the last one ends the reply. */
  end(response: RpcResponse): void {
    this.#waiting--
    if (this.#channel !== undefined) sendOn(this.#channel, response)
    else this.#done.push(response)
    if (this.#waiting > 0) return
    clearTimeout(this.#opening)
    if (this.#channel !== undefined) this.#channel.close()
    else this.#answer(this.#json())
  }

  #open(): Channel {
    if (this.#channel !== undefined) return this.#channel
    clearTimeout(this.#opening)
    const { ondisconnect, open = openChannel } = this.#options
    const channel = open(() => this.#waiting > 0 && ondisconnect())
    this.#channel = channel
    for (const response of this.#done.splice(0)) sendOn(channel, response)
    this.#answer(new FastResponse(channel.body, { headers: STREAM_HEADERS as [string, string][] }))
    return channel
  }

  #json(): Response {
    const [first] = this.#done
    if (first !== undefined && !this.#options.batch) {
      const text = textOf(first)
      const status = this.#options.status(text === undefined ? unsendable(first) : first)
      return new FastResponse(text ?? unsendableText(first), { status, headers: JSON_HEADERS })
    }
    const texts = this.#done.map((response) => textOf(response) ?? unsendableText(response))
    return new FastResponse(`[${texts.join(',')}]`, { headers: JSON_HEADERS })
  }
}

/** Where a stream is over, it does not take the second one either. */
function sendOn(channel: Channel, response: RpcResponse): void {
  if (!channel.send(response)) channel.send(unsendable(response))
}

function unsendable({ id }: RpcResponse): RpcResponse {
  return failure(id ?? null, UNSENDABLE)
}

function unsendableText(response: RpcResponse): string {
  return JSON.stringify(unsendable(response))
}

/** Whether the client takes event streams; a client that says nothing takes everything. */
export function takesStreams(headers: Headers): boolean {
  const accept = headers.get('accept')
  return accept === null || accept.includes('text/event-stream') || accept.includes('*/*') || accept.includes('text/*')
}
