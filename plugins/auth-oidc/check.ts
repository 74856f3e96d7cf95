import type { JWTPayload, JWTVerifyGetKey } from 'jose'
import type { ServerMetadata } from 'openid-client'
import type { ConsolaInstance } from 'consola'
import { SourceError } from '../auth-oauth/index.ts'
import type { OidcSettings } from './settings.ts'
import { verifyAccessToken, verifyIdToken } from './tokens.ts'

/** What a token endpoint answers (OpenID Connect Core §3.1.3.3). */
interface Tokens {
  readonly access_token: string
  readonly id_token?: string | undefined
  readonly refresh_token?: string | undefined
  readonly expires_in?: number | undefined
  readonly scope?: string | undefined
}

/** What the provider has said of a person, checked. */
export interface Claims {
  /** Absent where there was no ID token, as some refreshes have none. */
  readonly id: JWTPayload | undefined
  /** Absent without an audience: then the access token is the provider's own business. */
  readonly access: JWTPayload | undefined
}

export interface CheckOptions {
  readonly settings: OidcSettings
  readonly keys: JWTVerifyGetKey
  readonly now: () => number
  readonly logger: ConsolaInstance
}

/** Checks what came from the token endpoint; `nonce` only at a login, which also needs an ID token. */
export type Check = (metadata: ServerMetadata, tokens: Tokens, nonce?: string) => Promise<Claims>

export function createCheck({ settings, keys, now, logger }: CheckOptions): Check {
  const { provider: name, clientId, audience, advice, scopes } = settings

  async function checkIdToken(token: string, issuer: string, nonce: string | undefined): Promise<JWTPayload> {
    const expected = { issuer, keys, now, clientId, ...(nonce !== undefined && { nonce }) }
    const claims = await verifyIdToken(token, expected)
    logger.debug(`${name}: ID token is valid`, {
      issuer,
      aud: claims.aud,
      nonce: nonce === undefined ? 'none' : 'ours',
    })
    return claims
  }

  async function checkAccessToken(token: string, issuer: string): Promise<JWTPayload | undefined> {
    if (audience === undefined) return undefined
    const claims = await verifyAccessToken(token, { issuer, keys, now, audience, advice: advice.audience })
    logger.debug(`${name}: access token is valid`, { issuer, aud: claims.aud })
    return claims
  }

  return async ({ issuer }, tokens, nonce) => {
    const { id_token: idToken, access_token: accessToken, scope } = tokens
    if (idToken === undefined && nonce !== undefined)
      throw new SourceError('misconfigured', 'it gave no ID token; the scope "openid" asks for one')
    const id = idToken === undefined ? undefined : await checkIdToken(idToken, issuer, nonce)
    const access = await checkAccessToken(accessToken, issuer)
    // Absent: as asked for (RFC 6749 §5.1).
    logger.debug(`${name}: scopes`, { asked: scopes.join(' '), granted: scope ?? scopes.join(' ') })
    return { id, access }
  }
}
