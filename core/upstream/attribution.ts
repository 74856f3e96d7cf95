import { InFlight } from '../in-flight.ts'
import type { Exchange } from '../transport.ts'
import type { RpcId, RpcNotification, RpcRequest } from '../wire/jsonrpc.ts'

/** Where a message goes: to one exchange, to the connection's own `onmessage` (`nobody`), or nowhere. */
export type Destination = Exchange | 'nobody' | 'dropped'

/** Says whose message it is that arrived on a pipe outside of any response. O(1) per message, never throws. */
export interface Attribution {
  /** The only party that this pipe has served so far, when there is exactly one. */
  readonly party: string | undefined
  /** Opens an exchange under the id of its request, which is its progress token too; the result closes it. */
  open(id: RpcId, exchange: Exchange): () => void
  route(message: RpcRequest | RpcNotification): Destination
  /** The server's own request `id` was answered: taking it back means nothing any more. */
  answered(id: RpcId): void
}

/** An open exchange, linked to its neighbours in the order of opening. */
interface Open {
  readonly exchange: Exchange
  older: Open | undefined
  newer: Open | undefined
  /** Ids of the server's requests that went to this exchange and have no answer yet. */
  asks?: Set<RpcId>
}

/** Changes that concern every user of the pipe. */
const NOBODYS = new Set([
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
])

/** On every message of a `subscriptions/listen` stream (2026-07-28 basic/patterns/subscriptions). */
const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId'

/**
 * "One party per pipe, or nobody". Progress goes by token, listen messages by subscription id; changes are
 * nobody's; asks, logs and the rest go to the newest open exchange, but only while the pipe has served one single
 * party in its lifetime; with nothing open they are nobody's, and `party` says whom they can only be meant for.
 * Guessing beyond that would hand one client's question to another. Exchanges of party `''` are the proxy's own: they
 * count as no party and get nothing but their progress.
 */
export function createAttribution(): Attribution {
  const byId = new InFlight<RpcId, Open>()
  const askedOf = new Map<RpcId, Open>()
  let newest: Open | undefined
  let party: string | undefined
  let shared = false

  function unlink(open: Open): void {
    if (open.older) open.older.newer = open.newer
    if (open.newer) open.newer.older = open.older
    if (newest === open) newest = open.older
    open.older = open.newer = undefined
    for (const ask of open.asks ?? []) if (askedOf.get(ask) === open) askedOf.delete(ask)
  }

  function newestOf(message: RpcRequest | RpcNotification): Destination {
    if (shared || newest === undefined) return 'nobody'
    if ('id' in message) {
      askedOf.set(message.id, newest)
      newest.asks ??= new Set()
      newest.asks.add(message.id)
    }
    return newest.exchange
  }

  return {
    get party() {
      return shared ? undefined : party
    },
    open(id, exchange) {
      const open: Open = { exchange, older: undefined, newer: undefined }
      byId.set(id, open)
      if (exchange.party !== '') {
        if (party === undefined) party = exchange.party
        else if (party !== exchange.party) shared = true
        open.older = newest
        if (newest) newest.newer = open
        newest = open
      }
      return () => {
        if (byId.get(id) === open) byId.delete(id)
        unlink(open)
      }
    },
    route(message) {
      const { method, params } = message
      if (method === 'notifications/progress') return byId.get(asId(params?.progressToken))?.exchange ?? 'dropped'
      const meta = params?._meta
      if (typeof meta === 'object' && meta !== null && SUBSCRIPTION_ID in meta) {
        return byId.get(asId(meta[SUBSCRIPTION_ID]))?.exchange ?? 'dropped'
      }
      if (NOBODYS.has(method)) return 'nobody'
      if (method === 'notifications/cancelled') return askedOf.get(asId(params?.requestId))?.exchange ?? 'nobody'
      return newestOf(message)
    },
    answered(id) {
      askedOf.get(id)?.asks?.delete(id)
      askedOf.delete(id)
    },
  }
}

/** An id that no request has stands for whatever is no id. */
function asId(value: unknown): RpcId {
  return typeof value === 'string' || typeof value === 'number' ? value : Number.NaN
}
