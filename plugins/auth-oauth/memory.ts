/** A map of a bounded size: what was set longest ago goes first. */
export function createMemory<T>(most: number): Pick<Map<string, T>, 'get' | 'has' | 'set' | 'delete'> {
  const map = new Map<string, T>()
  return {
    get: (key) => map.get(key),
    has: (key) => map.has(key),
    delete: (key) => map.delete(key),
    set(key, value) {
      map.delete(key)
      map.set(key, value)
      const [oldest] = map.size > most ? map.keys() : []
      if (oldest !== undefined) map.delete(oldest)
      return map
    },
  }
}
