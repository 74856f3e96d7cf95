import { PATHS, SCOPE, type Site } from './site.ts'

/** Where clients find out how to get a token (RFC 9728 §5.1). */
export function challengeOf({ issuer, mcpPath }: Site): string {
  return `resource_metadata="${issuer}${PATHS.resourceMetadata}${mcpPath}", scope="${SCOPE}"`
}

/** The `WWW-Authenticate` of a request without credentials: no `error` (RFC 6750 §3.1). */
export function unauthenticated(site: Site): Readonly<Record<string, string>> {
  return { 'WWW-Authenticate': `Bearer ${challengeOf(site)}` }
}

/** That of a request whose token is no good. */
export function invalidToken(site: Site): Readonly<Record<string, string>> {
  const what = 'error="invalid_token", error_description="The access token is invalid, expired or revoked."'
  return { 'WWW-Authenticate': `Bearer ${what}, ${challengeOf(site)}` }
}
