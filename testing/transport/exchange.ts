import type { Connection, Exchange, JsonObject, RpcNotification, RpcRequest, RpcResponse } from '../../core/index.ts'

/** An exchange that keeps what arrives. */
export interface Recorder {
  readonly exchange: Exchange
  readonly messages: (RpcRequest | RpcNotification)[]
}

/** Records as `party` (default `alice`); `''` is the proxy itself. */
export function recorder(party = 'alice', signal?: AbortSignal): Recorder {
  const messages: (RpcRequest | RpcNotification)[] = []
  const exchange: Exchange = { party, ...(signal && { signal }), onmessage: (message) => void messages.push(message) }
  return { exchange, messages }
}

let lastId = 0

/** A call of one of the scripted server's tools that wants progress; its id is new. */
export function toolCall(name: string, args: JsonObject = {}): RpcRequest {
  const id = ++lastId
  return {
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name, arguments: args, _meta: { progressToken: id } },
  }
}

/** Runs the handshake of the legacy era, as a client that can be asked for its roots. */
export async function initialize(connection: Connection): Promise<void> {
  const params = {
    protocolVersion: '2025-06-18',
    capabilities: { roots: {} },
    clientInfo: { name: 'contract', version: '1' },
  }
  await connection.request({ jsonrpc: '2.0', id: ++lastId, method: 'initialize', params }, recorder('').exchange)
  await connection.send({ jsonrpc: '2.0', method: 'notifications/initialized' })
}

/** The text that a tool has answered; the error where there is one. */
export function textOf(response: RpcResponse): unknown {
  if (!('result' in response)) return response.error
  return (response.result.content as readonly { readonly text?: unknown }[] | undefined)?.[0]?.text
}
