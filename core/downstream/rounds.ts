import { randomUUID } from 'node:crypto'
import { backoff, doubling, sleep } from '../backoff.ts'
import { reasonOf, RpcError } from '../errors.ts'
import type { Ask, Call, Outcome, Round } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { isObject, notification, type JsonObject, type JsonValue, type RpcNotification } from '../wire/jsonrpc.ts'
import { isQuestion, missingFor } from './askable.ts'

/** How often a call is repeated because its server needs something. */
const MOST = 10
/** Ms before a call is repeated that its server has only put off. */
const pauseBefore = backoff({ delays: doubling(250, 5000) })

type Carry = (call: Call) => Promise<Outcome>
type Question = readonly [key: string, ask: Ask]

/**
 * Turns `input_required` (2026-07-28 basic/patterns/mrtr) into questions to the client and repeats the call with the
 * answers, until it is complete. Rejects `RpcError`; that a question of a tool got no answer is a result, so that the
 * model hears of it.
 */
export async function carryRounds(call: Call, first: Outcome, carry: Carry): Promise<JsonObject> {
  let outcome = first
  let putOff = 0
  for (let number = 1; outcome.kind === 'input_required'; number++) {
    if (number > MOST) throw broken(`it still needs some after ${MOST} rounds`)
    const { questions, requestState } = readNeeds(outcome.result)
    let round: Round = requestState === undefined ? {} : { requestState }
    if (questions.length === 0) await sleep(pauseBefore(putOff++), call.signal)
    else {
      putOff = 0
      try {
        round = { ...round, inputResponses: await askAll(call, questions) }
      } catch (error) {
        call.signal.throwIfAborted()
        return unanswered(call, error)
      }
    }
    call.signal.throwIfAborted()
    outcome = await carry({ ...call, round })
  }
  return outcome.result
}

/** Checks what a server says it needs: nobody did before. */
function readNeeds(result: { readonly inputRequests?: unknown; readonly requestState?: unknown }) {
  const { inputRequests, requestState } = result
  if (inputRequests !== undefined && !isObject(inputRequests)) throw broken('"inputRequests" is no object')
  if (requestState !== undefined && typeof requestState !== 'string') throw broken('"requestState" is no string')
  const questions = Object.entries(inputRequests ?? {}).map(readQuestion)
  if (questions.length === 0 && requestState === undefined) throw broken('neither "inputRequests" nor "requestState"')
  return { questions, requestState }
}

function readQuestion([key, value]: [string, JsonValue | undefined]): Question {
  const where = `the entry ${JSON.stringify(key)} of "inputRequests"`
  if (!isObject(value)) throw broken(`${where} is no object`)
  const { method, params } = value
  if (typeof method !== 'string') throw broken(`${where} has no method`)
  if (!isQuestion(method)) throw broken(`${where} has the unknown method ${JSON.stringify(method)}`)
  if (params === undefined) return [key, { method }]
  if (!isObject(params)) throw broken(`the params of ${where} are no object`)
  // In the older revisions what is asked by URL has an id (2025-11-25 client/elicitation), in this one it has none.
  const isByUrl = method === 'elicitation/create' && params.mode === 'url' && params.elicitationId === undefined
  return [key, { method, params: isByUrl ? { ...params, elicitationId: randomUUID() } : params }]
}

/** All at once; none at all when one of them cannot be put to the client. */
async function askAll(call: Call, questions: readonly Question[]): Promise<JsonObject> {
  const asks = questions.map(([, ask]) => ask)
  const missing = missingFor(call.client.capabilities, asks)
  if (missing !== undefined) throw lacking(missing)
  const answers = await Promise.all(asks.map((ask) => call.ask(ask, call.signal)))
  return Object.fromEntries(questions.map(([key], index) => [key, answers[index]]))
}

function unanswered({ method }: Call, error: unknown): JsonObject {
  if (method !== 'tools/call') throw error
  const text = `The tool needs input to go on and got none: ${reasonOf(error)}`
  return { isError: true, content: [{ type: 'text', text }] }
}

function lacking(missing: JsonObject): RpcError {
  const names = Object.entries(missing).map(([name, parts]) => {
    const needed = isObject(parts) ? Object.keys(parts) : []
    return needed.length === 0 ? name : `${name} (${needed.join(', ')})`
  })
  const message = `The server asks for what this client did not declare: ${names.join(', ')}`
  return new RpcError(ErrorCode.InternalError, message, { requiredCapabilities: missing })
}

function broken(what: string): RpcError {
  return new RpcError(ErrorCode.InternalError, `The server needs input in a way that cannot be followed: ${what}`)
}

/** Keeps progress growing over the rounds of a call, as it must (2025-11-25 basic/utilities/progress): servers may start anew. */
export class RisingProgress {
  #highest = Number.NEGATIVE_INFINITY
  #raise = 0
  #isNewRound = false

  newRound(): void {
    this.#isNewRound = true
  }

  /** The notification as the client may see it: the very same one unless its server has started anew. */
  next(message: RpcNotification): RpcNotification {
    const { progress, total } = message.params ?? {}
    if (message.method !== 'notifications/progress' || typeof progress !== 'number') return message
    if (this.#isNewRound) {
      this.#isNewRound = false
      this.#raise = progress > this.#highest ? 0 : this.#highest + (progress > 0 ? 0 : 1 - progress)
    }
    this.#highest = Math.max(this.#highest, progress + this.#raise)
    if (this.#raise === 0) return message
    const raised = typeof total === 'number' ? { total: total + this.#raise } : undefined
    return notification(message.method, { ...message.params, progress: progress + this.#raise, ...raised })
  }
}
