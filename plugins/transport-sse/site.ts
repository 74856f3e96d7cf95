import { buildConnector, Pool } from 'undici'
import { sleep } from '../../core/index.ts'
import { describeUrl, type HttpEntry } from './entry.ts'
import { takeTurns } from './turns.ts'

/** How long a TCP and TLS handshake may take, in milliseconds. */
const CONNECT_TIMEOUT = 10_000
/** Longest wait for sockets to close, in milliseconds. */
const DESTROY_LIMIT = 1000

/** One server's place on the network. All requests go to its origin: configured headers reach nobody else. */
export interface Site {
  readonly pool: Pool
  readonly origin: string
  /** Path and query of the configured URL. */
  readonly path: string
  /** `transport-sse: server "x" at https://host/path`, for messages. */
  readonly who: string
  /** Largest message accepted, in bytes. */
  readonly maxMessageBytes: number
}

/** Opens no socket yet. Whoever creates a site closes it. */
export function createSite(transport: string, entry: HttpEntry, server: string, maxMessageBytes: number): Site {
  const url = new URL(entry.url)
  const connector = buildConnector({ timeout: CONNECT_TIMEOUT })
  return {
    pool: new Pool(url.origin, {
      // The default time-outs of 300 s would cut silent streams and slow answers; callers bring their own limits.
      bodyTimeout: 0,
      headersTimeout: 0,
      connect: (options, callback) =>
        connector(options, (...result) => {
          // After a failure there is no socket, whatever its type says.
          if (result[0] === null) takeTurns(result[1])
          callback(...result)
        }),
    }),
    origin: url.origin,
    path: url.pathname + url.search,
    who: `${transport}: server "${server}" at ${describeUrl(url)}`,
    maxMessageBytes,
  }
}

/** Ends every request and socket; waits for them for a second at most. */
export async function closeSite(site: Site): Promise<void> {
  const done = new AbortController()
  await Promise.race([site.pool.destroy(), sleep(DESTROY_LIMIT, done.signal)])
  done.abort()
}

/** The configured headers, then our own. In lower case: two spellings of one name would be sent as two headers. */
export function headersOf(entry: HttpEntry, own: Readonly<Record<string, string>>): Record<string, string> {
  return { ...lowerCased(entry.headers ?? {}), ...own }
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
