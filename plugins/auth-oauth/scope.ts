import { OAuthError } from './oauth-error.ts'
import { OFFLINE, SCOPE } from './site.ts'

/** Characters of a scope token (RFC 6749 §3.3), and the white space and `+` some clients put between them. */
const ALLOWED = /^[\x21\x23-\x5B\x5D-\x7E \t+]*$/
const LONGEST = 4096

/** Every scope a client may ask for. */
export const SCOPES: readonly string[] = [SCOPE, OFFLINE]

/**
 * What is granted of a requested scope: what is supported; the rest is dropped without a word (RFC 6749 §3.3), and with nothing
 * left the default is granted. Throws `invalid_scope` for characters that no scope has.
 */
export function grantScope(requested: string | undefined): readonly string[] {
  const wanted = scopesOf(requested)
  const granted = SCOPES.filter((scope) => wanted.includes(scope))
  return granted.includes(SCOPE) ? granted : [SCOPE, ...granted]
}

/** A refresh may narrow what was granted (RFC 6749 §6); throws `invalid_scope` for more than that. */
export function narrowScope(requested: string | undefined, granted: readonly string[]): readonly string[] {
  const wanted = scopesOf(requested)
  if (wanted.length === 0) return granted
  if (wanted.some((scope) => !granted.includes(scope))) {
    throw new OAuthError('invalid_scope', 'More is asked for than was granted.')
  }
  return granted.filter((scope) => wanted.includes(scope))
}

function scopesOf(text: string | undefined): string[] {
  if (text === undefined) return []
  if (text.length > LONGEST || !ALLOWED.test(text)) throw new OAuthError('invalid_scope', 'The scope is malformed.')
  return text.split(/[\s+]+/).filter((scope) => scope !== '')
}
