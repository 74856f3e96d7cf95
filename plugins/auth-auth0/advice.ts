import type { Advice } from '../auth-oidc/index.ts'

/** Where in the Auth0 dashboard the common mistakes are mended. */
export const ADVICE: Advice = {
  address: 'check AUTH0_DOMAIN',
  secret: 'check AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET; was the secret rotated in the Auth0 dashboard?',
  grants:
    'in the Auth0 dashboard, Applications → your application → Settings → Advanced → Grant Types: turn on Authorization Code and Refresh Token',
  audience:
    'AUTH0_AUDIENCE has to be the Identifier of an API in the Auth0 dashboard, under Applications → APIs; without one tokens are opaque',
  offline: 'in the Auth0 dashboard, Applications → APIs → your API → Settings: turn on Allow Offline Access',
  callback:
    'in the Auth0 dashboard, Applications → your application → Settings, it has to be among the Allowed Callback URLs to the letter; is MCP_BASE_URL the address that people use, and AUTH0_CLIENT_ID the right one?',
  algorithm:
    'in the Auth0 dashboard set RS256 for the application (Settings → Advanced → OAuth) and for the API (Signing Algorithm)',
}
