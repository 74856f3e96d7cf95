import { isObject, type JsonObject, type RpcMessage } from './jsonrpc.ts'
import { sliceResult } from './slice.ts'

/** JSON texts of results: `''` until first needed. The objects must not change afterwards. */
const texts = new WeakMap<JsonObject, string>()
/** Results that are sent many times. */
const prepared = new WeakSet<JsonObject>()

/** Shortest text (characters) that is kept: below, making it anew costs less than finding it. */
const WORTH_KEEPING = 16_384

/** Marks a result that is sent many times (a catalogue) so that it is turned into JSON once. It must not change afterwards. */
export function prepare(result: JsonObject): JsonObject {
  texts.set(result, '')
  prepared.add(result)
  return result
}

/** Whether `prepare` was called for this very object. */
export function isPrepared(result: JsonObject): boolean {
  return prepared.has(result)
}

/**
 * Parses a text that holds one message, or a batch. A large result keeps its text, and `serialise` sends that:
 * whoever changes a result in place must call `forgetText`. Throws `SyntaxError`.
 */
export function parseJsonRpc(text: string): unknown {
  const value: unknown = JSON.parse(text)
  if (text.length < WORTH_KEEPING || !isObject(value) || !isObject(value.result)) return value
  const slice = sliceResult(text)
  if (slice !== undefined) texts.set(value.result, slice)
  return value
}

/** Makes `serialise` look at the object again: for results that others may have changed in place. */
export function forgetText(result: JsonObject): void {
  if (!prepared.has(result)) texts.delete(result)
}

/** A message as JSON text; `undefined` where it nests too deep, or is too long, to be made one. */
export function textOf(message: RpcMessage): string | undefined {
  try {
    return serialise(message)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** A message as JSON text. Throws `RangeError` where `textOf` has none. */
export function serialise(message: RpcMessage): string {
  if ('result' in message && texts.has(message.result)) {
    // The id comes last: whatever the result holds, the last word on whose answer this is, is ours.
    return `{"jsonrpc":"2.0","result":${resultText(message.result)},"id":${JSON.stringify(message.id)}}`
  }
  return JSON.stringify(message)
}

function resultText(result: JsonObject): string {
  let text = texts.get(result)
  if (!text) {
    text = JSON.stringify(result)
    texts.set(result, text)
  }
  return text
}
