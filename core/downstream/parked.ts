import { randomUUID } from 'node:crypto'
import type { RpcNotification } from '../wire/jsonrpc.ts'
import { Questions } from './questions.ts'
import type { Turn } from './turn.ts'

/** How long (ms) questions are gathered, so that a client gets those of one moment together. */
const GATHER = 15
/** How long (ms) a client may take to come back with answers. */
export const ROUND_LIMIT = 5 * 60_000
/** What may be kept for a client until it comes back; of more notifications the last ones are. */
const MOST_NOTICES = 64

/** What a call needs from its first question on. */
export class Parked {
  /** Random: one of an earlier run is unknown to this one. */
  readonly handle = randomUUID()
  readonly questions = new Questions()
  /** Each is good for one retry. */
  round = 1
  #notices: RpcNotification[] = []
  #timer: NodeJS.Timeout | undefined

  /** Runs `then` a moment after the first question; later ones do not put it off. */
  gather(then: () => void): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      then()
    }, GATHER).unref()
  }

  /** Runs `then` unless the client is back in time. */
  limit(then: () => void): void {
    this.stop()
    this.#timer = setTimeout(then, ROUND_LIMIT).unref()
  }

  /** Waits for nothing any more. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Keeps a notification until the client is back. */
  keep(notice: RpcNotification): void {
    if (this.#notices.length === MOST_NOTICES) this.#notices.shift()
    this.#notices.push(notice)
  }

  /** Tells the client what was said while it was away. */
  tell(turn: Turn): void {
    for (const notice of this.#notices.splice(0)) turn.notify(notice)
  }
}
