import type { Principal } from '../auth.ts'
import { RpcError } from '../errors.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { Peer } from './call.ts'
import { gatherChanges, type ChangedList } from './changes.ts'
import { Ears, type Ear, type GatewayEvent } from './ears.ts'
import type { Source, SourceEvent } from './source.ts'
import { Watches } from './watches.ts'

/** A peer's open ear: a legacy session's GET stream, or one `subscriptions/listen` stream. */
export interface Subscription {
  /**
   * The resources the peer wants to hear of: the whole wish. Resolves once the servers know, with those that cannot be
   * heard of and why; what nobody offers now is looked for again when lists change. Never rejects.
   */
  set(uris: ReadonlySet<string>): Promise<ReadonlyMap<string, RpcError>>
  /** Ends the wish too. Idempotent. */
  close(): void
}

/** Every open subscription, and what servers are told because of them. */
export interface Subscriptions {
  open(peer: Peer, on: (event: GatewayEvent) => void): Subscription
  /** The peer that a party subscribed last. */
  peerOf(party: string): Peer | undefined
  /** A merged list has changed: everybody hears of it, a moment later. */
  changed(kind: ChangedList): void
  heard(source: Source, event: SourceEvent): void
  /** Resources may be at other servers than before. */
  reroute(): void
  /** How many parties are subscribed, and to how many resources in all. */
  readonly size: { readonly parties: number; readonly resources: number }
  close(): void
}

export interface SubscriptionsOptions {
  /** Where a resource is, of those a principal may read. */
  ownerOf(principal: Principal, uri: string): Source | undefined
  /** Resolves once as many resources are known as can be waited for. */
  more(): Promise<void>
}

interface Party {
  readonly ears: Set<Ear>
  readonly watches: Watches
}

export function createSubscriptions(options: SubscriptionsOptions): Subscriptions {
  const parties = new Map<string, Party>()
  const ears = new Ears()
  const changes = gatherChanges((kind) => {
    for (const party of parties.values()) for (const { on } of party.ears) on({ kind })
  })

  function join(ear: Ear): Party {
    const id = ear.peer.party
    let party = parties.get(id)
    if (party === undefined) parties.set(id, (party = { ears: new Set(), watches: new Watches() }))
    party.ears.add(ear)
    return party
  }

  function wish(ear: Ear, uris: ReadonlySet<string>): void {
    for (const uri of ear.owners.keys()) {
      if (uris.has(uri)) continue
      ear.owners.delete(uri)
      ears.remove(uri, ear)
    }
    for (const uri of uris) {
      if (ear.owners.has(uri)) continue
      ear.owners.set(uri, options.ownerOf(ear.peer.principal, uri))
      ears.add(uri, ear)
    }
  }

  /** Tells servers what the whole party wishes. */
  function tell({ ears, watches }: Party, peer: Peer): void {
    const wishes = new Map<Source, Set<string>>()
    for (const { owners } of ears) {
      for (const [uri, source] of owners) {
        if (source === undefined) continue
        const uris = wishes.get(source)
        if (uris === undefined) wishes.set(source, new Set([uri]))
        else uris.add(uri)
      }
    }
    watches.tell(peer, wishes)
  }

  async function set(ear: Ear, party: Party, uris: ReadonlySet<string>): Promise<ReadonlyMap<string, RpcError>> {
    wish(ear, uris)
    tell(party, ear.peer)
    // Lists that come meanwhile change the owners.
    if ([...ear.owners.values()].includes(undefined)) await options.more()
    const refused = new Map<string, RpcError>()
    for (const uri of uris) {
      const source = ear.owners.get(uri)
      const failure = source === undefined ? notFound(uri) : await party.watches.failureOf(source)
      if (failure !== undefined) refused.set(uri, failure)
    }
    return refused
  }

  return {
    open(peer, on) {
      const ear: Ear = { peer, on, owners: new Map() }
      const party = join(ear)
      return {
        set: async (uris) => (party.ears.has(ear) ? set(ear, party, uris) : new Map()),
        close() {
          if (!party.ears.delete(ear)) return
          if (party.ears.size === 0 && parties.get(peer.party) === party) parties.delete(peer.party)
          wish(ear, new Set())
          tell(party, lastOf(party) ?? peer)
        },
      }
    },
    peerOf(id) {
      const party = parties.get(id)
      return party && lastOf(party)
    },
    changed: (kind) => changes.add(kind),
    heard(source, event) {
      if (event.kind === 'resource') {
        for (const { on } of ears.of(source, event.uri, event.party)) on({ kind: 'resource', uri: event.uri })
      } else for (const { on } of parties.get(event.party)?.ears ?? []) on({ kind: 'message', message: event.message })
    },
    reroute() {
      for (const party of parties.values()) {
        let wishes = false
        for (const ear of party.ears) {
          wishes ||= ear.owners.size > 0
          for (const uri of ear.owners.keys()) ear.owners.set(uri, options.ownerOf(ear.peer.principal, uri))
        }
        const peer = wishes ? lastOf(party) : undefined
        if (peer !== undefined) tell(party, peer)
      }
    },
    get size() {
      return { parties: parties.size, resources: ears.size }
    },
    close: () => changes.close(),
  }
}

function lastOf(party: Party): Peer | undefined {
  return [...party.ears].at(-1)?.peer
}

/** No server offers this resource, or none to this principal. */
export function notFound(uri: string): RpcError {
  return new RpcError(ErrorCode.ResourceNotFound, `Resource not found: ${uri}`, { uri })
}
