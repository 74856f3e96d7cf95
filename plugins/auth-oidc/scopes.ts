import { ProxyError } from '../../core/index.ts'
import { DEFAULT_SCOPES } from './settings.ts'

/**
 * The scopes that are asked for at the provider: those of a variable, else those of the option, else the usual ones. Throws
 * `ERR_PROXY_CONFIG` where there is no `openid` among them, since without it there is no ID token.
 */
export function readScopes(
  variable: string | undefined,
  option: readonly string[] | undefined,
  name: string,
): readonly string[] {
  const scopes = variable?.split(/[\s,]+/).filter((scope) => scope !== '') ?? option ?? DEFAULT_SCOPES
  // RFC 6749 §3.3
  const odd = scopes.find((scope) => !/^[\x21\x23-\x5B\x5D-\x7E]+$/.test(scope))
  if (odd !== undefined) throw new ProxyError('ERR_PROXY_CONFIG', `${name}: ${JSON.stringify(odd)} is no scope`)
  if (scopes.includes('openid')) return scopes
  throw new ProxyError(
    'ERR_PROXY_CONFIG',
    `${name}: "openid" is missing; without it the provider does not say who logs in`,
  )
}
