/**
 * The MCP server behind every subject: no SDK, answers prepared once, so that its own cost is small and equal for all.
 * `node upstream.ts stdio|http --tools N [--sse] [--delay ms]`; in HTTP mode it prints `ready <url>` and ends with its stdin.
 * `--delay`: how long it takes to answer `initialize`.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { parseArgs } from 'node:util'

import { serve } from './listen.ts'
import { TEXT_TOOLS, toolNames } from './tools.ts'

interface Incoming {
  readonly id?: string | number
  readonly method?: string
  readonly params?: {
    readonly name?: string
    readonly protocolVersion?: string
    readonly arguments?: { readonly echo?: number }
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tools: { type: 'string', default: '10' },
    sse: { type: 'boolean', default: false },
    delay: { type: 'string', default: '0' },
  },
})

const [SMALL, MIDDLE, LARGE] = TEXT_TOOLS
const TEXTS: Readonly<Record<string, Buffer>> = {
  [SMALL]: Buffer.from('x'.repeat(100)),
  [MIDDLE]: Buffer.from('x'.repeat(10_000)),
  [LARGE]: Buffer.from('x'.repeat(1_000_000)),
}
const VERSIONS = new Set(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])
const delay = Number(values.delay)
const listing = Buffer.from(JSON.stringify({ tools: catalogue(Number(values.tools)) }))

function catalogue(count: number) {
  return toolNames(count).map((name) => ({
    name,
    title: `Tool ${name}`,
    description: `Returns a fixed text. Stands for a tool of usual size: what it does, when to use it, what to expect of it.`,
    inputSchema: {
      type: 'object',
      properties: {
        echo: { type: 'number', description: 'Comes back in _meta' },
        path: { type: 'string', description: 'Where to look' },
      },
    },
  }))
}

function framed(id: string | number, kind: 'result' | 'error', body: Buffer | string): Buffer {
  const head = Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"${kind}":`)
  return Buffer.concat([head, typeof body === 'string' ? Buffer.from(body) : body, Buffer.from('}')])
}

function called(params: Incoming['params']): Buffer | undefined {
  const text = TEXTS[params?.name ?? '']
  if (text === undefined) return undefined
  const tail = `"}],"_meta":{"bench/echo":${params?.arguments?.echo ?? 0}}}`
  return Buffer.concat([Buffer.from('{"content":[{"type":"text","text":"'), text, Buffer.from(tail)])
}

function initialized(params: Incoming['params']): string {
  const asked = params?.protocolVersion ?? ''
  const protocolVersion = VERSIONS.has(asked) ? asked : '2025-11-25'
  return JSON.stringify({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'bench-upstream', version: '1' },
  })
}

/** The whole answer to one message as JSON bytes; undefined for what is not answered. */
function answer({ id, method, params }: Incoming): Buffer | undefined {
  if (id === undefined || method === undefined) return undefined
  if (method === 'initialize') return framed(id, 'result', initialized(params))
  if (method === 'ping') return framed(id, 'result', '{}')
  if (method === 'tools/list') return framed(id, 'result', listing)
  if (method !== 'tools/call') return framed(id, 'error', '{"code":-32601,"message":"Method not found"}')
  const result = called(params)
  if (result === undefined) return framed(id, 'error', '{"code":-32602,"message":"Unknown tool"}')
  return framed(id, 'result', result)
}

/** Runs `work` now, or after the delay when it answers `initialize`. */
function inTime(method: string | undefined, work: () => void): void {
  if (method === 'initialize' && delay > 0) setTimeout(work, delay)
  else work()
}

function speakStdio(): void {
  const newline = Buffer.from('\n')
  let rest = ''
  process.stdin.setEncoding('utf8')
  process.stdin.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const message = line === '' ? {} : (JSON.parse(line) as Incoming)
      const bytes = answer(message)
      if (bytes !== undefined) inTime(message.method, () => process.stdout.write(Buffer.concat([bytes, newline])))
    }
  })
  process.stdin.on('end', () => process.exit(0))
}

const sessions = new Set<string>()

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32000, message } }))
}

function respond(response: ServerResponse, bytes: Buffer, headers: Record<string, string>): void {
  const body = values.sse ? Buffer.concat([Buffer.from('event: message\ndata: '), bytes, Buffer.from('\n\n')]) : bytes
  const type = values.sse ? 'text/event-stream' : 'application/json'
  response.writeHead(200, { 'content-type': type, 'content-length': body.length, ...headers })
  response.end(body)
}

/** Answers a request that names no session of ours; true when it did. */
function refused(request: IncomingMessage, response: ServerResponse): boolean {
  const session = request.headers['mcp-session-id']
  if (typeof session !== 'string') refuse(response, 400, 'Bad Request: no session')
  else if (!sessions.has(session)) refuse(response, 404, 'Session not found')
  return response.writableEnded
}

function receive(request: IncomingMessage, response: ServerResponse, body: string): void {
  const message = JSON.parse(body) as Incoming
  if (message.method === 'initialize') {
    const session = randomUUID()
    sessions.add(session)
    const bytes = answer(message) ?? Buffer.alloc(0)
    inTime(message.method, () => respond(response, bytes, { 'mcp-session-id': session }))
    return
  }
  const bytes = refused(request, response) ? undefined : answer(message)
  if (bytes !== undefined) respond(response, bytes, {})
  else if (!response.writableEnded) response.writeHead(202).end()
}

function speakHttp(): void {
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      let body = ''
      request.setEncoding('utf8')
      request.on('data', (chunk: string) => (body += chunk))
      request.on('end', () => receive(request, response, body))
    } else if (request.method === 'DELETE') {
      sessions.delete(String(request.headers['mcp-session-id']))
      response.writeHead(204).end()
    } else {
      response.writeHead(405, { allow: 'POST, DELETE' }).end()
    }
  })
  serve(server)
}

if (positionals[0] === 'stdio') speakStdio()
else speakHttp()
