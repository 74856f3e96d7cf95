import { join } from 'node:path'
import type { Config } from '../core/config/define.ts'
import { captureLog, type LogLine } from '../testing/log.ts'
import { openTestProxy, type TestProxy } from '../testing/proxy.ts'
import { JSON_HEADERS, modernRequest } from '../testing/wire.ts'

export const ROOT = join(import.meta.dirname, '..')

/** Entries for servers that the repository brings along. */
export const servers = {
  everything: node('node_modules/@modelcontextprotocol/server-everything/dist/index.js'),
  memory: node('node_modules/@modelcontextprotocol/server-memory/dist/index.js'),
  fault: (mode: string) => node('test/fixtures/fault-server.ts', mode),
}

export function node(script: string, ...args: string[]) {
  return { command: process.execPath, args: [join(ROOT, script), ...args] }
}

export { captureLog, type LogLine, type TestProxy }

/** A real proxy on a port of its own, in this process; its servers have settled when it resolves, unless told not to wait. */
export function openProxy(
  config: Config,
  { settled = true, rootDir = ROOT }: { readonly settled?: boolean; readonly rootDir?: string } = {},
): Promise<TestProxy> {
  return openTestProxy(config, { settled, rootDir })
}

/** The JSON-RPC messages of an answer, whether JSON, batch or event stream. */
export async function messagesOf(response: Response): Promise<any[]> {
  const text = await response.text()
  if (response.headers.get('content-type')?.includes('text/event-stream')) {
    return text.split('\n').flatMap((line) => (line.startsWith('data: ') ? [JSON.parse(line.slice(6))] : []))
  }
  if (text === '') return []
  const body = JSON.parse(text)
  return Array.isArray(body) ? body : [body]
}

export { JSON_HEADERS }

/** A bare legacy client: sees exactly what is on the wire. */
export interface LegacyWire {
  readonly sessionId: string
  /** Sends a body as it is, with the session's header. */
  post(body: unknown, headers?: Record<string, string>): Promise<Response>
  /** Sends a request and resolves with its response message. */
  request(method: string, params?: object, id?: number | string): Promise<any>
}

export async function openLegacy(
  url: string,
  protocolVersion = '2025-11-25',
  fetcher: typeof fetch = fetch,
): Promise<LegacyWire> {
  const send = (body: unknown, headers: Record<string, string>) =>
    fetcher(url, { method: 'POST', headers: { ...JSON_HEADERS, ...headers }, body: JSON.stringify(body) })
  const params = { protocolVersion, capabilities: {}, clientInfo: { name: 'wire', version: '1' } }
  const opened = await send({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, {})
  const sessionId = opened.headers.get('mcp-session-id') ?? ''
  await opened.arrayBuffer()
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    send(body, { 'mcp-session-id': sessionId, ...headers })
  await post({ jsonrpc: '2.0', method: 'notifications/initialized' })
  let lastId = 0
  return {
    sessionId,
    post,
    async request(method, params, id = ++lastId) {
      const messages = await messagesOf(await post({ jsonrpc: '2.0', id, method, ...(params && { params }) }))
      return messages.find((message) => message.id === id && message.method === undefined)
    },
  }
}

/** A bare 2026-07-28 client: one request, everything it needs in it. */
export function postModern(
  url: string,
  method: string,
  params: Record<string, any> = {},
  headers: Record<string, string> = {},
  id: number | string = 1,
) {
  return fetch(url, modernRequest(method, params, headers, id))
}
