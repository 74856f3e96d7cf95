import { randomBytes } from 'node:crypto'
import type { Principal } from '../auth.ts'
import type { Keys } from '../keys.ts'
import type { Store } from '../storage.ts'
import { isObject, type JsonObject, type RpcId } from '../wire/jsonrpc.ts'
import type { Channel } from './channel.ts'

/** One legacy client's MCP session. All but the open calls and the stream is inside its sealed id. */
export interface Session {
  /** The `Mcp-Session-Id`. */
  readonly id: string
  /** Random and unique: the isolation key of its calls. */
  readonly party: string
  readonly protocolVersion: string
  readonly capabilities: JsonObject
  readonly clientInfo: JsonObject
  /** Open calls by the client's request id. */
  readonly calls: Map<RpcId, AbortController>
  /** The GET stream, while there is one. */
  channel?: Channel
}

interface SessionStart {
  readonly protocolVersion: string
  readonly capabilities: unknown
  readonly clientInfo: unknown
}

/** Sessions that survive a restart: an id is sealed with the key ring, what is in memory is a cache. */
export interface Sessions {
  open(start: SessionStart, principal: Principal): Session
  /** The session of an id, `undefined` when it is unknown, ended, too old, or somebody else's. */
  find(id: string, principal: Principal): Promise<Session | undefined>
  /** Ends a session for good, also for a later run. */
  end(session: Session): Promise<void>
  /** Every session in memory. */
  live(): Iterable<Session>
}

interface Cached {
  readonly session: Session
  readonly owner: string
  readonly expires: number
  /** Since it was last considered for forgetting. */
  used: boolean
}

/** Sessions kept in memory; beyond, the longest unused idle one is forgotten until it is asked for again. */
const CACHE = 10_000
const KNOWN_CAPABILITIES = ['roots', 'sampling', 'elicitation', 'tasks'] as const

export function createSessions(options: { keys: Keys; store: Store; /** ms */ life: number }): Sessions {
  const { keys, store, life } = options
  const cache = new Map<string, Cached>()

  function remember(session: Session, owner: string, expires: number): Session {
    cache.set(session.id, { session, owner, expires, used: false })
    if (cache.size > CACHE) forgetOne()
    return session
  }

  /** Oldest first; who was used since the last round gets another one, so that a look-up need not move anything. */
  function forgetOne(): void {
    let left = 2 * cache.size
    for (const [id, cached] of cache) {
      // All are busy: better a few too many than one cut off.
      if (left-- === 0) return
      if (!cached.used && cached.session.calls.size === 0 && cached.session.channel === undefined) {
        cache.delete(id)
        return
      }
      cached.used = false
      cache.delete(id)
      cache.set(id, cached)
    }
  }

  return {
    open(start, principal) {
      const created = Date.now()
      const party = randomBytes(12).toString('base64url')
      const capabilities = keepKnown(start.capabilities)
      const clientInfo = keepNames(start.clientInfo)
      const owner = ownerOf(principal)
      const sealed = [start.protocolVersion, capabilities, clientInfo, owner, created, party]
      const id = keys.seal('session', JSON.stringify(sealed))
      const session = { id, party, protocolVersion: start.protocolVersion, capabilities, clientInfo, calls: new Map() }
      return remember(session, owner, created + life)
    },

    async find(id, principal) {
      const owner = ownerOf(principal)
      const cached = cache.get(id)
      if (cached !== undefined) {
        if (cached.owner !== owner || cached.expires < Date.now()) return undefined
        cached.used = true
        return cached.session
      }
      const sealed = unseal(keys.open('session', id))
      if (sealed === undefined || sealed.owner !== owner || sealed.created + life < Date.now()) return undefined
      if ((await store.get(tombstone(sealed.session.party))) !== undefined) return undefined
      // Two requests may come at once: both must get the same session.
      return (
        cache.get(id)?.session ?? remember({ ...sealed.session, id, calls: new Map() }, owner, sealed.created + life)
      )
    },

    async end(session) {
      cache.delete(session.id)
      session.channel?.close()
      for (const call of session.calls.values()) call.abort()
      await store.put(tombstone(session.party), 1, { ttl: life })
    },

    *live() {
      for (const { session } of cache.values()) yield session
    },
  }
}

function tombstone(party: string): string {
  return `session-ended:${party}`
}

function ownerOf(principal: Principal): string {
  return principal.client === undefined ? principal.id : `${principal.id} ${principal.client}`
}

function unseal(text: string | undefined) {
  if (text === undefined) return undefined
  const [protocolVersion, capabilities, clientInfo, owner, created, party] = JSON.parse(text) as [
    string,
    JsonObject,
    JsonObject,
    string,
    number,
    string,
  ]
  return { owner, created, session: { party, protocolVersion, capabilities, clientInfo } }
}

function keepKnown(capabilities: unknown): JsonObject {
  if (!isObject(capabilities)) return {}
  const kept = KNOWN_CAPABILITIES.filter((key) => isObject(capabilities[key])).map((key) => [key, capabilities[key]])
  const result: JsonObject = Object.fromEntries(kept)
  // An id has to travel in a header: extravagant details are left out, what is declared stays.
  return JSON.stringify(result).length <= 1024 ? result : Object.fromEntries(kept.map(([key]) => [key, {}]))
}

function keepNames(info: unknown): JsonObject {
  if (!isObject(info)) return {}
  const short = (value: unknown) => (typeof value === 'string' ? value.slice(0, 64) : '')
  return { name: short(info.name), version: short(info.version) }
}
