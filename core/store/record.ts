import type { Keys } from '../keys.ts'
import type { JsonValue } from '../wire/jsonrpc.ts'

/** What is stored under one key. */
export interface StoredRecord {
  readonly key: string
  /** Milliseconds since the epoch; `null`: never. */
  readonly expires: number | null
  readonly value: JsonValue
}

/** Records as text: the format's version, then `[key, expires, value]` as JSON, sealed where there are keys. */
interface Codec {
  encode(place: string, record: StoredRecord): string
  /** `undefined` when the text is of another version, damaged, sealed by a foreign secret or moved from another place. */
  decode(place: string, text: string): StoredRecord | undefined
}

/** First character of every record: what a later format is told apart by. */
const VERSION = '1'

/** The codec of a store; with `keys` nothing at rest is readable, ids included. */
export function createCodec(keys: Keys | undefined): Codec {
  // The place is authenticated too: a record copied over another one is not genuine there.
  const bound = (place: string) => `v${VERSION}|${place}`
  return {
    encode(place, { key, expires, value }) {
      const text = JSON.stringify([key, expires, value])
      return VERSION + (keys ? keys.seal('store', text, bound(place)) : text)
    },
    decode(place, text) {
      if (!text.startsWith(VERSION)) return undefined
      const rest = text.slice(VERSION.length)
      const body = keys ? keys.open('store', rest, bound(place)) : rest
      return body === undefined ? undefined : parse(body)
    },
  }
}

function parse(body: string): StoredRecord | undefined {
  try {
    const parts: unknown = JSON.parse(body)
    if (!Array.isArray(parts) || parts.length !== 3) return undefined
    const [key, expires, value]: JsonValue[] = parts
    if (typeof key !== 'string' || (expires !== null && typeof expires !== 'number') || value === undefined)
      return undefined
    return { key, expires, value }
  } catch {
    return undefined
  }
}
