import { ownerOf } from '../auth.ts'
import type { Isolation, ServerConfig } from '../config/resolved.ts'
import type { Peer } from '../gateway/call.ts'
import type { JsonObject } from '../wire/jsonrpc.ts'
import { capabilitiesOf, SHARED_CAPABILITIES } from './capabilities.ts'

/** What of a peer decides who serves it. */
export type Client = Pick<Peer, 'party' | 'principal' | 'client'>

/** The instance that everybody shares. */
export const SHARED = 'shared'

/** Which instance of a server serves whom (`isolate`). */
export interface IsolationRule {
  /** What an instance belongs to: equal keys, one instance. */
  keyOf(peer: Client): string
  /** Whether the first instance goes to the first who comes; else it stays clean, for lists alone. */
  readonly adopts: boolean
  /** The server has shown state per client: under `auto`, from now on each party has an instance of its own. True if that is new. */
  split(): boolean
}

/** `auto` for programs on this machine, `user` for servers elsewhere, unless the entry says otherwise. */
export function isolationOf({ settings, entry }: ServerConfig): Isolation {
  return settings.isolate ?? ('url' in entry ? 'user' : 'auto')
}

export interface IsolationOptions {
  /** Whether an earlier run has seen the server show state per client. */
  readonly isSplit?: boolean
  /** Whether one more instance is only one more session: then each set of declared capabilities may have its own. */
  readonly isCheap?: boolean
  /** Whether the server tells clients apart by what each request says. */
  isStateless?(): boolean
}

export function createIsolation(mode: Isolation, options: IsolationOptions = {}): IsolationRule {
  const { isCheap = false, isStateless = () => false } = options
  let { isSplit = false } = options
  return {
    keyOf(peer) {
      if (mode === 'session' || (mode === 'auto' && isSplit)) return partyKey(peer, isStateless())
      if (mode !== 'user') return SHARED
      // The stateless calls of a user's client are one party: a server is told no more and no less than what these can be asked.
      const isOneParty = isCheap && peer.party === ownerOf(peer.principal) && !isStateless()
      return isOneParty && declaredBy(peer) !== DECLARED_TO_ALL ? partyKey(peer) : `user ${peer.principal.id}`
    },
    // A session's own instance is told what that very client can be asked; the first one was told less.
    adopts: mode === 'user',
    split() {
      if (mode !== 'auto' || isSplit) return false
      isSplit = true
      return true
    },
  }
}

const PARTY = 'party '
const DECLARED_TO_ALL = Object.keys(SHARED_CAPABILITIES).sort().join('+')

/** Whether a key is of what serves a party alone. */
export function isPartyKey(key: string, party: string): boolean {
  return key.startsWith(PARTY) && key.slice(key.indexOf(' ', PARTY.length) + 1) === party
}

/**
 * The key of what serves one party alone. A session always declares the same; of a party of stateless calls each may
 * declare something else, and a server is told what it can ask for when its session begins.
 */
function partyKey(peer: Client, isStateless = false): string {
  return `${PARTY}${isStateless ? '' : declaredBy(peer)} ${peer.party}`
}

const known = new WeakMap<JsonObject, string>()

/** Remembered for as long as the client's capabilities are: this is asked for every call. */
function declaredBy(peer: Client): string {
  const { capabilities } = peer.client
  let declared = known.get(capabilities)
  if (declared === undefined) known.set(capabilities, (declared = Object.keys(capabilitiesOf(peer)).sort().join('+')))
  return declared
}
