import type { Remote, Route } from '../../core/index.ts'
import { authenticateClient } from './client-auth.ts'
import { endpoint } from './endpoint.ts'
import { json, OAuthError } from './oauth-error.ts'
import { readForm } from './parameters.ts'
import type { Parts } from './parts.ts'
import { redeemCode } from './redeem.ts'
import { refresh } from './refresh.ts'
import { checkResource, PATHS } from './site.ts'

/** The token endpoint (RFC 6749 §3.2, OAuth 2.1 §3.2). */
export function tokenEndpoint(parts: Parts, limit: (caller: Remote) => void): Route {
  const { clients, site, logger } = parts

  async function handle(request: Request): Promise<Response> {
    if (new URL(request.url).search !== '') throw new OAuthError('invalid_request', 'Parameters belong in the body.')
    const form = await readForm(request)
    const client = await authenticateClient(request, form, clients)
    checkResource(form, site)
    switch (form.get('grant_type')) {
      case 'authorization_code':
        return json(200, await redeemCode(parts, client, form))
      case 'refresh_token':
        return json(200, await refresh(parts, client, form))
      case undefined:
        throw new OAuthError('invalid_request', 'grant_type is missing.')
      default:
        throw new OAuthError('unsupported_grant_type', 'grant_type must be authorization_code or refresh_token.')
    }
  }

  return endpoint({ path: PATHS.token, methods: ['POST'], audience: 'api', logger, limit, handle })
}
