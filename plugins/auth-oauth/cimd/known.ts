import type { Store } from '../../../core/index.ts'
import type { Client } from '../clients.ts'
import type { Clock } from '../clock.ts'
import { createMemory } from '../memory.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
/**
 * A client that never got a token is forgotten so long (ms) after its document is no longer fresh: logins under way are
 * over then.
 */
const UNUSED_LIFE = HOUR
/** One that did, so long after the last. */
const USED_LIFE = 90 * DAY
/** Entries remembered in this process. */
const REMEMBERED = 1000

/** A client of a document, and how old that is. Times in ms since the epoch. */
export interface Known {
  readonly client: Client
  readonly fetched: number
  readonly freshUntil: number
}

type Stored = Omit<Known, 'client'> & { client: { [K in keyof Client]: Client[K] } }

/** What was read from documents, in this process or another one. */
export interface KnownClients {
  find(id: string): Promise<Known | undefined>
  /** Keeps what was just read. */
  add(known: Known): Promise<void>
  /** It got a token: from now on it is kept for as long as a login may last. */
  use(id: string): Promise<void>
}

/** Anybody can have any number of documents read: only clients that somebody logged in with are kept for long. */
export function createKnownClients(store: Store, now: Clock): KnownClients {
  const inMemory = createMemory<Known>(REMEMBERED)
  const used = createMemory<number>(REMEMBERED)

  async function find(id: string): Promise<Known | undefined> {
    if (inMemory.has(id)) return inMemory.get(id)
    const stored = (await store.get<Stored>(usedKey(id))) ?? (await store.get<Stored>(newKey(id)))
    // It may have been read meanwhile.
    return inMemory.get(id) ?? stored
  }

  return {
    find,

    async add(known) {
      const { id } = known.client
      inMemory.set(id, known)
      await store.put(newKey(id), known as Stored, { ttl: known.freshUntil - now() + UNUSED_LIFE })
      await store.update<Stored>(usedKey(id), (stored) => stored && known)
    },

    async use(id) {
      // Once a day is enough: a client in use is refreshed all the time.
      if (now() - (used.get(id) ?? -Infinity) < DAY) return
      const known = await find(id)
      await store.update<Stored>(usedKey(id), (stored) => stored ?? known, { ttl: USED_LIFE })
      used.set(id, now())
    },
  }
}

function newKey(id: string): string {
  return `cimd:${id}`
}

function usedKey(id: string): string {
  return `cimd-used:${id}`
}
