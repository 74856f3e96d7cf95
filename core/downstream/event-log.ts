import { ErrorCode } from '../wire/codes.ts'
import { failure, isResponse, type RpcMessage } from '../wire/jsonrpc.ts'
import { eventOf, primingEvent, type Channel } from './channel.ts'

/** Events kept of one stream, and their bytes; beyond, the oldest are dropped. */
const MOST_EVENTS = 256
const MOST_BYTES = 1024 * 1024

/** Who keeps the logs. */
export interface LogKeeper {
  /** So many bytes more are kept, or less. */
  resized(bytes: number): void
  /** Nothing will be added, unless it is opened again. */
  finished(log: EventLog): void
  reopened(log: EventLog): void
  /** Nothing is kept any more. */
  dropped(log: EventLog): void
}

/**
 * What one stream of a session has said last, for a client that loses the connection (2025-11-25
 * basic/transports#Resumability and Redelivery). It goes on while nobody is connected.
 */
export class EventLog {
  /** Unique, also among earlier runs; the ids of its events begin with it. */
  readonly name: string
  readonly #keeper: LogKeeper
  #events: Uint8Array[] = []
  #bytes = 0
  /** The number of the last event; the first one is 1. */
  #last = 0
  #state: 'open' | 'finished' | 'dropped' = 'open'
  #channel: Channel | undefined

  constructor(name: string, keeper: LogKeeper) {
    this.name = name
    this.#keeper = keeper
  }

  get bytes(): number {
    return this.#bytes
  }

  get isFinished(): boolean {
    return this.#state === 'finished'
  }

  /** The number of the last event. */
  get last(): number {
    return this.#last
  }

  /** What a connection begins with that goes on after that event. */
  priming(after = this.#last): Uint8Array {
    return primingEvent(this.#idOf(after))
  }

  /** Sends a message to whoever is connected, now or later. False when it went nowhere. */
  send(message: RpcMessage): boolean {
    const id = this.#idOf(this.#last + 1)
    const event = eventOf(message, id)
    if (event === undefined) return false
    this.#last++
    const isKept = this.#state === 'open'
    // First: a connection that is cut by this very event must find it here.
    if (isKept) this.#keep(event.byteLength <= MOST_BYTES ? event : tooLarge(message, id))
    const isSent = this.#channel?.write(event) ?? false
    return isKept || isSent
  }

  /** Takes a connection, which first gets what is kept after that event, in the place of the one before: that one is returned. */
  attach(channel: Channel, after = this.#last): Channel | undefined {
    const before = this.#channel
    this.#channel = channel
    const missed = Math.min(this.#last - after, this.#events.length)
    if (missed > 0) for (const event of this.#events.slice(-missed)) channel.write(event)
    if (this.#state === 'finished') channel.close()
    return before
  }

  /** The connection is gone. False when another one has taken its place. */
  detach(channel: Channel): boolean {
    if (this.#channel !== channel) return false
    this.#channel = undefined
    return true
  }

  /** Everything was said. */
  finish(): void {
    this.#channel?.close()
    if (this.#state !== 'open') return
    this.#state = 'finished'
    this.#keeper.finished(this)
  }

  /** There is more to say. */
  reopen(): void {
    if (this.#state !== 'finished') return
    this.#state = 'open'
    this.#keeper.reopened(this)
  }

  /** Forgets everything, now and from now on; who is connected still gets the rest. */
  drop(): void {
    if (this.#state === 'dropped') return
    this.#state = 'dropped'
    const bytes = this.#bytes
    this.#events = []
    this.#resize(-bytes)
    this.#keeper.dropped(this)
  }

  dropOldest(): void {
    const oldest = this.#events.shift()
    if (oldest !== undefined) this.#resize(-oldest.byteLength)
  }

  #keep(event: Uint8Array): void {
    while (this.#events.length >= MOST_EVENTS || (this.#bytes > 0 && this.#bytes + event.byteLength > MOST_BYTES)) {
      this.dropOldest()
    }
    this.#events.push(event)
    this.#resize(event.byteLength)
  }

  #resize(bytes: number): void {
    this.#bytes += bytes
    this.#keeper.resized(bytes)
  }

  #idOf(event: number): string {
    return `${this.name}.${event.toString(36)}`
  }
}

const LEFT_OUT = new TextEncoder().encode(': too large to be sent again\n\n')

/** In the place of an event that is too large to be kept: who waits for a response must not wait for ever. */
function tooLarge(message: RpcMessage, id: string): Uint8Array {
  if (!isResponse(message)) return LEFT_OUT
  const why = 'The connection was lost, and the response is too large to be sent again'
  const event = eventOf(failure(message.id ?? null, { code: ErrorCode.InternalError, message: why }), id)
  return event !== undefined && event.byteLength <= MOST_BYTES ? event : LEFT_OUT
}
