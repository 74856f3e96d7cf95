import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client'
import { ConnectionError, reasonOf } from '../errors.ts'
import type { Connection, Exchange } from '../transport.ts'
import { asMessage, isFailure } from '../wire/jsonrpc.ts'
import type { RpcRequest, RpcResponse } from '../wire/jsonrpc.ts'
import { createPipe } from './pipe.ts'

/** Longest wait for a transport's own `close()`, in milliseconds. */
const CLOSE_LIMIT = 4000

/**
 * Makes a connection of any `Transport` of the MCP SDK, so that a third party's adapter stays small. Installs the
 * transport's callbacks and starts it; rejects with what `start()` threw, after closing the transport. `odd` hears of
 * what the transport reports without ending.
 */
export async function fromTransport(transport: Transport, odd?: (what: string) => void): Promise<Connection> {
  let lastError: Error | undefined
  let closing: Promise<void> | undefined
  let gone: (reason: Error | undefined) => void = () => {}
  const closed = new Promise<Error | undefined>((resolve) => (gone = resolve))
  const pipe = createPipe({
    write: (message, exchange) =>
      // The SDK's types are its zod schemas': the same JSON, seen as mutable.
      transport.send(message as JSONRPCMessage, {
        ...(exchange?.headers && { headers: exchange.headers }),
        ...(exchange?.signal && transport.hasPerRequestStream && { requestSignal: exchange.signal }),
      }),
    ...(odd && { odd }),
  })

  function end(message: string): void {
    const reason = new ConnectionError(message, { delivered: true, lost: true }, { cause: lastError })
    pipe.end(reason)
    gone(closing ? undefined : reason)
  }

  transport.onmessage = (received) => {
    const message = asMessage(received)
    if (message) pipe.receive(message)
  }
  transport.onerror = (error) => {
    lastError = error
    odd?.(reasonOf(error))
  }
  transport.onclose = () => end(`the connection was closed${lastError ? `: ${lastError.message}` : ''}`)

  async function close(): Promise<void> {
    await Promise.race([transport.close().catch((error: unknown) => odd?.(reasonOf(error))), elapsed(CLOSE_LIMIT)])
    end('the connection was closed by the proxy')
  }

  try {
    await transport.start()
  } catch (error) {
    closing = close()
    await closing
    throw error
  }

  const request = pipe.request
  return Object.assign(pipe, {
    perRequestStream: transport.hasPerRequestStream ?? false,
    closed,
    close: () => (closing ??= close()),
    async request(message: RpcRequest, exchange: Exchange): Promise<RpcResponse> {
      const response = await request(message, exchange)
      if (message.method === 'initialize' && !isFailure(response)) {
        const version = response.result.protocolVersion
        if (typeof version === 'string') transport.setProtocolVersion?.(version)
      }
      return response
    },
  })
}

function elapsed(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref())
}
