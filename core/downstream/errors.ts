import type { ConsolaInstance } from 'consola'
import { isRpcError, reasonOf } from '../errors.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { RpcErrorBody } from '../wire/jsonrpc.ts'

/** What a client gets to see of a failed call: an `RpcError` as it is, anything else as an internal error with the request id. */
export function errorBody(error: unknown, requestId: string, logger: ConsolaInstance): RpcErrorBody {
  if (isRpcError(error)) {
    return error.data === undefined
      ? { code: error.code, message: error.message }
      : { code: error.code, message: error.message, data: error.data }
  }
  logger.error(`request ${requestId} failed: ${reasonOf(error)}`, error)
  return { code: ErrorCode.InternalError, message: 'Internal error', data: { requestId } }
}
