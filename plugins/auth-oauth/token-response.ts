import type { Login } from './logins.ts'
import type { Parts } from './parts.ts'

/** A token response (RFC 6749 §5.1). */
export interface TokenResponse {
  readonly access_token: string
  readonly token_type: 'Bearer'
  /** Seconds. */
  readonly expires_in: number
  readonly refresh_token?: string
  readonly scope: string
}

/** Tokens for a login as it is now; the refresh token is the one of its current generation, made again if need be. */
export async function tokensFor(
  { accessTokens, refreshTokens, settings, now }: Parts,
  login: Login,
  scopes: readonly string[] = login.scopes,
): Promise<TokenResponse> {
  const life = Math.min(settings.accessTokenLife, lastMoment(login) - now())
  return {
    access_token: await accessTokens.issue(login, scopes, life),
    token_type: 'Bearer',
    expires_in: Math.max(1, Math.floor(life / 1000)),
    ...(isRefreshable(login) && { refresh_token: refreshTokens.issue(login) }),
    scope: scopes.join(' '),
  }
}

/** A login whose source gave nothing to be asked again with ends when the source says. */
export function isRefreshable({ sourceExpires }: Login): boolean {
  return sourceExpires === undefined
}

/** When a login ends at the latest, in ms since the epoch. */
export function lastMoment({ expires, sourceExpires }: Login): number {
  return Math.min(expires, sourceExpires ?? expires)
}
