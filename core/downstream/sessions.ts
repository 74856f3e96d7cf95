import { randomBytes } from 'node:crypto'
import { ownerOf, type Principal } from '../auth.ts'
import { InFlight } from '../in-flight.ts'
import type { Keys } from '../keys.ts'
import type { Store } from '../storage.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'
import { withdrawAsks } from './asks.ts'
import { readLevel } from './levels.ts'
import { isBusy, type Session } from './session.ts'

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
  /** Keeps what the client has set, for whoever picks the session up again. Rejects `ProxyError`. */
  save(session: Session): Promise<void>
  /** Ends a session for good, also for a later run. */
  end(session: Session): Promise<void>
  /** Every session in memory. */
  live(): Iterable<Session>
}

interface Cached {
  readonly session: Session
  readonly owner: string
  /** Since it was last considered for forgetting. */
  used: boolean
}

/** Sessions kept in memory; beyond, the longest unused idle one is forgotten until it is asked for again. */
const CACHE = 10_000
const KNOWN_CAPABILITIES = ['roots', 'sampling', 'elicitation', 'tasks'] as const

export function createSessions(options: { keys: Keys; store: Store; /** ms */ life: number }): Sessions {
  const { keys, store, life } = options
  const cache = new Map<string, Cached>()

  function remember(session: Session, owner: string): Session {
    cache.set(session.id, { session, owner, used: false })
    if (cache.size > CACHE) forgetOne()
    return session
  }

  /** Oldest first; who was used since the last round gets another one, so that a look-up need not move anything. */
  function forgetOne(): void {
    let left = 2 * cache.size
    for (const [id, cached] of cache) {
      // All are busy: better a few too many than one cut off.
      if (left-- === 0) return
      if (!cached.used && !isBusy(cached.session)) {
        cached.session.events?.close()
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
      const { protocolVersion } = start
      const expires = created + life
      return remember({ id, party, protocolVersion, capabilities, clientInfo, expires, calls: new InFlight() }, owner)
    },

    async find(id, principal) {
      const owner = ownerOf(principal)
      const cached = cache.get(id)
      if (cached !== undefined) {
        if (cached.owner !== owner || cached.session.expires < Date.now()) return undefined
        cached.used = true
        return cached.session
      }
      const sealed = unseal(keys.open('session', id))
      if (sealed === undefined || sealed.owner !== owner || sealed.created + life < Date.now()) return undefined
      const { party } = sealed.session
      const [ended, kept] = await Promise.all([store.get(tombstone(party)), store.get<JsonObject>(row(party))])
      if (ended !== undefined) return undefined
      const expires = sealed.created + life
      // Two requests may come at once: both must get the same session.
      return (
        cache.get(id)?.session ??
        remember({ ...sealed.session, ...settingsOf(kept), id, expires, calls: new InFlight() }, owner)
      )
    },

    async save(session) {
      // It may have ended while this was being set: no row may come after it.
      if (cache.get(session.id)?.session !== session) return
      const { party, level, uris, expires } = session
      const settings: JsonObject = { ...(level && { level }), ...(uris && { uris: [...uris] }) }
      await store.put(row(party), settings, { ttl: expires - Date.now() })
    },

    async end(session) {
      cache.delete(session.id)
      session.stream?.channel.close()
      session.events?.close()
      for (const call of session.calls.values()) call.abort()
      withdrawAsks(session, 'the session has ended')
      await store.put(tombstone(session.party), 1, { ttl: life })
      if (session.level !== undefined || session.uris !== undefined) await store.take(row(session.party))
    },

    *live() {
      for (const { session } of cache.values()) yield session
    },
  }
}

function tombstone(party: string): string {
  return `session-ended:${party}`
}

function row(party: string): string {
  return `session-settings:${party}`
}

function settingsOf(kept: JsonObject | undefined): Pick<Session, 'level' | 'uris'> {
  const level = readLevel(kept?.level)
  const uris = Array.isArray(kept?.uris) ? kept.uris.filter((uri) => typeof uri === 'string') : undefined
  return { ...(level && { level }), ...(uris && { uris: new Set(uris) }) }
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
