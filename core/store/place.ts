import { createHash, createHmac } from 'node:crypto'
import type { Keys } from '../keys.ts'

/** Where records live: driver keys `<namespace>:<collection>:<hash>`, of characters no driver merges, cuts or folds. */
interface Places {
  /** Where the record of `key` may be: made with the active secret first, then with each older one. */
  of(key: string): readonly [active: string, ...older: string[]]
  /** What the places of one collection start with; without a name, of all. */
  prefix(collection?: string): string
  /** Whether a driver key has the form of a place. */
  isPlace(driverKey: string): boolean
}

/** With `keys` the hashes tell nobody without a secret which ids exist. */
export function createPlaces(namespace: string, keys: Keys | undefined): Places {
  const root = segment(namespace)
  const hashes = keys ? keys.subKeys('lookup').map(({ key }) => key) : []

  function prefix(collection?: string): string {
    return collection === undefined ? `${root}:` : `${root}:${segment(collection)}:`
  }

  return {
    of(key) {
      const start = prefix(key.split(':', 1)[0])
      // JSON keeps namespace and key apart, and lone surrogates from becoming one character.
      const text = JSON.stringify([namespace, key])
      const [active = sha256(text), ...older] = hashes.map((secret) => hmac(secret, text))
      return [start + active, ...older.map((hash) => start + hash)]
    },
    prefix,
    isPlace(driverKey) {
      return driverKey.startsWith(prefix()) && /^[^:]+:[0-9a-f]{64}$/.test(driverKey.slice(prefix().length))
    },
  }
}

/** A plain name stays readable; any other is replaced by its hash behind `_`, which no plain name starts with. */
function segment(name: string): string {
  return /^[a-z0-9][a-z0-9-]{0,63}$/.test(name) ? name : `_${sha256(JSON.stringify(name)).slice(0, 32)}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(secret: Uint8Array, text: string): string {
  return createHmac('sha256', secret).update(text).digest('hex')
}
