import { setTimeout as sleep } from 'node:timers/promises'
import type { ConsolaInstance } from 'consola'
import { ProxyError } from './errors.ts'
import type { Keys } from './keys.ts'
import type { PutOptions, StorageDriver, Store } from './storage.ts'
import { memoryDriver } from './store/memory.ts'
import { createPlaces } from './store/place.ts'
import type { StoredRecord } from './store/record.ts'
import { createCodec } from './store/record.ts'
import { createShelf } from './store/shelf.ts'
import { inTurn } from './store/turn.ts'
import type { JsonValue } from './wire/jsonrpc.ts'

/** How often a change that another process overtook is tried; with the pauses a few seconds in all. */
const ATTEMPTS = 100
/** Longest pause between two attempts, in milliseconds. */
const LONGEST_PAUSE = 50

export interface StoreOptions {
  /** Keeps stores on one driver apart; default `core`. */
  readonly namespace?: string
  /** Seals records and hashes ids; without it both are readable to whoever reads the driver. */
  readonly keys?: Keys
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly now?: () => number
  /** Hears once of records that cannot be read. */
  readonly logger?: Pick<ConsolaInstance, 'warn'>
}

/** A store that can be told to drop what has expired. */
export interface SweepableStore extends Store {
  /** Removes expired records of this namespace; resolves how many. */
  sweep(): Promise<number>
}

/** What is at the place of a key. */
interface Found {
  readonly place: string
  /** `undefined`: nothing. */
  readonly text: string | undefined
  /** `undefined`: nothing, or nothing readable. */
  readonly record: StoredRecord | undefined
}

/** A store on `driver`. An unreadable record counts as absent: it is reported, kept, and gives way to a new value. */
export function createStore(driver: StorageDriver, options: StoreOptions = {}): SweepableStore {
  const { namespace = 'core', keys, now = Date.now, logger } = options
  const places = createPlaces(namespace, keys)
  const codec = createCodec(keys)
  const shelf = createShelf(driver)
  let reported = false

  async function look(place: string): Promise<Found> {
    const text = await shelf.read(place)
    if (text === undefined) return { place, text, record: undefined }
    const record = codec.decode(place, text)
    if (record && places.of(record.key).includes(place)) return { place, text, record }
    if (!reported) {
      const why = 'damaged, of another version, or sealed with a secret that is no longer in the key ring'
      logger?.warn(`store "${namespace}": cannot read "${place}" (${why}); it and others like it count as absent`)
    }
    reported = true
    return { place, text, record: undefined }
  }

  /**
   * The first place that holds something. A record made under an older secret is changed where it is: moved, it
   * would for a moment be in two places or in none, and single use would not hold. New records take the active place.
   */
  async function find(key: string): Promise<Found> {
    const [active, ...older] = places.of(key)
    const first = await look(active)
    if (first.text !== undefined) return first
    for (const place of older) {
      const found = await look(place)
      if (found.text !== undefined) return found
    }
    return first
  }

  function isExpired({ expires }: StoredRecord): boolean {
    return expires !== null && expires <= now()
  }

  /** The record if it lives; one that has expired is removed, unless somebody has just renewed it. */
  async function living(found: Found): Promise<StoredRecord | undefined> {
    if (!found.record || !isExpired(found.record)) return found.record
    // Reading must work where nothing can be removed; the record stays absent either way.
    await shelf.swap(found.place, found.text, undefined).catch(() => false)
    return undefined
  }

  function expiry(ttl: number | undefined, otherwise: number | null): number | null {
    if (ttl === undefined) return otherwise
    // JSON would turn NaN into "never".
    if (Number.isFinite(ttl)) return now() + ttl
    throw new ProxyError('ERR_PROXY_STORAGE', `store "${namespace}": ttl must be a number of milliseconds, not ${ttl}`)
  }

  /** Runs `attempt` until it resolves something, with growing random pauses. */
  async function persist<T>(key: string, attempt: () => Promise<{ result: T } | undefined>): Promise<T> {
    for (let tried = 0; tried < ATTEMPTS; tried++) {
      if (tried > 0) await sleep(Math.random() * Math.min(2 ** tried, LONGEST_PAUSE))
      const done = await attempt()
      if (done) return done.result
    }
    const where = `store "${namespace}": "${places.of(key)[0]}"`
    throw new ProxyError(
      'ERR_PROXY_STORAGE',
      `${where} was changed by others ${ATTEMPTS} times in a row; try again later`,
    )
  }

  async function* all(prefix: string): AsyncIterable<Found> {
    for (const place of await shelf.list(prefix)) if (places.isPlace(place)) yield await look(place)
  }

  return {
    async get<T extends JsonValue>(key: string) {
      return (await living(await find(key)))?.value as T | undefined
    },

    async put(key: string, value: JsonValue, { ttl }: PutOptions = {}) {
      const record = { key, value, expires: expiry(ttl, null) }
      const [active, ...older] = places.of(key)
      if (older.length === 0) return shelf.write(active, codec.encode(active, record))
      return persist(key, async () => {
        const { place, text } = await find(key)
        return (await shelf.swap(place, text, codec.encode(place, record))) ? { result: undefined } : undefined
      })
    },

    async take<T extends JsonValue>(key: string) {
      return persist(key, async () => {
        const found = await find(key)
        const record = await living(found)
        if (!record) return { result: undefined }
        return (await shelf.swap(found.place, found.text, undefined)) ? { result: record.value as T } : undefined
      })
    },

    async update<T extends JsonValue>(
      key: string,
      change: (current: T | undefined) => T | undefined,
      { ttl }: PutOptions = {},
    ) {
      async function attempt(): Promise<{ result: T | undefined } | undefined> {
        const { place, text, record } = await find(key)
        const current = record && !isExpired(record) ? record : undefined
        const value = change(current?.value as T | undefined)
        const expires = expiry(ttl, current?.expires ?? null)
        // Nothing readable was there and nothing shall be: an unreadable record is kept for whoever looks into it.
        if (value === undefined && !record) return { result: undefined }
        const next = value === undefined ? undefined : codec.encode(place, { key, value, expires })
        return (await shelf.swap(place, text, next)) ? { result: value } : undefined
      }
      // In turn within this process, so that only other processes can overtake.
      return inTurn(driver, `update ${places.of(key)[0]}`, () => persist(key, attempt))
    },

    async *scan<T extends JsonValue>(collection: string) {
      for await (const found of all(places.prefix(collection))) {
        const record = await living(found)
        if (record) yield [record.key, record.value as T] as const
      }
    },

    async sweep() {
      let swept = 0
      for await (const { place, text, record } of all(places.prefix())) {
        if (record && isExpired(record) && (await shelf.swap(place, text, undefined))) swept++
      }
      return swept
    },
  }
}

/** A store that forgets with the process; for tests and embedders. */
export function memoryStore(options: StoreOptions = {}): SweepableStore {
  return createStore(memoryDriver(), options)
}
