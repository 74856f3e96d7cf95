import { Pool } from 'undici'
import { describeUrl, type StreamableEntry } from './entry.ts'

/** How long a TCP and TLS handshake may take, in milliseconds. */
const CONNECT_TIMEOUT = 10_000

/** One server's endpoint: its sockets, and the headers that every request carries. */
export interface Link {
  readonly pool: Pool
  /** Path and query of the endpoint. */
  readonly path: string
  /** `transport-streamable: server "x" at https://host/path`, for messages. */
  readonly who: string
  readonly maxMessageBytes: number
  /** `Mcp-Session-Id`, from the answer to `initialize` on. */
  readonly session: string | undefined
  /** Headers of a request of this session; `initialize` belongs to none. */
  headers(extra?: Readonly<Record<string, string>>, initialize?: boolean): Record<string, string>
  /** Takes over the session id that came with the answer to `initialize`. */
  adopt(session: string | undefined): void
  /** Takes over the version that was agreed on (2025-06-18 basic/transports#Protocol Version Header). */
  agree(version: string): void
}

/** Opens no socket yet. Whoever opens a link destroys its pool. */
export function createLink(entry: StreamableEntry, server: string, maxMessageBytes: number): Link {
  const url = new URL(entry.url)
  const fixed: Record<string, string> = {
    ...lowerCased(entry.headers ?? {}),
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  }
  let session: string | undefined
  let version: string | undefined
  let current = fixed

  function renew(): void {
    current = { ...fixed }
    if (session !== undefined) current['mcp-session-id'] = session
    if (version !== undefined) current['mcp-protocol-version'] = version
  }

  return {
    // The default time-outs of 300 s would cut silent streams and slow answers; callers bring their own limits.
    pool: new Pool(url.origin, { bodyTimeout: 0, headersTimeout: 0, connect: { timeout: CONNECT_TIMEOUT } }),
    path: url.pathname + url.search,
    who: `transport-streamable: server "${server}" at ${describeUrl(url)}`,
    maxMessageBytes,
    get session() {
      return session
    },
    headers: (extra, initialize = false) => {
      const base = initialize ? fixed : current
      return extra === undefined ? base : { ...base, ...lowerCased(extra) }
    },
    adopt(id) {
      session = id
      renew()
    },
    agree(agreed) {
      version = agreed
      renew()
    },
  }
}

/** Two spellings of one name would be sent as two headers. */
function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
