import { isRpcError, RpcError } from '../errors.ts'
import { takesInput, type Ask, type Method } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { openEnvelope } from '../wire/envelope.ts'
import { isObject, type JsonObject, type JsonValue } from '../wire/jsonrpc.ts'
import { isQuestion, missingFor } from './askable.ts'
import { metaOf } from './results.ts'

/** The result that makes a client answer questions and send its request again (2026-07-28 basic/patterns/mrtr). */
export function inputRequired(inputRequests: JsonObject | undefined, requestState: string | undefined): JsonObject {
  return {
    resultType: 'input_required',
    ...(inputRequests !== undefined && { inputRequests }),
    ...(requestState !== undefined && { requestState }),
    _meta: metaOf({}),
  }
}

/** A session-based server's question for this wire: its progress token leads nowhere here, and `elicitationId` is gone. */
export function inputRequestOf({ method, params }: Ask): JsonObject {
  if (params === undefined) return { method }
  const own = openEnvelope(params).params
  if (method !== 'elicitation/create') return { method, params: own }
  const { elicitationId: _, ...rest } = own
  return { method, params: rest }
}

/** Throws `RpcError` unless a client, by what it declared, can be asked all this in answer to this request. */
export function checkAskable(method: Method, capabilities: JsonObject, asks: readonly Ask[]): void {
  if (!takesInput(method))
    throw new RpcError(ErrorCode.InternalError, `The server needs input, which ${method} cannot ask for`)
  const strange = asks.find((ask) => !isQuestion(ask.method))
  if (strange !== undefined) {
    throw new RpcError(
      ErrorCode.InternalError,
      `The server asks for ${strange.method}, which is no question to a client`,
    )
  }
  const requiredCapabilities = missingFor(capabilities, asks)
  if (requiredCapabilities === undefined) return
  const names = Object.keys(requiredCapabilities).join(', ')
  throw new RpcError(ErrorCode.MissingClientCapability, `The server needs what this client did not declare: ${names}`, {
    requiredCapabilities,
  })
}

/** The URLs that an error of a session-based server says are to be opened first, as questions; `undefined`: it is no such error. */
export function urlsToOpen(error: unknown): readonly Ask[] | undefined {
  if (!isRpcError(error) || error.code !== ErrorCode.UrlElicitationRequired || !isObject(error.data)) return undefined
  const { elicitations } = error.data
  if (!Array.isArray(elicitations) || elicitations.length === 0) return undefined
  const asks = elicitations.map(urlAsk)
  return asks.every((ask) => ask !== undefined) ? asks : undefined
}

function urlAsk(elicitation: JsonValue): Ask | undefined {
  if (!isObject(elicitation)) return undefined
  const { url, message } = elicitation
  if (typeof url !== 'string' || typeof message !== 'string') return undefined
  return { method: 'elicitation/create', params: { mode: 'url', url, message } }
}
