import { ProxyError } from '../errors.ts'
import type { Keys } from '../keys.ts'
import type { StorageDriver, Store } from '../storage.ts'
import { createStore, type StoreOptions, type SweepableStore } from '../store.ts'

/** Stores that plugins are handed before any plugin has filled the slot `storage`. */
export interface LaterStore {
  /** The store of one plugin; using it before `fill` rejects `ERR_PROXY_STORAGE`. */
  of(plugin: string): Store
  /** `logger` hears of records that cannot be read. */
  fill(driver: StorageDriver, keys: Keys, logger?: StoreOptions['logger']): void
  /** Removes what has expired in every plugin's store. */
  sweep(): Promise<void>
}

export function laterStore(): LaterStore {
  let filled: ({ readonly driver: StorageDriver } & StoreOptions) | undefined
  const plugins = new Set<string>()
  const open = (plugin: string): SweepableStore => {
    if (filled !== undefined) return createStore(filled.driver, { ...filled, namespace: `plugin-${plugin}` })
    throw new ProxyError('ERR_PROXY_STORAGE', `plugin "${plugin}": storage is ready after set-up; use it later`)
  }
  return {
    of(plugin) {
      plugins.add(plugin)
      let store: Store | undefined
      const ready = (): Store => (store ??= open(plugin))
      return {
        get: async (key) => ready().get(key),
        put: async (key, value, options) => ready().put(key, value, options),
        take: async (key) => ready().take(key),
        update: async (key, change, options) => ready().update(key, change, options),
        scan: (collection) => ready().scan(collection),
      }
    },
    async sweep() {
      for (const plugin of plugins) await open(plugin).sweep()
    },
    fill: (driver, keys, logger) => void (filled = { driver, keys, ...(logger && { logger }) }),
  }
}
