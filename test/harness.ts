import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createConsola, type ConsolaInstance, type LogObject } from 'consola'
import type { Config } from '../core/config/define.ts'
import { resolveConfig } from '../core/config/resolve.ts'
import { serveHttp } from '../core/http/server.ts'
import { createKernel, type Kernel } from '../core/kernel.ts'

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

export interface LogLine {
  readonly level: string
  readonly tag: string
  readonly text: string
}

/** A logger that keeps every line at every level. */
export function captureLog(): { logger: ConsolaInstance; lines: LogLine[]; text(): string } {
  const lines: LogLine[] = []
  const show = (value: unknown) =>
    value instanceof Error ? (value.stack ?? value.message) : typeof value === 'string' ? value : JSON.stringify(value)
  const log = ({ type, tag, args }: LogObject) => void lines.push({ level: type, tag, text: args.map(show).join(' ') })
  const logger = createConsola({ level: 5, reporters: [{ log }] })
  return { logger, lines, text: () => lines.map(({ level, tag, text }) => `${level} [${tag}] ${text}`).join('\n') }
}

export interface TestProxy {
  readonly kernel: Kernel
  /** The MCP endpoint. */
  readonly url: string
  readonly origin: string
  readonly lines: LogLine[]
  /** Everything logged so far. */
  log(): string
  close(): Promise<void>
}

/** A real proxy on a port of its own, in this process; its servers have settled when it resolves, unless told not to wait. */
export async function openProxy(
  config: Config,
  { settled = true, rootDir = ROOT }: { readonly settled?: boolean; readonly rootDir?: string } = {},
): Promise<TestProxy> {
  const dataDir = config.dataDir ?? (await mkdtemp(join(tmpdir(), 'mcp-proxy-test-')))
  const captured = captureLog()
  const plugins = config.plugins ?? ['transport-stdio', 'transport-streamable', 'storage-fs']
  const resolved = resolveConfig({ ...config, plugins, dataDir }, { rootDir, env: {} })
  const kernel = await createKernel(resolved, { logger: captured.logger })
  const onerror = (message: string, error: unknown) => captured.logger.error(message, error)
  const server = await serveHttp({ host: '127.0.0.1', port: 0, fetch: kernel.fetch, onerror })
  kernel.start()
  if (settled) await kernel.ready
  const origin = `http://127.0.0.1:${server.address.port}`
  return {
    kernel,
    origin,
    url: origin + resolved.mcpPath,
    lines: captured.lines,
    log: captured.text,
    async close() {
      await kernel.close()
      await server.close(1000)
      if (config.dataDir === undefined) await rm(dataDir, { recursive: true, force: true })
    },
  }
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

export const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

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
  const name = params.name ?? params.uri
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'wire', version: '1' },
    ...params._meta,
  }
  return fetch(url, {
    method: 'POST',
    headers: {
      ...JSON_HEADERS,
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(name !== undefined && { 'mcp-name': String(name) }),
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta } }),
  })
}
