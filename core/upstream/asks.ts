import type { ConsolaInstance } from 'consola'
import { isRpcError, reasonOf, RpcError } from '../errors.ts'
import type { Peer } from '../gateway/call.ts'
import type { Connection } from '../transport.ts'
import { ErrorCode } from '../wire/codes.ts'
import { startDeadline } from './deadline.ts'
import { failure, success, type RpcId, type RpcRequest, type RpcResponse } from '../wire/jsonrpc.ts'

/** Whom a server's question is for. */
export interface Asked {
  readonly peer: Peer
  /** Of the call behind the question; absent: the question stands alone. */
  readonly signal?: AbortSignal
  /** It may be about any of these calls (`requestId`). */
  readonly unbound?: readonly string[]
}

/** A server's own requests over one legacy connection: carried to a client, answered, taken back. */
export interface Asks {
  /** Never rejects. Resolves once the answer is on its way. */
  answer(request: RpcRequest, asked: Asked | undefined): Promise<void>
  /** The server takes a question back. */
  cancel(id: RpcId): void
  /** Ends every open question. */
  close(): void
}

/** Longest that a question without a call may take, in ms. */
const ALONE = 5 * 60_000

export function createAsks(connection: Connection, logger: ConsolaInstance): Asks {
  const open = new Map<RpcId, AbortController>()

  async function respond(request: RpcRequest, response: RpcResponse): Promise<void> {
    try {
      await connection.send(response)
    } catch (error) {
      logger.debug(`the answer to ${request.method} was not sent: ${reasonOf(error)}`)
    }
  }

  return {
    async answer(request, asked) {
      if (request.method === 'ping') return respond(request, success(request.id, {}))
      const stop = new AbortController()
      const deadline = startDeadline(ALONE)
      open.set(request.id, stop)
      try {
        if (asked === undefined) throw nobody(request)
        const signal = AbortSignal.any([stop.signal, asked.signal ?? deadline.signal])
        const { method, params } = request
        const ask = { method, ...(params && { params }), ...(asked.unbound && { unbound: asked.unbound }) }
        const result = await asked.peer.ask(ask, signal)
        await respond(request, success(request.id, result))
      } catch (error) {
        // Taken back: the server waits for no answer.
        if (open.get(request.id) !== stop) return
        const body = isRpcError(error)
          ? { code: error.code, message: error.message, ...(error.data !== undefined && { data: error.data }) }
          : { code: ErrorCode.InternalError, message: reasonOf(error) }
        await respond(request, failure(request.id, body))
      } finally {
        deadline.clear()
        if (open.get(request.id) === stop) open.delete(request.id)
      }
    },
    cancel(id) {
      const stop = open.get(id)
      open.delete(id)
      stop?.abort()
    },
    close() {
      for (const id of open.keys()) this.cancel(id)
    },
  }
}

function nobody({ method }: RpcRequest): RpcError {
  return new RpcError(
    ErrorCode.MethodNotFound,
    `${method}: it cannot be told which client this is for; set "isolate" to "session" for this server`,
  )
}
