import type { JsonObject, RpcNotification } from '../wire/jsonrpc.ts'
import type { Call, Outcome, Peer } from './call.ts'

/** What one server offers, as it listed it. */
export interface Lists {
  readonly tools: readonly JsonObject[]
  readonly prompts: readonly JsonObject[]
  readonly resources: readonly JsonObject[]
  readonly templates: readonly JsonObject[]
}

export type ListKind = keyof Lists

/** How long an answer may be kept, and by whom (2026-07-28 server/utilities/caching). */
export interface Caching {
  readonly ttlMs: number
  readonly cacheScope: 'public' | 'private'
}

export const EMPTY_LISTS: Lists = { tools: [], prompts: [], resources: [], templates: [] }

/** A server as the gateway sees it: what it offers and where calls go. */
export interface Source {
  readonly name: string
  readonly prefix: string | false
  /** Whether a tool, by its own name, is offered at all. */
  offers(tool: string): boolean
  readonly lists: Lists
  /** What the server says about keeping its lists, where it does. */
  readonly caching?: Readonly<Partial<Record<ListKind, Caching>>> | undefined
  /** What the server tells models about itself, as it last said. */
  readonly instructions?: string | undefined
  /** Carries a call under the server's own names; throws `RpcError`. */
  call(call: Call): Promise<Outcome>
  /**
   * The resources of this server that a peer wants to hear of: the whole wish, empty to end it. References are counted
   * by the source. Rejects `RpcError` when the server cannot be subscribed to; never waits longer than 10 s.
   */
  watch(peer: Peer, uris: ReadonlySet<string>): Promise<void>
  /** The party is gone for good: what runs for it alone ends. */
  release(party: string): void
}

/** What a source says outside of any call. */
export type SourceEvent =
  /** A resource changed; `party` is set where only that party may know. */
  | { readonly kind: 'resource'; readonly uri: string; readonly party?: string }
  /** A log message (`notifications/message`) for the one party its instance serves. */
  | { readonly kind: 'message'; readonly party: string; readonly message: RpcNotification }

/** How sources reach the clients' side. */
export interface SourceListener {
  /** Lists of these kinds differ from before. */
  onlists(kinds: readonly ListKind[]): void
  onevent(source: Source, event: SourceEvent): void
  /** The peer of a party that can be asked outside of any call (its GET stream is open); `undefined`: nobody is there. */
  peerOf(party: string): Peer | undefined
}

/** All servers, in the order of the configuration. */
export interface Sources {
  readonly all: readonly Source[]
  /** Resolves once every server's first connect has ended, well or not, or after `ms` where given. */
  settled(ms?: number): Promise<void>
  /** Whether some server is still on its first connect. */
  readonly pending: boolean
}
