import type { Advice } from './advice.ts'

/** One provider and this proxy's place at it. */
export interface OidcSettings {
  /** What people call the provider, for messages. */
  readonly provider: string
  /** What to do about the common mistakes, for messages. */
  readonly advice: Advice
  /** The issuer; its metadata is at `/.well-known/openid-configuration` below it. */
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** The API that access tokens are asked for; then they are JWTs, and are checked. */
  readonly audience?: string
  readonly scopes: readonly string[]
  /** Claim that holds the e-mail address where the ID token has none. */
  readonly emailClaim?: string
  /** Takes an e-mail address for verified though nobody says so; a text "true" counts as well. */
  readonly trustEmail: boolean
  /** Further parameters of the authorization request, such as `connection` or `prompt`. */
  readonly parameters: Readonly<Record<string, string>>
  /** Instead of what discovery says. */
  readonly overrides: { readonly issuer?: string; readonly jwks_uri?: string }
}

/** Asked for where nothing else is said: who it is, and a refresh token. */
export const DEFAULT_SCOPES: readonly string[] = ['openid', 'profile', 'email', 'offline_access']
