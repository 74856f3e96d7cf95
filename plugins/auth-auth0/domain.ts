import { ProxyError } from '../../core/index.ts'
import { readAddress, readIssuer } from '../auth-oidc/index.ts'
import type { Edited } from './config-file.ts'

/**
 * Auth0's issuer: the domain with a slash behind it. People also paste the whole address. `name`: where it was set. Throws
 * `ERR_PROXY_CONFIG`.
 */
export function issuerOf(domain: string, name: string): string {
  const url = readAddress(/^https?:\/\//i.test(domain) ? domain : `https://${domain}`, name)
  if (url.href === `${url.origin}/`) return url.href
  throw new ProxyError('ERR_PROXY_CONFIG', `${name}: "${domain}" is more than a domain; expected tenant.eu.auth0.com`)
}

/** What `auth_config.json` puts in place of what discovery says; `${AUTH0_DOMAIN}` may still stand in it. Throws `ERR_PROXY_CONFIG`. */
export function overridesOf({ jwks_uri: keys, issuer }: Edited, domainIssuer: string, path: string) {
  const { host } = new URL(domainIssuer)
  const expand = (text: string): string => text.replaceAll('${AUTH0_DOMAIN}', host)
  return {
    ...(keys !== undefined && { jwks_uri: readAddress(expand(keys), `${path}: auth0.jwks_uri`).href }),
    ...(issuer !== undefined && { issuer: readIssuer(expand(issuer), `${path}: auth0.issuer`) }),
  }
}
