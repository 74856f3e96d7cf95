import { RpcError } from '../errors.ts'
import type { Ask } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { openEnvelope } from '../wire/envelope.ts'
import {
  isFailure,
  notification,
  type JsonObject,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../wire/jsonrpc.ts'
import { refusalOf } from './askable.ts'
import { noAnswer } from './questions.ts'
import { nextRequestId } from './requests.ts'
import type { Session } from './session.ts'

/** A question to a client that has no answer yet. */
export interface PendingAsk {
  /** What it ends with: a call; absent: the session. */
  readonly owner: object | undefined
  settle(response: RpcResponse): void
  /** Gives up, and tells the client so where it can be told. */
  withdraw(reason: string): void
}

/** How a question reaches the client. */
export interface AskRoute {
  /** False when the message went nowhere. */
  send(message: RpcRequest | RpcNotification): boolean
  /** The server took the question back. */
  readonly signal: AbortSignal
  /** The question ends with this; absent: with the session. */
  readonly owner?: object
}

/** How long a client has for an answer, in ms. */
export const ASK_LIMIT = 5 * 60_000
/** Questions that one session may have open. */
const MOST = 64

/** Asks the client of a session as a real request. Rejects `RpcError`: its own, or the reason why there is no answer. */
export function askClient(session: Session, ask: Ask, { send, signal, owner }: AskRoute): Promise<JsonObject> {
  const asks = (session.asks ??= new Map())
  const refusal = refusalOf(session.capabilities, ask) ?? (asks.size >= MOST ? tooMany(ask) : undefined)
  if (refusal !== undefined) return Promise.reject(refusal)
  if (signal.aborted) return Promise.reject(noAnswer(ask, 'the server took the question back'))
  const id = nextRequestId()
  return new Promise((resolve, reject) => {
    const end = (): void => {
      asks.delete(id)
      clearTimeout(limit)
      signal.removeEventListener('abort', takeBack)
    }
    const settle = (response: RpcResponse): void => {
      end()
      if (!isFailure(response)) return resolve(response.result)
      const { code, message, data } = response.error
      reject(new RpcError(code, message, data))
    }
    const withdraw = (reason: string): void => {
      end()
      send(notification('notifications/cancelled', { requestId: id, reason }))
      reject(noAnswer(ask, reason))
    }
    const takeBack = (): void => withdraw('the server took the question back')
    const limit = setTimeout(() => withdraw('no answer in time'), ASK_LIMIT).unref()
    signal.addEventListener('abort', takeBack, { once: true })
    asks.set(id, { owner, settle, withdraw })
    if (send(requestOf(id, ask))) return
    end()
    reject(noAnswer(ask, 'this client has no open stream to be asked on'))
  })
}

/** Hands a client's response to the question it answers; one to no open question is dropped. */
export function settleAsk({ asks }: Session, response: RpcResponse): void {
  if (response.id !== undefined && response.id !== null) asks?.get(response.id)?.settle(response)
}

/** Withdraws every open question of an owner, or, with none, of the whole session. */
export function withdrawAsks({ asks }: Session, reason: string, owner?: object): void {
  if (asks === undefined || asks.size === 0) return
  for (const pending of asks.values()) if (owner === undefined || pending.owner === owner) pending.withdraw(reason)
}

/** The server's progress token stays behind: what the client says under it would lead nowhere. */
function requestOf(id: string, { method, params }: Ask): RpcRequest {
  return { jsonrpc: '2.0', id, method, ...(params && { params: openEnvelope(params).params }) }
}

function tooMany({ method }: Ask): RpcError {
  return new RpcError(ErrorCode.InternalError, `${method}: this client already has ${MOST} questions to answer`)
}
