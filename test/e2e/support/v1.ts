import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { RequestOptions } from '@modelcontextprotocol/sdk/shared/protocol.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { ResultSchema } from '@modelcontextprotocol/sdk/types.js'

export type Json = Record<string, unknown>

/** A client of the SDK's v1 line, connected; it declares what the proxy declares to the servers it shares. */
export interface V1Client {
  readonly client: Client
  /** Sends a request and resolves with its result as it came. */
  ask(method: string, params?: Json, options?: RequestOptions): Promise<Json>
  close(): Promise<void>
}

/** Connects to an endpoint. */
export function connectV1(url: string, fetcher?: typeof fetch): Promise<V1Client> {
  return open(new StreamableHTTPClientTransport(new URL(url), { ...(fetcher && { fetch: fetcher }) }))
}

/** Starts a server of its own and connects to it, without the proxy. */
export function connectDirect(entry: { command: string; args: string[]; env?: Record<string, string> }) {
  return open(new StdioClientTransport({ ...entry, stderr: 'ignore' }))
}

async function open(transport: Transport): Promise<V1Client> {
  const client = new Client(
    { name: 'v1', version: '1' },
    { capabilities: { sampling: {}, elicitation: { form: {}, url: {} } } },
  )
  await client.connect(transport)
  return {
    client,
    ask: (method, params, options) => client.request({ method, ...(params && { params }) }, ResultSchema, options),
    close: () => client.close(),
  }
}
