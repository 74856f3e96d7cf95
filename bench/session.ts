/** One MCP client of the driver, by hand on a raw HTTP pool; a wrong answer throws. */
import { Pool } from 'undici'

/** An answer's members that the driver checks. */
interface Answer {
  readonly id?: string | number
  readonly error?: { readonly message?: string }
  readonly result?: {
    readonly content?: readonly { readonly text?: string }[]
    readonly _meta?: { readonly 'bench/echo'?: number }
    readonly tools?: readonly { readonly name?: string }[]
    readonly nextCursor?: string
  }
}

const VERSION = '2025-11-25'
const LONGEST_WAIT = 30_000

/** Connections to one subject. */
export function openPool(url: URL, connections: number): Pool {
  return new Pool(url.origin, { connections, headersTimeout: LONGEST_WAIT, bodyTimeout: LONGEST_WAIT })
}

/** Connections for `count` GET streams, which may stay silent for ever. */
export function openStreamPool(url: URL, count: number): Pool {
  return new Pool(url.origin, { connections: count, headersTimeout: LONGEST_WAIT, bodyTimeout: 0 })
}

/** A session's GET stream; `open` turns false when it ends. */
export interface GetStream {
  readonly open: boolean
}

/** The answer to request `id` in a body of JSON or of server-sent events; undefined when it is not there. */
function answerIn(text: string, contentType: string, id: number): Answer | undefined {
  if (!contentType.startsWith('text/event-stream')) return JSON.parse(text) as Answer
  for (const line of text.split('\n')) {
    if (!line.startsWith('data:') || line.length < 8) continue // a priming event has an id and no data
    const message = JSON.parse(line.slice(5)) as Answer
    if (message.id === id) return message
  }
  return undefined
}

export class Session {
  readonly #pool: Pool
  readonly #path: string
  readonly #headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  // Every session counts from 1, as real clients do: a proxy that mixes ids up is caught.
  #lastId = 0

  constructor(pool: Pool, path: string, token?: string) {
    this.#pool = pool
    this.#path = path
    if (token !== undefined) this.#headers.authorization = `Bearer ${token}`
  }

  async #post(body: string): Promise<{ text: string; contentType: string; session: string | undefined }> {
    const options = { path: this.#path, method: 'POST', headers: this.#headers, body } as const
    const response = await this.#pool.request(options)
    const text = await response.body.text()
    if (response.statusCode >= 300) throw new Error(`HTTP ${response.statusCode}: ${text.slice(0, 200)}`)
    const { 'content-type': type, 'mcp-session-id': session } = response.headers
    return { text, contentType: String(type), session: typeof session === 'string' ? session : undefined }
  }

  /** Sends one request; resolves with its result and how long the whole answer took, in ms. */
  async #ask(method: string, params: object): Promise<{ result: NonNullable<Answer['result']>; took: number }> {
    const id = ++this.#lastId
    const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
    const from = performance.now()
    const { text, contentType, session } = await this.#post(body)
    const took = performance.now() - from
    if (session !== undefined) this.#headers['mcp-session-id'] = session
    const answer = answerIn(text, contentType, id)
    if (answer?.result === undefined || answer.id !== id) {
      throw new Error(`${method}: wrong or lost answer to request ${id}: ${text.slice(0, 200)}`)
    }
    return { result: answer.result, took }
  }

  async open(): Promise<void> {
    const clientInfo = { name: 'bench', version: '1' }
    await this.#ask('initialize', { protocolVersion: VERSION, capabilities: {}, clientInfo })
    this.#headers['mcp-protocol-version'] = VERSION
    await this.#post('{"jsonrpc":"2.0","method":"notifications/initialized"}')
  }

  /** Calls a tool and checks that the answer is this call's own and whole; milliseconds. */
  async call(name: string, size: number, echo: number): Promise<number> {
    const { result, took } = await this.#ask('tools/call', { name, arguments: { echo } })
    const length = result.content?.[0]?.text?.length
    if (length === size && result._meta?.['bench/echo'] === echo) return took
    const got = `${length} bytes, echo ${result._meta?.['bench/echo']}`
    throw new Error(`tools/call ${name}: wrong answer: ${got} instead of ${size} bytes, echo ${echo}`)
  }

  async ping(): Promise<void> {
    await this.#ask('ping', {})
  }

  /** The names of all tools, page by page; `took`: milliseconds until the last page was there, parsing left out. */
  async names(): Promise<{ readonly names: readonly string[]; readonly pages: number; readonly took: number }> {
    const names: string[] = []
    let total = 0
    let cursor: string | undefined
    for (let pages = 1; pages <= 1_000; pages++) {
      const { result, took } = await this.#ask('tools/list', cursor === undefined ? {} : { cursor })
      total += took
      for (const { name = '' } of result.tools ?? []) names.push(name)
      cursor = result.nextCursor
      if (cursor === undefined) return { names, pages, took: total }
    }
    throw new Error('tools/list: more than 1000 pages')
  }

  /** Lists all tools, page by page, and checks their number; milliseconds. */
  async list(count: number): Promise<number> {
    const { names, took } = await this.names()
    if (names.length !== count) throw new Error(`tools/list: ${names.length} tools instead of ${count}`)
    return took
  }

  /** Opens the session's GET stream on a connection of `pool` and reads whatever comes. */
  async listen(pool: Pool): Promise<GetStream> {
    const headers = { ...this.#headers, accept: 'text/event-stream' }
    const response = await pool.request({ path: this.#path, method: 'GET', headers })
    const type = String(response.headers['content-type'])
    if (response.statusCode !== 200 || !type.startsWith('text/event-stream')) {
      throw new Error(`GET: HTTP ${response.statusCode}, ${type}: ${(await response.body.text()).slice(0, 200)}`)
    }
    const stream = { open: true }
    response.body.on('close', () => (stream.open = false))
    response.body.on('error', () => (stream.open = false))
    response.body.resume()
    return stream
  }

  /** Ends the session; that a server has no way to end one is fine. */
  async close(): Promise<void> {
    const response = await this.#pool.request({ path: this.#path, method: 'DELETE', headers: this.#headers })
    await response.body.dump()
  }
}
