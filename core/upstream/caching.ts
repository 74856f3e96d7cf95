import type { Caching, ListKind } from '../gateway/source.ts'
import type { Instance } from './instance.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'

/** How often (ms) a list is read again at most, whatever the server says. */
const SHORTEST = 30_000
/** How long (ms) a list is kept at most: a longer wait would be none at all for a timer. */
const LONGEST = 24 * 3_600_000

/** What a 2026-07-28 result says about keeping it (server/utilities/caching); what it leaves out counts as "not at all". */
export function readCaching({ ttlMs, cacheScope }: JsonObject): Caching {
  return {
    ttlMs: typeof ttlMs === 'number' && ttlMs > 0 ? ttlMs : 0,
    cacheScope: cacheScope === 'public' ? 'public' : 'private',
  }
}

/** When (ms) a list must be read again because nobody would say that it has changed; `undefined`: never. */
export function rereadAfter(
  { face, about }: Pick<Instance, 'face' | 'about'>,
  kind: ListKind,
  caching: Caching | undefined,
): number | undefined {
  const list = kind === 'templates' ? 'resources' : kind
  const capability = about.capabilities[list]
  const isTold = isObject(capability) && capability.listChanged === true && face.hears?.(list) !== false
  if (isTold || caching === undefined || caching.ttlMs <= 0) return undefined
  return Math.min(Math.max(caching.ttlMs, SHORTEST), LONGEST)
}
