import { RpcError } from '../errors.ts'
import type { Peer } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { isPartyKey, SHARED, type Client, type IsolationRule } from './isolation.ts'
import type { Slot } from './slot.ts'

/** Every instance of one server, by whom it serves. */
export interface Instances {
  /** The slot that serves a peer, made if there is none. Throws `RpcError` when there are too many, or all are closed. */
  slotFor(peer: Peer): Slot
  /** What a peer is subscribed to: the whole wish. Rejects as the server does; then the wish is as it was. */
  watch(peer: Peer, uris: ReadonlySet<string>): Promise<void>
  /** The parties subscribed through a slot; which of its resources each wants, the gateway knows. */
  watchersOf(slot: Slot): readonly string[]
  /** The server has shown state per client. */
  split(): void
  /** Ends what serves a party alone, and its subscriptions. */
  release(party: string): void
  close(): Promise<void>
}

export interface InstancesOptions {
  readonly rule: IsolationRule
  /** The first one: shared, or adopted, or for lists alone. */
  readonly primary: Slot
  /** Whether the server keeps nothing between two requests: then subscriptions are no state of it. */
  isStateless?(): boolean
  /** Makes a slot for a peer alone, or for its user. */
  create(client: Client): Slot
  /** Under `auto`, parties have instances of their own from now on. */
  onsplit(): void
}

/** Instances for single clients that one server may have; beyond, the longest unused idle one gives way. */
const MOST = 100

interface Place {
  readonly slot: Slot
  /** By party: what it is subscribed to. */
  readonly wishes: Map<string, ReadonlySet<string>>
}

export function createInstances({ rule, primary, isStateless, create, onsplit }: InstancesOptions): Instances {
  const first: Place = { slot: primary, wishes: new Map() }
  const places = new Map<string, Place>()
  /** The key the first instance belongs to, once it belongs to one. */
  let adopter: string | undefined
  /** The first client that the first instance has served, and whether there were more. */
  let served: Client | undefined
  let several = false
  let isClosed = false
  let closing: Promise<void> = Promise.resolve()

  function find(key: string): Place | undefined {
    if (key === SHARED || key === adopter) return first
    return places.get(key)
  }

  function placeFor(peer: Peer): Place {
    const key = rule.keyOf(peer)
    // One that serves a party alone is told what that party can be asked; the first instance was not.
    if (rule.adopts && !isPartyKey(key, peer.party)) adopter ??= key
    const found = find(key)
    if (found === first) {
      served ??= clientOf(peer)
      several ||= served.party !== peer.party
    }
    if (found !== undefined) return moveToEnd(key, found)
    // A call may have been on its way here for long: nobody would end what it opens now.
    if (isClosed) throw new RpcError(ErrorCode.InternalError, 'this server is not served any more')
    if (places.size >= MOST) makeRoom()
    const place: Place = { slot: create(clientOf(peer)), wishes: new Map() }
    places.set(key, place)
    return place
  }

  /** The map's order is the order of use. */
  function moveToEnd(key: string, place: Place): Place {
    if (places.delete(key)) places.set(key, place)
    return place
  }

  function makeRoom(): void {
    for (const [key, { slot, wishes }] of places) {
      if (slot.busy > 0 || wishes.size > 0) continue
      places.delete(key)
      end(slot)
      return
    }
    throw new RpcError(ErrorCode.InternalError, `this server is busy with ${MOST} clients; try again later`)
  }

  function end(slot: Slot): void {
    closing = Promise.all([closing, slot.close()]).then(() => {})
  }

  function split(): void {
    if (!rule.split()) return
    // Whoever used it alone keeps it, and what it knows of them; one that several have used stays for lists alone.
    if (served !== undefined && !several) adopter = rule.keyOf(served)
    onsplit()
  }

  return {
    split,
    slotFor: (peer) => placeFor(peer).slot,
    async watch(peer, uris) {
      if (uris.size > 0 && isStateless?.() !== true) split()
      const place = uris.size > 0 ? placeFor(peer) : find(rule.keyOf(peer))
      if (place === undefined) return
      const before = place.wishes.get(peer.party)
      setWish(place, peer.party, uris)
      try {
        const refused = await place.slot.watch(unionOf(place))
        for (const uri of uris) if (refused.has(uri)) throw refused.get(uri)
      } catch (error) {
        if (place.wishes.get(peer.party) === uris) setWish(place, peer.party, before)
        // Else the slot would wish for it again and again, and never rest.
        place.slot.watch(unionOf(place)).catch(() => {})
        throw error
      }
    },
    watchersOf(slot) {
      const place = slot === primary ? first : [...places.values()].find((each) => each.slot === slot)
      return [...(place?.wishes.keys() ?? [])]
    },
    release(party) {
      for (const [key, { slot }] of places) {
        if (!isPartyKey(key, party)) continue
        places.delete(key)
        end(slot)
      }
      for (const place of [first, ...places.values()]) {
        if (place.wishes.delete(party)) void place.slot.watch(unionOf(place)).catch(() => {})
      }
      if (adopter === undefined || !isPartyKey(adopter, party)) return
      // What it remembers was this party's: the next one starts anew.
      adopter = served = undefined
      several = false
      if (primary.instance !== undefined) primary.drop(primary.instance)
    },
    async close() {
      isClosed = true
      const slots = [primary, ...[...places.values()].map(({ slot }) => slot)]
      await Promise.all([closing, ...slots.map((slot) => slot.close())])
    },
  }
}

/** What outlives a call: a place that kept its first call whole would keep its parameters, its reply and its stream. */
function clientOf({ party, principal, client }: Peer): Client {
  return { party, principal, client }
}

function setWish(place: Place, party: string, uris: ReadonlySet<string> | undefined): void {
  if (uris === undefined || uris.size === 0) place.wishes.delete(party)
  else place.wishes.set(party, uris)
}

function unionOf({ wishes }: Place): ReadonlySet<string> {
  const all = new Set<string>()
  for (const uris of wishes.values()) for (const uri of uris) all.add(uri)
  return all
}
