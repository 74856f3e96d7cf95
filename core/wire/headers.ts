import { isUtf8 } from 'node:buffer'
import type { JsonObject } from './jsonrpc.ts'
import { MODERN_VERSIONS } from './versions.ts'

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

/** The headers that every 2026-07-28 request has over HTTP, names in lower case (streamable-http#Standard Request Headers). */
export function standardHeaders(method: string, params: JsonObject): Record<string, string> {
  const headers: Record<string, string> = { 'mcp-protocol-version': MODERN_VERSIONS[0], 'mcp-method': method }
  const name = mirroredName(method, params)
  if (name !== undefined) headers['mcp-name'] = encodeHeaderValue(name)
  return headers
}

/** What a header value can hold as it is: visible ASCII, with spaces and tabs inside. */
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/

/** A text as a header value: as it is where that is possible, else in the base64 sentinel of 2026-07-28. */
export function encodeHeaderValue(value: string): string {
  if (PLAIN.test(value) && !SENTINEL.test(value)) return value
  return `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`
}

const SENTINEL = /^=\?base64\?(.*)\?=$/

/**
 * Undoes the base64 sentinel of 2026-07-28 (streamable-http#Value Encoding); other values come back as they are.
 * `undefined` for a sentinel around anything but the base64, padding included, of a text in UTF-8.
 */
export function decodeHeaderValue(value: string): string | undefined {
  const payload = SENTINEL.exec(value)?.[1]
  if (payload === undefined) return value
  const bytes = Buffer.from(payload, 'base64')
  // Node's decoder skips what it does not know: several values would mean the same.
  return bytes.toString('base64') === payload && isUtf8(bytes) ? bytes.toString('utf8') : undefined
}
