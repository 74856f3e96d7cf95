import type { JsonObject } from '../wire/jsonrpc.ts'
import type { Caching, ListKind, Source } from './source.ts'

/** Nothing may be kept: what holds where nobody says otherwise. */
export const UNKEPT: Caching = { ttlMs: 0, cacheScope: 'private' }

/** Beside the results, not in them: a list that middleware changes is no longer the one this was said of. */
const known = new WeakMap<JsonObject, Caching>()

/** Says how long a result may be kept. */
export function keepFor(result: JsonObject, caching: Caching): void {
  known.set(result, caching)
}

/** How long this very result may be kept, if that was said. */
export function cachingOf(result: JsonObject): Caching | undefined {
  return known.get(result)
}

/** How long a list may be kept that these servers contribute to: as the strictest of them says (2026-07-28 server/utilities/caching). */
export function mergeCaching(kind: ListKind, sources: Iterable<Source>): Caching {
  let merged: Caching | undefined
  for (const { caching } of sources) merged = stricter(merged, caching?.[kind] ?? UNKEPT)
  return merged ?? UNKEPT
}

/** What holds for two answers together; the first of several has none before it. */
export function stricter(one: Caching | undefined, other: Caching): Caching {
  if (one === undefined) return other
  const isPublic = one.cacheScope === 'public' && other.cacheScope === 'public'
  return { ttlMs: Math.min(one.ttlMs, other.ttlMs), cacheScope: isPublic ? 'public' : 'private' }
}
