import { RpcError } from '../errors.ts'
import type { Ask, Method, Outcome, Peer } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { JsonObject, JsonValue, RpcNotification, RpcResponse } from '../wire/jsonrpc.ts'
import { refusalOf } from './askable.ts'
import { takesInput } from './input-required.ts'
import { Parked } from './parked.ts'
import type { Parking, Waiting } from './parking.ts'
import { noAnswer, Question } from './questions.ts'
import type { Turn } from './turn.ts'

/** How a call ended: with an outcome, or with what was thrown. */
export type Ending = { readonly outcome: Outcome } | { readonly error: unknown }

/** What its calls need of a face. */
export interface CallHome {
  readonly parking: Parking<ModernCall>
  /** What answers a turn once its call has ended. */
  respond(call: ModernCall, turn: Turn, ending: Ending): RpcResponse
  /** What answers a turn with questions. */
  park(call: ModernCall, turn: Turn, parked: Parked): RpcResponse
  /** Hands a question to another call of the same party; false: there is none that takes it. */
  pass(question: Question, from: ModernCall): boolean
}

/** Questions that one call may have open. */
const MOST = 64

/**
 * A call of a client that cannot be asked while it waits. When its server asks, the call is parked: the HTTP request is
 * answered with the questions, the call goes on waiting, and the client's next request brings the answers.
 */
export class ModernCall implements Waiting {
  readonly method: Method
  readonly peer: Peer
  /** What `Mcp-Name` mirrors. */
  readonly name: string | undefined
  readonly #home: CallHome
  readonly #stop = new AbortController()
  /** The HTTP request that waits for it; absent: it is parked, or over. */
  #turn: Turn | undefined
  #parked: Parked | undefined
  #over = false
  /** How it ended, kept for a client that has not come back yet. */
  #ending: Ending | undefined

  constructor(home: CallHome, method: Method, name: string | undefined, peer: Peer) {
    this.#home = home
    this.method = method
    this.name = name
    this.peer = peer
  }

  /** Of the call: survives the HTTP request that parks it. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  get handle(): string {
    return this.#parked?.handle ?? ''
  }

  get owner(): string {
    return this.peer.principal.id
  }

  begin(turn: Turn): void {
    this.#turn = turn
  }

  notify(message: RpcNotification): void {
    if (this.#turn !== undefined) this.#turn.notify(message)
    else if (!this.#over) this.#parked?.keep(message)
  }

  /** Asks the client. Rejects `RpcError`. */
  ask(ask: Ask, signal: AbortSignal): Promise<JsonObject> {
    const question = new Question(ask, signal)
    if (!question.open) return question.answer
    const refusal = this.take(question)
    if (refusal === undefined) return question.answer
    if (ask.unbound !== true || !this.#home.pass(question, this)) question.refuse(refusal)
    return question.answer
  }

  /** Makes a question this call's own; or says why not. */
  take(question: Question): RpcError | undefined {
    const refusal = this.#refusal(question)
    if (refusal !== undefined) return refusal
    this.#parked ??= new Parked()
    if (!this.#home.parking.enter(this))
      return noAnswer(question.ask, 'too many calls wait for answers; try again later')
    question.home?.remove(question)
    this.#parked.questions.add(question)
    if (this.#turn !== undefined) this.#parked.gather(() => this.#park())
    return undefined
  }

  #refusal({ ask }: Question): RpcError | undefined {
    if (this.#over) return noAnswer(ask, 'the call has ended')
    if (!takesInput(this.method)) {
      return new RpcError(ErrorCode.MethodNotFound, `${ask.method}: ${this.method} cannot ask for anything`)
    }
    const refusal = refusalOf(this.peer.client.capabilities, ask)
    if (refusal !== undefined || (this.#parked?.questions.size ?? 0) < MOST) return refusal
    return noAnswer(ask, `this call already has ${MOST} questions open`)
  }

  /** Answers the HTTP request with what is open now. */
  #park(): void {
    const [turn, parked] = [this.#turn, this.#parked]
    if (turn === undefined || parked === undefined) return
    // The server has taken everything back.
    if (parked.questions.size === 0) return this.#home.parking.leave(this)
    this.#turn = undefined
    parked.limit(() => this.cancel('no answer in time'))
    turn.end(this.#home.park(this, turn, parked))
  }

  /** Whether a round that was given out is the one to come back. */
  awaits(round: number | undefined): boolean {
    return this.#turn === undefined && this.#parked?.round === round
  }

  /** The client is back. */
  resume(turn: Turn, responses: JsonValue | undefined): void {
    const parked = this.#parked
    if (parked === undefined) return
    parked.round++
    parked.stop()
    this.#turn = turn
    parked.tell(turn)
    if (this.signal.aborted) return this.#finish({ error: this.signal.reason })
    if (this.#ending !== undefined) return this.#finish(this.#ending)
    parked.questions.answer(responses)
    if (parked.questions.size > 0) parked.gather(() => this.#park())
    else this.#home.parking.leave(this)
  }

  /** The call has ended. Where nobody waits for it, how is kept until somebody does. */
  end(ending: Ending): void {
    const cancelled = this.signal.aborted
    this.#endQuestions('the call has ended')
    if (this.#turn !== undefined) this.#finish(ending)
    else if (!cancelled) this.#ending = ending
  }

  #finish(ending: Ending): void {
    const turn = this.#turn
    this.#turn = undefined
    this.#parked?.stop()
    this.#home.parking.leave(this)
    turn?.end(this.#home.respond(this, turn, ending))
  }

  /** Gives the call up. */
  cancel(reason: string): void {
    this.#endQuestions(reason)
    this.#stop.abort()
    this.#ending = undefined
    this.#parked?.stop()
    this.#home.parking.leave(this)
  }

  #endQuestions(reason: string): void {
    this.#over = true
    for (const question of this.#parked?.questions.list() ?? []) {
      // One that may be about another call does not end with this one.
      if (question.ask.unbound !== true || !this.#home.pass(question, this)) question.refuse(reason)
    }
  }
}
