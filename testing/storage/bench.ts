import type { Awaitable, StorageDriver, Store } from '../../core/index.ts'
import type { Keys } from '../../core/keys.ts'
import { createStore, type StoreOptions, type SweepableStore } from '../../core/store.ts'
import type { Made } from '../contract.ts'

/** An empty driver for the storage suites. */
export interface MadeStorage extends Made {
  readonly driver: StorageDriver
  /** A second driver on the same data, as another process would have it. */
  readonly again?: StorageDriver
}

/** A store on the driver, and what lies under it. */
export interface Bench extends Made {
  readonly store: SweepableStore
  readonly isSealed: boolean
  /** One more store on the same driver. */
  open(options?: StoreOptions): SweepableStore
  /** Stores that know nothing of each other, over the second driver as well where there is one. */
  several(): readonly Store[]
  /** Lets time pass, in ms. */
  pass(ms: number): void
  /** Every key in the driver. */
  places(): Promise<readonly string[]>
  /** The text under a key of the driver. */
  read(place: string): Promise<string>
  write(place: string, text: string): Promise<void>
}

export async function openBench(make: () => Awaitable<MadeStorage>, keys: Keys | undefined): Promise<Bench> {
  const made = await make()
  const { driver, again } = made
  let clock = 1_000_000
  const on = (under: StorageDriver, options: StoreOptions = {}): SweepableStore =>
    createStore(under, { namespace: 'test', now: () => clock, ...(keys && { keys }), ...options })
  const store = on(driver)
  return {
    store,
    isSealed: keys !== undefined,
    open: (options) => on(driver, options),
    several: () => [store, on(driver), on(again ?? driver)],
    pass: (ms) => void (clock += ms),
    async places() {
      const keys = await driver.getKeys('test:', {})
      return keys.map((key) => key.replaceAll('/', ':')).filter((key) => key.startsWith('test:'))
    },
    async read(place) {
      const text = await driver.getItem(place)
      if (typeof text !== 'string') throw new Error(`no text at ${place}`)
      return text
    },
    write: async (place, text) => driver.setItem?.(place, text, {}),
    dispose: () => letGo(made),
  }
}

/** Closes the drivers, and lets go of what they stand on in any case. */
export async function letGo(made: MadeStorage): Promise<void> {
  try {
    await made.driver.dispose?.()
    await made.again?.dispose?.()
  } finally {
    await made.dispose?.()
  }
}

/** The keys of a collection, sorted. */
export async function keysOf(store: Store, collection: string): Promise<string[]> {
  const keys: string[] = []
  for await (const [key] of store.scan(collection)) keys.push(key)
  return keys.sort()
}

/** The item whose turn it is. */
export function inTurn<T>(items: readonly T[], turn: number): T {
  const item = items[turn % items.length]
  if (item === undefined) throw new Error('there is none')
  return item
}
