import { ownerOf } from '../auth.ts'
import { RpcError } from '../errors.ts'
import { takesInput, type Ask, type Method, type Peer } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { success, type JsonObject, type JsonValue, type RpcNotification, type RpcResponse } from '../wire/jsonrpc.ts'
import { textOf } from '../wire/serialise.ts'
import { refusalOf } from './askable.ts'
import { Parked, type Ending } from './parked.ts'
import type { Parking, Waiting } from './parking.ts'
import { inputRequestOf } from './input-required.ts'
import { noAnswer, Question } from './questions.ts'
import type { Turn } from './turn.ts'

/** What its calls need of a face. */
export interface CallHome {
  readonly parking: Parking<ModernCall>
  /** What answers a turn once its call has ended. */
  respond(call: ModernCall, turn: Turn, ending: Ending): RpcResponse
  /** What answers a turn with questions. */
  park(call: ModernCall, turn: Turn, parked: Parked): RpcResponse
  /** Hands a question to another call that it may be about, of the same party; false: there is none that takes it. */
  pass(question: Question, from: ModernCall): boolean
}

const TOO_MUCH = 'This call was given up: too much was kept for clients that had not come back yet; call again'

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
  /** What the last HTTP request wants to be told; a parked call keeps nothing else. */
  #last: Turn | undefined
  #over = false

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
    return ownerOf(this.peer.principal)
  }

  get principal(): string {
    return this.peer.principal.id
  }

  get kept(): number {
    return this.#parked?.bytes ?? 0
  }

  begin(turn: Turn): void {
    this.#turn = turn
  }

  notify(message: RpcNotification): void {
    if (this.#turn !== undefined) this.#turn.notify(message)
    else if (!this.#over && this.#last?.takes(message)) this.#parked?.keep(message)
  }

  /** Asks the client. Rejects `RpcError`. */
  ask(ask: Ask, signal: AbortSignal): Promise<JsonObject> {
    const question = new Question(ask, signal)
    if (!question.open) return question.answer
    const refusal = this.take(question)
    if (refusal === undefined) return question.answer
    if (!this.#home.pass(question, this)) question.refuse(refusal)
    return question.answer
  }

  /** Makes a question this call's own; or says why not. */
  take(question: Question): RpcError | undefined {
    const refusal = this.#refusal(question)
    if (refusal !== undefined) return refusal
    this.#parked ??= new Parked((bytes) => this.#home.parking.resized(bytes))
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
    if (refusal !== undefined) return refusal
    if ((this.#parked?.questions.size ?? 0) >= MOST) {
      return noAnswer(ask, `this call already has ${MOST} questions open`)
    }
    return textOf(success(0, inputRequestOf(ask))) === undefined
      ? noAnswer(ask, 'the question nests too deep to be sent')
      : undefined
  }

  /** Answers the HTTP request with what is open now. */
  #park(): void {
    const [turn, parked] = [this.#turn, this.#parked]
    if (turn === undefined || parked === undefined) return
    // The server has taken everything back.
    if (parked.questions.size === 0) return this.#home.parking.leave(this)
    this.#last = turn
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
    const ending = parked.ending()
    if (ending !== undefined) return this.#finish(ending)
    parked.questions.answer(responses)
    if (parked.questions.size > 0) parked.gather(() => this.#park())
    else this.#home.parking.leave(this)
  }

  /** The call has ended. Where nobody waits for it, how is kept until somebody does. */
  end(ending: Ending): void {
    const cancelled = this.signal.aborted
    this.#endQuestions('the call has ended')
    if (this.#turn !== undefined) this.#finish(ending)
    else if (!cancelled) this.#parked?.end(ending)
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
    this.#parked?.forget()
    this.#parked?.stop()
    this.#home.parking.leave(this)
  }

  /** Too much is kept for clients that are away: gives the call up, as the client hears when it is back in time. */
  drop(): void {
    this.#endQuestions('too much is kept for the client of this call')
    this.#stop.abort(new RpcError(ErrorCode.InternalError, TOO_MUCH))
    this.#parked?.forget()
  }

  #endQuestions(reason: string): void {
    this.#over = true
    for (const question of this.#parked?.questions.list() ?? []) {
      // One that may be about another call does not end with this one.
      if (!this.#home.pass(question, this)) question.refuse(reason)
    }
  }
}
