import type { JsonObject, RpcId, RpcResponse } from '../core/index.ts'
import { asMessage, isResponse } from '../core/index.ts'
import { Meta } from '../core/wire/envelope.ts'

export const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

const ENVELOPE = {
  [Meta.protocolVersion]: '2026-07-28',
  [Meta.clientCapabilities]: {},
  [Meta.clientInfo]: { name: 'test', version: '1' },
}

/** One request of the era 2026-07-28, for `fetch`: everything it needs is in it. */
export function modernRequest(
  method: string,
  params: JsonObject = {},
  headers: Readonly<Record<string, string>> = {},
  id: RpcId = 1,
): RequestInit & { readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  const name = params.name ?? params.uri
  const _meta = { ...ENVELOPE, ...(params._meta as JsonObject | undefined) }
  return {
    method: 'POST',
    headers: {
      ...JSON_HEADERS,
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...((typeof name === 'string' || typeof name === 'number') && { 'mcp-name': String(name) }),
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta } }),
  }
}

/** The JSON-RPC response in an HTTP one, whether JSON or an event stream. Throws where there is none. */
export async function responseIn(response: Response): Promise<RpcResponse> {
  const text = await response.text()
  const isStream = response.headers.get('content-type')?.includes('text/event-stream') === true
  const bodies = isStream
    ? text.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice('data: '.length)] : []))
    : [text]
  for (const body of bodies) {
    const message = body === '' ? undefined : asMessage(parsed(body))
    if (message !== undefined && isResponse(message)) return message
  }
  throw new Error(`no JSON-RPC response, but HTTP ${response.status}: ${text.slice(0, 500)}`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
