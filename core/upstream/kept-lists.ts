import { createHash } from 'node:crypto'
import type { ConsolaInstance } from 'consola'
import type { ServerConfig } from '../config/resolved.ts'
import { reasonOf } from '../errors.ts'
import type { Lists } from '../gateway/source.ts'
import type { Store } from '../storage.ts'
import type { JsonObject } from '../wire/jsonrpc.ts'
import type { Verdict } from './verdict.ts'

/** What is known of a server from the last time it was up. */
export interface Known {
  readonly lists: Lists
  readonly instructions?: string
  /** Whether it has shown state per client. */
  readonly split: boolean
  /** Which era it spoke. */
  readonly era?: Verdict
  /** Said by the server of another entry of that name, which spoke this era: good enough to be shown, not to be kept. */
  readonly borrowed?: { readonly era: Verdict['era'] | undefined }
}

/** Keeps what a server last offered, so that the next start answers before the server is up. */
export interface KeptLists {
  /** What was kept for this very entry; `undefined` when there is nothing, or the entry has changed. */
  read(): Promise<Known | undefined>
  /** Writes, after a moment in which further changes are gathered. Never rejects; a failure is logged. */
  write(known: Known): void
  /** Writes what is not written yet; what comes afterwards is dropped. */
  close(): Promise<void>
  /** As `close`, but what is not written yet is dropped too: another entry keeps its lists in the same place from now on. */
  leave(): Promise<void>
}

/** How long (ms) changes are gathered before they are written. */
const GATHER = 500
/** How long (ms) they are worth keeping: 30 days. */
const LIFE = 30 * 24 * 3_600_000

export function createKeptLists(store: Store, server: ServerConfig, logger: ConsolaInstance): KeptLists {
  const key = `catalogue:${server.name}`
  const made = fingerprint(server)
  let waiting: Known | undefined
  let timer: NodeJS.Timeout | undefined
  let writing = Promise.resolve()
  let closed = false

  function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const known = waiting
    waiting = undefined
    if (known !== undefined) {
      writing = writing
        .then(() => store.put(key, { ...known, made } as unknown as JsonObject, { ttl: LIFE }))
        .catch((error) => logger.warn(`its lists could not be kept: ${reasonOf(error)}`))
    }
    return writing
  }

  return {
    async read() {
      try {
        const kept = (await store.get(key)) as (Known & { made: string }) | undefined
        return kept?.made === made ? kept : undefined
      } catch (error) {
        logger.warn(`its kept lists could not be read: ${reasonOf(error)}`)
        return undefined
      }
    },
    write(known) {
      if (closed) return
      waiting = known
      timer ??= setTimeout(() => void flush(), GATHER).unref()
    },
    close() {
      closed = true
      return flush()
    },
    leave() {
      closed = true
      waiting = undefined
      return flush()
    },
  }
}

/** Another program, address or environment may offer other things. Hashed: an entry may hold secrets. */
function fingerprint({ entry, settings }: ServerConfig): string {
  return createHash('sha256')
    .update(JSON.stringify([entry, settings.protocol]))
    .digest('base64url')
}
