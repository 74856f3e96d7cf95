import { Meta } from '../wire/envelope.ts'
import { isObject } from '../wire/jsonrpc.ts'
import { looksModern } from '../wire/versions.ts'

/**
 * Which era a request speaks (2026-07-28 basic/versioning). The body decides: an envelope makes it modern.
 * Without one, a version header of a stateless revision does – then the missing envelope is that face's error to report.
 */
export function eraOf(headers: Headers, message: unknown): 'modern' | 'legacy' {
  if (isObject(message) && isObject(message.params) && isObject(message.params._meta)) {
    if (message.params._meta[Meta.protocolVersion] !== undefined) return 'modern'
  }
  const version = headers.get('mcp-protocol-version')
  if (version === null || !looksModern(version)) return 'legacy'
  return isObject(message) && message.method === 'initialize' ? 'legacy' : 'modern'
}
