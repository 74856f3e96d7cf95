import type { JsonObject } from './jsonrpc.ts'

/** Which parameter of a request the `Mcp-Name` header mirrors (2026-07-28 streamable-http#Standard Request Headers). */
const NAMED: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
}

/** The value that `Mcp-Name` must have, or `undefined` for methods that carry none. */
export function mirroredName(method: string, params: JsonObject): string | undefined {
  const key = NAMED[method]
  const value = key === undefined ? undefined : params[key]
  return typeof value === 'string' ? value : undefined
}

/** What a header value can hold as it is: visible ASCII, with spaces and tabs inside. */
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/

/** A text as a header value: as it is where that is possible, else in the base64 sentinel of 2026-07-28. */
export function encodeHeaderValue(value: string): string {
  if (PLAIN.test(value) && !SENTINEL.test(value)) return value
  return `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`
}

const SENTINEL = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/

/** Undoes the base64 sentinel of 2026-07-28 (streamable-http#Value Encoding); other values come back as they are. */
export function decodeHeaderValue(value: string): string {
  const match = SENTINEL.exec(value)
  return match?.[1] === undefined ? value : Buffer.from(match[1], 'base64').toString('utf8')
}
