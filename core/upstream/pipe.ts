import { ConnectionError, isConnectionError, reasonOf } from '../errors.ts'
import { InFlight } from '../in-flight.ts'
import type { Exchange } from '../transport.ts'
import { isResponse } from '../wire/jsonrpc.ts'
import type { RpcId, RpcMessage, RpcNotification, RpcRequest, RpcResponse } from '../wire/jsonrpc.ts'
import { createAttribution } from './attribution.ts'

/** What a pipe needs of the transport under it. */
export interface PipeEnds {
  /**
   * Puts a message on the wire; resolves when the next may follow. Rejects `ConnectionError` where it can say whether
   * the message left; any other error counts as "may have left".
   */
  write(message: RpcMessage, exchange?: Exchange): Promise<void>
  /** Something odd that ends nothing: a response that nobody waits for, a receiver that threw. */
  odd?(what: string): void
}

/** Requests, responses and attribution over one pipe that all exchanges share (stdio, SSE, any SDK transport). */
export interface Pipe {
  request(message: RpcRequest, exchange: Exchange): Promise<RpcResponse>
  send(message: RpcNotification | RpcResponse): Promise<void>
  /** Hands in a message that the server sent. Never throws. */
  receive(message: RpcMessage): void
  /** Rejects the pending request `id`, if there is one. */
  reject(id: RpcId, error: ConnectionError): void
  /** Ends the pipe: whatever is pending, or comes later, rejects. Only the first call counts. */
  end(error: ConnectionError): void
  /** What belongs to no exchange; `party`: the only one served so far, when there is exactly one. */
  onmessage?: (message: RpcRequest | RpcNotification, party?: string) => void
}

interface Pending {
  resolve(response: RpcResponse): void
  reject(error: Error): void
}

/** Wires a transport that only knows "write" and "received" to exchanges. */
export function createPipe(ends: PipeEnds): Pipe {
  const pending = new InFlight<RpcId, Pending>()
  const attribution = createAttribution()
  let ended: ConnectionError | undefined
  let oddResponses = 0

  function respond(response: RpcResponse): void {
    const waiting = response.id === undefined || response.id === null ? undefined : pending.get(response.id)
    if (waiting) return waiting.resolve(response)
    // Late answers to cancelled requests are everyday; a broken server would fill the log with them.
    if (oddResponses++ === 0) ends.odd?.(`a response to no open request (id ${JSON.stringify(response.id)})`)
  }

  function deliver(message: RpcRequest | RpcNotification): void {
    const destination = attribution.route(message)
    if (destination === 'nobody') pipe.onmessage?.(message, attribution.party)
    else if (destination !== 'dropped') destination.onmessage(message)
  }

  const pipe: Pipe = {
    request(message, exchange) {
      if (ended) return Promise.reject(neverSent(ended))
      if (exchange.signal?.aborted) return Promise.reject(aborted(exchange.signal, false))
      if (pending.has(message.id)) {
        const twice = `request id ${JSON.stringify(message.id)} is in use on this connection`
        return Promise.reject(new ConnectionError(twice, { delivered: false, lost: false }))
      }
      return new Promise((resolve, reject) => {
        const close = attribution.open(message.id, exchange)
        const settle = () => {
          pending.delete(message.id)
          close()
          exchange.signal?.removeEventListener('abort', onabort)
        }
        const waiting: Pending = {
          resolve: (response) => (settle(), resolve(response)),
          reject: (error) => (settle(), reject(error)),
        }
        const onabort = () => waiting.reject(aborted(exchange.signal, true))
        pending.set(message.id, waiting)
        exchange.signal?.addEventListener('abort', onabort, { once: true })
        const fail = (error: unknown): void => {
          if (pending.get(message.id) === waiting) waiting.reject(asConnectionError(error))
        }
        try {
          ends.write(message, exchange).catch(fail)
        } catch (error) {
          fail(error) // what is nested too deep for JSON.stringify
        }
      })
    },
    async send(message) {
      if (ended) throw neverSent(ended)
      if (isResponse(message) && message.id !== undefined && message.id !== null) attribution.answered(message.id)
      try {
        await ends.write(message)
      } catch (error) {
        throw asConnectionError(error)
      }
    },
    receive(message) {
      try {
        if (isResponse(message)) respond(message)
        else deliver(message)
      } catch (error) {
        ends.odd?.(`a message could not be handled: ${reasonOf(error)}`)
      }
    },
    reject(id, error) {
      pending.get(id)?.reject(error)
    },
    end(error) {
      if (ended) return
      ended = error
      for (const waiting of pending.values()) waiting.reject(error)
    },
  }
  return pipe
}

/** The pipe was gone before this message: whoever sends it may try again elsewhere. */
function neverSent(ended: ConnectionError): ConnectionError {
  return new ConnectionError(ended.message, { delivered: false, lost: true }, { cause: ended })
}

function aborted(signal: AbortSignal | undefined, delivered: boolean): ConnectionError {
  return new ConnectionError('the request was given up', { delivered, lost: false }, { cause: signal?.reason })
}

function asConnectionError(error: unknown): ConnectionError {
  if (isConnectionError(error)) return error
  return new ConnectionError(`sending failed: ${reasonOf(error)}`, { delivered: true, lost: false }, { cause: error })
}
