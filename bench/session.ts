/** One MCP client of the driver, by hand on a raw HTTP pool; a wrong answer throws. */
import { Pool } from 'undici'

/** An answer's members that the driver checks. */
interface Answer {
  readonly id?: string | number
  readonly error?: { readonly message?: string }
  readonly result?: {
    readonly content?: readonly { readonly text?: string }[]
    readonly _meta?: { readonly 'bench/echo'?: number }
    readonly tools?: readonly unknown[]
    readonly nextCursor?: string
  }
}

const VERSION = '2025-11-25'
const LONGEST_WAIT = 30_000

/** Connections to one subject. */
export function openPool(url: URL, connections: number): Pool {
  return new Pool(url.origin, { connections, headersTimeout: LONGEST_WAIT, bodyTimeout: LONGEST_WAIT })
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

  constructor(pool: Pool, path: string) {
    this.#pool = pool
    this.#path = path
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

  /** Lists all tools, page by page, and checks their number; milliseconds. */
  async list(count: number): Promise<number> {
    let total = 0
    let found = 0
    let cursor: string | undefined
    for (let page = 0; page < 1_000; page++) {
      const { result, took } = await this.#ask('tools/list', cursor === undefined ? {} : { cursor })
      total += took
      found += result.tools?.length ?? 0
      cursor = result.nextCursor
      if (cursor === undefined) break
    }
    if (found !== count) throw new Error(`tools/list: ${found} tools instead of ${count}`)
    return total
  }

  /** Ends the session; that a server has no way to end one is fine. */
  async close(): Promise<void> {
    const response = await this.#pool.request({ path: this.#path, method: 'DELETE', headers: this.#headers })
    await response.body.dump()
  }
}
