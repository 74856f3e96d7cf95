import { BlockList } from 'node:net'
import type { Remote } from '../../core/index.ts'
import type { Clock } from './clock.ts'
import { createMemory } from './memory.ts'
import { OAuthError } from './oauth-error.ts'

/** How many at once, and how many a minute after that. */
export interface Rate {
  readonly burst: number
  readonly perMinute: number
}

/** Holds back who asks too often. In this process only. */
export interface RateLimit {
  /** Takes one from the bucket of `key`; resolves how long (s) to wait when it is empty, else 0. */
  take(key: string): number
  /** Gives one back that turned out to be none. */
  give(key: string): void
}

/** Buckets kept at most: the one that was filled longest ago goes first. */
const MOST = 10_000

export function createRateLimit({ burst, perMinute }: Rate, now: Clock): RateLimit {
  const buckets = createMemory<{ left: number; at: number }>(MOST)
  return {
    take(key) {
      const time = now()
      const { left, at } = buckets.get(key) ?? { left: burst, at: time }
      // A clock that is set back takes nothing away.
      const passed = Math.max(0, time - at)
      const filled = Math.min(burst, left + (passed * perMinute) / 60_000)
      const allowed = filled >= 1
      buckets.set(key, { left: allowed ? filled - 1 : filled, at: time })
      return allowed ? 0 : Math.max(1, Math.ceil(((1 - filled) * 60) / perMinute))
    },
    give(key) {
      const bucket = buckets.get(key)
      if (bucket !== undefined) bucket.left = Math.min(burst, bucket.left + 1)
    },
  }
}

/** Where Claude's requests come from, for all its users at once. */
const SHARED = new BlockList()
SHARED.addSubnet('160.79.104.0', 21)
/** How much more such an address may do than one of one household. */
const SHARED_FACTOR = 20

/**
 * A limit by address. Throws `temporarily_unavailable` with 429 and Retry-After (RFC 6585 §4): what clients keep their tokens at.
 * An IPv6 address counts by its /64: one household has as many of them as it likes.
 */
export function createAddressLimit(rate: Rate, now: Clock): (remote: Remote) => void {
  const ordinary = createRateLimit(rate, now)
  const shared = createRateLimit({ burst: rate.burst * SHARED_FACTOR, perMinute: rate.perMinute * SHARED_FACTOR }, now)
  return ({ address = '' }) => {
    const isShared = /^[\d.]+$/.test(address) && SHARED.check(address)
    const wait = (isShared ? shared : ordinary).take(isShared ? 'shared' : networkOf(address))
    if (wait === 0) return
    throw new OAuthError('temporarily_unavailable', 'Too many requests; try again later.', {
      status: 429,
      headers: { 'retry-after': String(wait) },
    })
  }
}

/** What counts as one remote: an IPv4 address, or the /64 of an IPv6 address. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const [head = ''] = address.split('::', 1)
  const groups = head.split(':')
  return groups.length >= 4 ? groups.slice(0, 4).join(':') : `${head}::`
}
