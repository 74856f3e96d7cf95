import type { StorageDriver } from '../storage.ts'

/** A driver that is read and not written to, whatever it says: for a look at what may never be used. */
export function unchanging(driver: StorageDriver): StorageDriver {
  return {
    ...(driver.name !== undefined && { name: driver.name }),
    hasItem: (key, options) => driver.hasItem(key, options),
    getItem: (key, options) => driver.getItem(key, options),
    getKeys: (base, options) => driver.getKeys(base, options),
    setItem: () => {},
    removeItem: () => {},
    clear: () => {},
    swap: async () => true,
  }
}
