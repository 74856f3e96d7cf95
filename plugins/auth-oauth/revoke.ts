import type { Remote, Route } from '../../core/index.ts'
import { authenticateClient } from './client-auth.ts'
import type { Client } from './clients.ts'
import { endpoint } from './endpoint.ts'
import { OAuthError } from './oauth-error.ts'
import { readForm } from './parameters.ts'
import type { Parts } from './parts.ts'
import { loginOf } from './refresh-token.ts'
import { PATHS } from './site.ts'

/** Token revocation (RFC 7009): either token of a login ends it. What is unknown, foreign or malformed is no error (§2.2). */
export function revokeEndpoint(parts: Parts, limit: (caller: Remote) => void): Route {
  const { clients, logger } = parts

  async function handle(request: Request): Promise<Response> {
    const form = await readForm(request)
    const client = await authenticateClient(request, form, clients)
    const token = form.get('token')
    if (token === undefined) throw new OAuthError('invalid_request', 'token is missing.')
    const login = await ownedLogin(token, client)
    if (login !== undefined) await parts.end(login, 'its client revoked it')
    return new Response(null, { status: 200, headers: { 'cache-control': 'no-store', pragma: 'no-cache' } })
  }

  async function ownedLogin(token: string, client: Client): Promise<string | undefined> {
    const access = await parts.accessTokens.verify(token)
    if (access !== undefined) return access.client === client.id ? access.login : undefined
    const found = await loginOf(token, parts)
    return typeof found !== 'string' && found.login.client === client.id ? found.login.id : undefined
  }

  return endpoint({ path: PATHS.revoke, methods: ['POST'], audience: 'api', logger, limit, handle })
}
