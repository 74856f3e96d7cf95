import type { Peer } from './call.ts'
import type { ChangedList } from './changes.ts'
import type { Source } from './source.ts'
import type { RpcNotification } from '../wire/jsonrpc.ts'

/** What a subscriber hears: a merged list has changed, one of its resources has, or a server logged something for it. */
export type GatewayEvent =
  | { readonly kind: ChangedList }
  | { readonly kind: 'resource'; readonly uri: string }
  | { readonly kind: 'message'; readonly message: RpcNotification }

/** One subscription, as the gateway keeps it. */
export interface Ear {
  readonly peer: Peer
  readonly on: (event: GatewayEvent) => void
  /** Which server each wished resource was last found at; `undefined`: nowhere. */
  readonly owners: Map<string, Source | undefined>
}

/** Longest URI (characters) whose parents are looked for: the work grows with its square. */
const LONGEST = 2048

/** Who wishes to hear of which resource. */
export class Ears {
  readonly #byUri = new Map<string, Set<Ear>>()

  /** Wished resources, each counted once. */
  get size(): number {
    return this.#byUri.size
  }

  add(uri: string, ear: Ear): void {
    const ears = this.#byUri.get(uri)
    if (ears === undefined) this.#byUri.set(uri, new Set([ear]))
    else ears.add(ear)
  }

  remove(uri: string, ear: Ear): void {
    const ears = this.#byUri.get(uri)
    if (ears === undefined) return
    ears.delete(ear)
    if (ears.size === 0) this.#byUri.delete(uri)
  }

  /** Those who hear of a change at a server: each once, `party` alone where given. */
  of(source: Source, uri: string, party: string | undefined): ReadonlySet<Ear> {
    const found = new Set<Ear>()
    for (const wished of wishesFor(uri)) {
      for (const ear of this.#byUri.get(wished) ?? []) {
        if (ear.owners.get(wished) === source && (party === undefined || ear.peer.party === party)) found.add(ear)
      }
    }
    return found
  }
}

/** A changed resource may be a part of the one that was subscribed to (2025-11-25 schema, `resources/updated`). */
function* wishesFor(uri: string): Generator<string> {
  yield uri
  if (uri.length > LONGEST) return
  for (let at = uri.length - 1; at > 0; at--) {
    if (!'/?#'.includes(uri.charAt(at))) continue
    yield uri.slice(0, at)
    if (at + 1 < uri.length) yield uri.slice(0, at + 1)
  }
}
