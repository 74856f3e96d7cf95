import { createParser } from 'eventsource-parser'
import { Agent, fetch, type RequestInit, type Response } from 'undici'
import { JSON_HEADERS } from '../../harness.ts'

/** A message that a client received: on its GET stream, or on the stream of the request with this id. */
export interface Heard {
  readonly on: 'get' | number
  readonly message: any
}

/** A request on its way. */
interface Sent {
  readonly id: number
  /** The response; rejects when the stream ends without one. */
  readonly response: Promise<any>
}

/** A bare client of the session-based revisions with sockets of its own: keeps all it hears, and answers questions. */
export interface Wire {
  readonly name: string
  readonly sessionId: string
  /** Everything received, in order per stream. */
  readonly heard: readonly Heard[]
  send(method: string, params?: object): Sent
  /** Calls a tool and resolves with the JSON in its text; rejects with the error's message. */
  tool(name: string, args?: object): Promise<any>
  cancel(id: number): Promise<void>
  /** Opens the GET stream; resolves once it is open. */
  listen(): Promise<void>
  /** Ends the session with DELETE; resolves with the status. */
  end(): Promise<number>
  /** Destroys every socket, without a word. */
  vanish(): Promise<void>
}

export interface WireOptions {
  readonly name?: string
  readonly capabilities?: object
  readonly headers?: Record<string, string>
  /** Answers a question; `undefined`: never. */
  answer?(question: any): object | undefined | Promise<object>
}

/** What every client here can be asked, unless it says otherwise. */
const ASKABLE = { elicitation: {}, sampling: {}, roots: {} }

export async function openWire(url: string, options: WireOptions = {}): Promise<Wire> {
  const { name = 'wire', capabilities = ASKABLE, answer } = options
  const agent = new Agent({ bodyTimeout: 0, headersTimeout: 0 })
  const heard: Heard[] = []
  let headers: Record<string, string> = { ...JSON_HEADERS, ...options.headers }
  let lastId = 0

  const request = (init: RequestInit): Promise<Response> => fetch(url, { ...init, headers, dispatcher: agent })

  async function post(body: object): Promise<Response> {
    return request({ method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', ...body }) })
  }

  async function tell(body: object): Promise<void> {
    const response = await post(body)
    await response.arrayBuffer()
  }

  function take(on: Heard['on'], message: any): void {
    heard.push({ on, message })
    if (message.method === undefined || message.id === undefined) return
    void reply(message).catch(() => {})
  }

  async function reply(question: any): Promise<void> {
    const result = await answer?.(question)
    if (result !== undefined) await tell({ id: question.id, ...result })
  }

  function send(method: string, params?: object): Sent {
    const id = ++lastId
    return { id, response: exchange(id, method, params) }
  }

  async function exchange(id: number, method: string, params?: object): Promise<any> {
    const response = await post({ id, method, ...(params && { params }) })
    let found: any
    await readMessages(response, (message) => {
      take(id, message)
      if (message.id === id && message.method === undefined) found = message
    })
    if (found === undefined)
      throw new Error(`${name}: no response to ${method} (${id}), HTTP status ${response.status}`)
    return found
  }

  const opening = await post({
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities, clientInfo: { name, version: '1' } },
  })
  await opening.arrayBuffer()
  const sessionId = opening.headers.get('mcp-session-id') ?? ''
  headers = { ...headers, 'mcp-session-id': sessionId }
  await tell({ method: 'notifications/initialized' })

  return {
    name,
    sessionId,
    heard,
    send,
    tool: async (tool, args = {}) => jsonOf(await send('tools/call', { name: tool, arguments: args }).response),
    cancel: (requestId) => tell({ method: 'notifications/cancelled', params: { requestId } }),
    async listen() {
      const stream = await request({ method: 'GET' })
      if (stream.status !== 200) throw new Error(`${name}: GET was answered with ${stream.status}`)
      void readMessages(stream, (message) => take('get', message)).catch(() => {})
    },
    async end() {
      const response = await request({ method: 'DELETE' })
      await response.arrayBuffer()
      return response.status
    },
    vanish: () => agent.destroy(),
  }
}

/** Hands on the messages of an answer, as they come, until it ends. */
export async function readMessages(response: Response, take: (message: any) => void): Promise<void> {
  if (!response.headers.get('content-type')?.includes('text/event-stream')) {
    const text = await response.text()
    if (text !== '') take(JSON.parse(text))
    return
  }
  const parser = createParser({ onEvent: ({ data }) => data !== '' && take(JSON.parse(data)) })
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) parser.feed(decoder.decode(chunk, { stream: true }))
}

/** The JSON in the text of a tool's result; throws with the error's message. */
export function jsonOf({ result, error }: any): any {
  if (error !== undefined) throw new Error(error.message)
  return JSON.parse(result.content[0].text)
}

/** A request of 2026-07-28, for `fetch`. */
export function modernInit(method: string, params: Record<string, any>, id: number): RequestInit {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'modern wire', version: '1' },
    ...params._meta,
  }
  const headers = {
    ...JSON_HEADERS,
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': method,
    'mcp-name': params.name,
  }
  return { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta } }) }
}
