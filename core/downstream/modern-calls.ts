import { ownerOf } from '../auth.ts'
import type { ConsolaInstance } from 'consola'
import { isRpcError } from '../errors.ts'
import type { Outcome, Peer, Round } from '../gateway/call.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { InFlight } from '../in-flight.ts'
import type { Keys } from '../keys.ts'
import { ErrorCode } from '../wire/codes.ts'
import { mirroredName } from '../wire/headers.ts'
import { failure, success, type JsonObject } from '../wire/jsonrpc.ts'
import { errorBody } from './errors.ts'
import { checkAskable, inputRequired, urlsToOpen } from './input-required.ts'
import { ModernCall, type CallHome } from './modern-call.ts'
import { ROUND_LIMIT, type Ending } from './parked.ts'
import { Parking } from './parking.ts'
import { keyed } from './questions.ts'
import { stamp } from './results.ts'
import { createStates } from './state.ts'
import { ofThisEra, respond } from './statuses.ts'
import { Turn, type Asked } from './turn.ts'

export interface ModernCallsOptions {
  readonly gateway: Gateway
  readonly keys: Keys
  readonly logger: ConsolaInstance
  /** A call of this peer has ended. */
  onend(peer: Peer): void
}

/** Carries the requests of modern clients through the gateway. */
export interface ModernCalls {
  answer(request: Request, asked: Asked): Response | Promise<Response>
  /** Ends every call, parked ones too. */
  close(): void
}

/** How long (ms) a server's own state can be used. */
const SERVER_STATE_LIFE = 24 * 3_600_000

export function createModernCalls({ gateway, keys, logger, onend }: ModernCallsOptions): ModernCalls {
  const states = createStates(keys)
  const parking = new Parking<ModernCall>()
  const running = new InFlight<string, ModernCall>()

  const home: CallHome = {
    parking,
    respond(call, { asked: { id, requestId } }, ending) {
      try {
        return success(id, resultOf(call, ending))
      } catch (error) {
        const { aborted, reason } = call.signal
        if (aborted && !isRpcError(reason)) return failure(id, CANCELLED)
        return failure(id, ofThisEra(errorBody(aborted ? reason : error, requestId, logger)))
      }
    },
    park(call, { asked }, { handle, round, questions }) {
      const expires = Date.now() + ROUND_LIMIT
      const state = states.seal({ kind: 'parked', handle, round, expires }, call)
      return success(asked.id, inputRequired(questions.requests(), state))
    },
    pass(question, from) {
      // The newest first: it is the most likely one to have made the server ask.
      for (const requestId of question.ask.unbound?.toReversed() ?? []) {
        const call = running.get(requestId)
        if (call === undefined || call === from || call.peer.party !== from.peer.party) continue
        if (call.take(question) === undefined) return true
      }
      return false
    },
  }

  function resultOf(call: ModernCall, ending: Ending): JsonObject {
    if ('error' in ending) return urlsFirst(call, ending.error)
    const { outcome } = ending
    if (outcome.kind === 'input_required') return passOn(call, outcome.result)
    return stamp(call.method, outcome.result, call.peer.principal.permissions !== undefined)
  }

  /** What a server of this era needs: the questions as they are, its state sealed, so that nobody can lend it. */
  function passOn(call: ModernCall, { inputRequests, requestState }: Needs): JsonObject {
    checkAskable(call.method, call.peer.client.capabilities, Object.values(inputRequests ?? {}))
    const expires = Date.now() + SERVER_STATE_LIFE
    const state =
      requestState === undefined ? undefined : states.seal({ kind: 'server', state: requestState, expires }, call)
    return inputRequired(inputRequests, state)
  }

  /** A session-based server wants URLs opened first; nothing is kept, the client's next request runs the call again. */
  function urlsFirst(call: ModernCall, error: unknown): JsonObject {
    const asks = urlsToOpen(error)
    if (asks === undefined) throw error
    checkAskable(call.method, call.peer.client.capabilities, asks)
    return inputRequired(keyed(asks), undefined)
  }

  function start(request: Request, asked: Asked, params: JsonObject, round?: Round): Promise<Response> {
    const { method, peer, requestId } = asked
    const call = new ModernCall(home, method, mirroredName(method, params), peer)
    const turn = new Turn(request, asked, () => call.cancel('the client cancelled'))
    call.begin(turn)
    running.set(requestId, call)
    void carry(call, asked, params, round).then((ending) => {
      running.delete(requestId)
      call.end(ending)
      onend(peer)
    })
    return turn.response
  }

  async function carry(call: ModernCall, asked: Asked, params: JsonObject, round?: Round): Promise<Ending> {
    const { method, envelope, peer, logLevel, requestId, headers } = asked
    try {
      const outcome = await gateway.call({
        ...peer,
        method,
        params,
        signal: call.signal,
        progress: envelope.progressToken !== undefined,
        ...(logLevel && { logLevel }),
        requestId,
        ...(round && { round }),
        ...(headers && { headers }),
        notify: (message) => call.notify(message),
        ask: (ask, signal) => call.ask(ask, signal),
      })
      return { outcome }
    } catch (error) {
      return { error }
    }
  }

  return {
    answer(request, asked) {
      const { params: sent } = asked.envelope
      if (sent.inputResponses === undefined && sent.requestState === undefined) return start(request, asked, sent)
      const { inputResponses, requestState, ...params } = sent
      const answers = inputResponses === undefined ? {} : { inputResponses }
      if (requestState === undefined) return start(request, asked, params, answers)
      const { method, peer } = asked
      const bound = { owner: ownerOf(peer.principal), method, name: mirroredName(method, params) }
      const state = typeof requestState === 'string' ? states.open(requestState, bound) : undefined
      if (state?.kind === 'server') return start(request, asked, params, { ...answers, requestState: state.state })
      const call = state && parking.find(state.handle)
      const mayGoOn = call?.awaits(state?.round) === true && gateway.mayCall(peer.principal, method, params)
      if (call === undefined || !mayGoOn) return respond(failure(asked.id, LAPSED))
      const turn = new Turn(request, asked, () => call.cancel('the client cancelled'))
      call.resume(turn, inputResponses)
      return turn.response
    },
    close() {
      for (const call of [...running.values(), ...parking.all()]) call.cancel('the proxy is closing')
    },
  }
}

type Needs = Extract<Outcome, { readonly kind: 'input_required' }>['result']

const CANCELLED = { code: ErrorCode.InternalError, message: 'Request cancelled' }

/** Says no more: who has another's state need not know what is wrong with it. */
const LAPSED = {
  code: ErrorCode.InvalidParams,
  message: 'requestState is not of this request, was used before, or has expired; call again without it',
}
