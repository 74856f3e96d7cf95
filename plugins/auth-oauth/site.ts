import type { ResolvedConfig } from '../../core/index.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parameters } from './parameters.ts'

/** The scope every token has: use of the MCP endpoint. */
export const SCOPE = 'mcp:use'
/** Asks for a refresh token (OpenID Connect Core §11); granted, and never part of a token. */
export const OFFLINE = 'offline_access'

/** Where everything is; from the configuration alone, never from a request's Host. */
export interface Site {
  /** The issuer: the public origin, without a path whatever prefix the endpoint has (RFC 8414 §2). */
  readonly issuer: string
  /** The protected resource (RFC 9728), canonical: no trailing slash. */
  readonly resource: string
  /** Path of the MCP endpoint. */
  readonly mcpPath: string
  /** Whether cookies can be `Secure`. */
  readonly secure: boolean
}

/** Paths of the endpoints, all at the root. */
export const PATHS = {
  authorize: '/authorize',
  consent: '/consent',
  callback: '/auth/callback',
  token: '/token',
  register: '/register',
  revoke: '/revoke',
  resourceMetadata: '/.well-known/oauth-protected-resource',
  serverMetadata: '/.well-known/oauth-authorization-server',
  openidMetadata: '/.well-known/openid-configuration',
} as const

export function siteOf({ baseUrl, mcpPath }: Pick<ResolvedConfig, 'baseUrl' | 'mcpPath'>): Site {
  return { issuer: baseUrl, resource: baseUrl + mcpPath, mcpPath, secure: baseUrl.startsWith('https:') }
}

/** Whether a `resource` parameter (RFC 8707) means this one: spelt differently it may be, but nothing else. */
export function isResource({ resource }: Site, text: string): boolean {
  if (!URL.canParse(text) || text.includes('#')) return false
  const url = new URL(text)
  if (url.search !== '' || text.includes('?') || url.username !== '' || url.password !== '') return false
  const [spelt, ours] = [url.href, new URL(resource).href].map((href) => href.replace(/\/$/, ''))
  return spelt === ours
}

/** RFC 8707 §2: whatever a request names has to be this resource; older clients name none. Throws `invalid_target`. */
export function checkResource(parameters: Parameters, site: Site): void {
  if (parameters.all('resource').every((resource) => isResource(site, resource))) return
  throw new OAuthError('invalid_target', `The only resource here is ${site.resource}`)
}
