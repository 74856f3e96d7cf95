import { createSite, headersOf, type Site } from '../transport-sse/index.ts'
import type { StreamableEntry } from './entry.ts'

/** One server's endpoint, and the headers that every request of the session carries. */
export interface Link extends Site {
  /** `Mcp-Session-Id`, from the answer to `initialize` on. */
  readonly session: string | undefined
  /** Headers of a request of this session; `initialize` belongs to none. `extra`: names in lower case. */
  headers(extra?: Readonly<Record<string, string>>, initialize?: boolean): Record<string, string>
  /** Takes over the session id that came with the answer to `initialize`. */
  adopt(session: string | undefined): void
  /** Takes over the version that was agreed on (2025-06-18 basic/transports#Protocol Version Header). */
  agree(version: string): void
}

/** Opens no socket yet. Whoever creates a link closes its site. */
export function createLink(entry: StreamableEntry, server: string, maxMessageBytes: number): Link {
  const fixed = headersOf(entry, {
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  })
  let session: string | undefined
  let version: string | undefined
  let current = fixed

  function renew(): void {
    current = { ...fixed }
    if (session !== undefined) current['mcp-session-id'] = session
    if (version !== undefined) current['mcp-protocol-version'] = version
  }

  return {
    ...createSite('transport-streamable', entry, server, maxMessageBytes),
    get session() {
      return session
    },
    headers: (extra, initialize = false) => {
      const base = initialize ? fixed : current
      return extra === undefined ? base : { ...base, ...extra }
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
