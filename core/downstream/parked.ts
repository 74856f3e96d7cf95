import { randomUUID } from 'node:crypto'
import { isRpcError, RpcError } from '../errors.ts'
import type { Outcome } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { failure, success, type RpcNotification, type RpcResponse } from '../wire/jsonrpc.ts'
import { textOf } from '../wire/serialise.ts'
import { Questions } from './questions.ts'
import { UNSENDABLE } from './reply.ts'
import type { Turn } from './turn.ts'

/** How a call ended: with an outcome, or with what was thrown. */
export type Ending = { readonly outcome: Outcome } | { readonly error: unknown }

/** How long (ms) questions are gathered, so that a client gets those of one moment together. */
const GATHER = 15
/** How long (ms) a client may take to come back with answers. */
export const ROUND_LIMIT = 5 * 60_000
/** What may be kept for a client until it comes back; of more notifications the last ones are. */
const MOST_NOTICES = 64
/** … and their bytes. */
const MOST_BYTES = 1024 * 1024

interface Notice {
  readonly message: RpcNotification
  readonly bytes: number
}

/** What a call needs from its first question on. */
export class Parked {
  /** Random: one of an earlier run is unknown to this one. */
  readonly handle = randomUUID()
  readonly questions = new Questions()
  /** Each is good for one retry. */
  round = 1
  readonly #resized: (bytes: number) => void
  #notices: Notice[] = []
  #noticeBytes = 0
  /** How the call ended, for a client that has not come back yet. */
  #ending: { readonly ending: Ending; readonly bytes: number } | undefined
  #timer: NodeJS.Timeout | undefined

  /** `resized`: so many bytes more are kept for the client, or less. */
  constructor(resized: (bytes: number) => void) {
    this.#resized = resized
  }

  /** What is kept for the client. */
  get bytes(): number {
    return this.#noticeBytes + (this.#ending?.bytes ?? 0)
  }

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
  keep(message: RpcNotification): void {
    const text = textOf(message)
    const bytes = text === undefined ? Number.POSITIVE_INFINITY : Buffer.byteLength(text)
    if (bytes > MOST_BYTES) return
    while (this.#notices.length >= MOST_NOTICES || this.#noticeBytes + bytes > MOST_BYTES) this.#next()
    this.#notices.push({ message, bytes })
    this.#noticeBytes += bytes
    this.#resized(bytes)
  }

  /** Keeps how the call ended until the client is back. */
  end(ending: Ending): void {
    const text = textOf(asResponse(ending))
    const bytes = text === undefined ? 0 : Buffer.byteLength(text)
    this.#ending = { ending: text === undefined ? { error: unsendable() } : ending, bytes }
    this.#resized(bytes)
  }

  /** Takes what `end` has kept. */
  ending(): Ending | undefined {
    const kept = this.#ending
    this.#ending = undefined
    if (kept !== undefined) this.#resized(-kept.bytes)
    return kept?.ending
  }

  /** Tells the client what was said while it was away. */
  tell(turn: Turn): void {
    for (let notice = this.#next(); notice !== undefined; notice = this.#next()) turn.notify(notice.message)
  }

  /** Keeps nothing for the client any more. */
  forget(): void {
    const { bytes } = this
    this.#notices = []
    this.#noticeBytes = 0
    this.#ending = undefined
    if (bytes > 0) this.#resized(-bytes)
  }

  #next(): Notice | undefined {
    const notice = this.#notices.shift()
    if (notice === undefined) return undefined
    this.#noticeBytes -= notice.bytes
    this.#resized(-notice.bytes)
    return notice
  }
}

/** What weighs about as much as the answer will. */
function asResponse(ending: Ending): RpcResponse {
  if ('outcome' in ending) return success(0, ending.outcome.result)
  const { error } = ending
  if (!isRpcError(error)) return failure(0, { code: ErrorCode.InternalError, message: '' })
  const { code, message, data } = error
  return failure(0, data === undefined ? { code, message } : { code, message, data })
}

function unsendable(): RpcError {
  return new RpcError(UNSENDABLE.code, UNSENDABLE.message)
}
