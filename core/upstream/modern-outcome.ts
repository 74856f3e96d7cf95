import { RpcError } from '../errors.ts'
import { complete, takesInput, type Ask, type Method, type Outcome } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { isObject, type JsonObject, type JsonValue } from '../wire/jsonrpc.ts'

/** Most of what a server sent that is repeated in an error, in characters. */
const CUT = 60

/**
 * What a 2026-07-28 result says (basic/index#ResultType); throws `RpcError` for a type that has no meaning here. A
 * complete result is the very object that came: `resultType` and `serverInfo`, which are about this hop, stay in it for
 * the downstream faces to overwrite or strip, since a copy would cost a large result its text (wire/serialise).
 */
export function readOutcome(server: string, method: Method, result: JsonObject): Outcome {
  const { resultType } = result
  if (resultType === undefined || resultType === 'complete') return complete(result)
  if (resultType !== 'input_required' || !takesInput(method)) throw unusable(server, method, resultType)
  const { inputRequests, requestState } = result
  const isWhole =
    (inputRequests !== undefined || requestState !== undefined) &&
    (inputRequests === undefined || isAsks(inputRequests)) &&
    (requestState === undefined || typeof requestState === 'string')
  if (!isWhole) throw unusable(server, method, `${resultType} without a usable inputRequests or requestState`)
  return {
    kind: 'input_required',
    result: {
      ...(inputRequests !== undefined && { inputRequests }),
      ...(requestState !== undefined && { requestState }),
    },
  }
}

function isAsks(value: JsonValue): value is JsonObject & Readonly<Record<string, JsonObject & Ask>> {
  if (!isObject(value)) return false
  return Object.values(value).every(
    (ask) => isObject(ask) && typeof ask.method === 'string' && (ask.params === undefined || isObject(ask.params)),
  )
}

function unusable(server: string, method: Method, sent: JsonValue): RpcError {
  const text = JSON.stringify(sent)
  const shown = text.length > CUT ? `${text.slice(0, CUT)}…` : text
  return new RpcError(ErrorCode.InternalError, `server "${server}" answered ${method} with result type ${shown}`)
}
