import { RpcError } from '../errors.ts'
import type { Ask } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { isObject, type JsonObject, type JsonValue } from '../wire/jsonrpc.ts'
import { inputRequestOf } from './input-required.ts'

/** A server's question to a client of the stateless era, until it is answered, refused or taken back. */
export class Question {
  readonly ask: Ask
  /** Rejects `RpcError`. */
  readonly answer: Promise<JsonObject>
  /** Whether it still waits for an answer. */
  open = true
  /** Where it waits. */
  home: Questions | undefined
  #settle!: (result: JsonObject) => void
  #reject!: (error: RpcError) => void
  readonly #signal: AbortSignal
  readonly #takeBack = (): void => this.refuse('the server took the question back')

  /** `signal`: the server takes it back. */
  constructor(ask: Ask, signal: AbortSignal) {
    this.ask = ask
    this.#signal = signal
    this.answer = new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#reject = reject
    })
    signal.addEventListener('abort', this.#takeBack, { once: true })
    if (signal.aborted) this.#takeBack()
  }

  settle(result: JsonObject): void {
    this.#leave()
    this.#settle(result)
  }

  /** There will be no answer. */
  refuse(reason: string | RpcError): void {
    this.#leave()
    this.#reject(typeof reason === 'string' ? noAnswer(this.ask, reason) : reason)
  }

  #leave(): void {
    this.open = false
    this.#signal.removeEventListener('abort', this.#takeBack)
    this.home?.remove(this)
  }
}

/** The open questions of one call, under keys that are never used twice. */
export class Questions {
  readonly #open = new Map<string, Question>()
  #last = 0

  get size(): number {
    return this.#open.size
  }

  add(question: Question): void {
    question.home = this
    this.#open.set(keyOf(++this.#last), question)
  }

  remove(question: Question): void {
    for (const [key, open] of this.#open) if (open === question) this.#open.delete(key)
    question.home = undefined
  }

  /** As `inputRequests` (2026-07-28 basic/patterns/mrtr). */
  requests(): JsonObject {
    return Object.fromEntries([...this.#open].map(([key, { ask }]) => [key, inputRequestOf(ask)]))
  }

  /** Hands out what a client says. Keys of no open question mean nothing, and what is no result is no answer. */
  answer(responses: JsonValue | undefined): void {
    if (!isObject(responses)) return
    for (const [key, question] of this.#open) {
      const response = responses[key]
      if (isObject(response)) question.settle(response)
    }
  }

  /** Every open question; they stay. */
  list(): readonly Question[] {
    return [...this.#open.values()]
  }
}

/** Why a question gets no answer. */
export function noAnswer({ method }: Ask, reason: string): RpcError {
  return new RpcError(ErrorCode.InternalError, `${method}: ${reason}`)
}

/** Questions that nobody waits with, as `inputRequests`. */
export function keyed(asks: readonly Ask[]): JsonObject {
  return Object.fromEntries(asks.map((ask, index) => [keyOf(index + 1), inputRequestOf(ask)]))
}

function keyOf(number: number): string {
  return `question-${number}`
}
