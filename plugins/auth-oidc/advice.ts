/** What an operator does about the common mistakes; each text goes on after a colon. */
export interface Advice {
  /** Nothing useful answers where the metadata should be. */
  readonly address: string
  /** The client id or its secret is wrong. */
  readonly secret: string
  /** The client may not do what it has to. */
  readonly grants: string
  /** Tokens are for something else. */
  readonly audience: string
  /** There is no refresh token. */
  readonly offline: string
  /** People do not come back. */
  readonly callback: string
  /** Tokens are signed with a secret, or not at all. */
  readonly algorithm: string
}

/** For a provider that nothing is known of. */
export const ADVICE: Advice = {
  address: 'check OIDC_ISSUER',
  secret: 'check OIDC_CLIENT_ID and OIDC_CLIENT_SECRET; was the secret changed there?',
  grants: 'let this client use authorization_code and refresh_token there, and the scopes of OIDC_SCOPES',
  audience: 'check OIDC_AUDIENCE; it has to be an API that the provider knows and signs JWTs for',
  offline: 'let this client have refresh tokens there (scope offline_access)',
  callback:
    'is it allowed there to the letter, is MCP_BASE_URL the address that people use, and OIDC_CLIENT_ID the right one?',
  algorithm: 'have the provider sign with RS256 or another asymmetric algorithm',
}
