import type { StorageDriver } from '../storage.ts'

/** A driver that forgets with the process; for tests and embedders. */
export function memoryDriver(): StorageDriver {
  const items = new Map<string, string>()
  return {
    name: 'memory',
    hasItem: (key) => items.has(key),
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
    getKeys: () => [...items.keys()],
    clear: () => items.clear(),
    // Synchronous throughout, so nothing can come between the comparison and the change.
    async swap(key, expected, next) {
      if ((items.get(key) ?? null) !== expected) return false
      if (next === null) items.delete(key)
      else items.set(key, next)
      return true
    },
  }
}
