import type { Isolation, ServerConfig } from '../config/resolved.ts'
import type { Peer } from '../gateway/call.ts'

/** The instance that everybody shares. */
export const SHARED = 'shared'

/** Which instance of a server serves whom (`isolate`). */
export interface IsolationRule {
  /** What an instance belongs to: equal keys, one instance. */
  keyOf(peer: Peer): string
  /** Whether the first instance goes to the first who comes; else it stays clean, for lists alone. */
  readonly adopts: boolean
  /** The server has shown state per client: under `auto`, from now on each party has an instance of its own. True if that is new. */
  split(): boolean
}

/** `auto` for programs on this machine, `user` for servers elsewhere, unless the entry says otherwise. */
export function isolationOf({ settings, entry }: ServerConfig): Isolation {
  return settings.isolate ?? ('url' in entry ? 'user' : 'auto')
}

/** `isSplit`: whether an earlier run has seen the server show state per client. */
export function createIsolation(mode: Isolation, isSplit: boolean): IsolationRule {
  return {
    keyOf(peer) {
      if (mode === 'session' || (mode === 'auto' && isSplit)) return partyKey(peer.party)
      return mode === 'user' ? `user ${peer.principal.id}` : SHARED
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

/** The key of what serves one party alone. */
export function partyKey(party: string): string {
  return `party ${party}`
}
