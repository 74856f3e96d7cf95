import { z } from 'zod'
import type { Remote, Route } from '../../core/index.ts'
import type { Client, Registration } from './clients.ts'
import { displayName } from './display-name.ts'
import { endpoint } from './endpoint.ts'
import { json, OAuthError } from './oauth-error.ts'
import { readJson } from './parameters.ts'
import type { Parts } from './parts.ts'
import type { RedirectPolicy } from './redirect-uri.ts'
import { SCOPES } from './scope.ts'
import { PATHS } from './site.ts'

const GRANT_TYPES = ['authorization_code', 'refresh_token']

/** A member that is null is one that is not there. */
const optional = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined)

/** What of RFC 7591 §2 is looked at. Everything else – logos, addresses, keys – is neither kept nor ever fetched. */
const metadata = z.object({
  redirect_uris: z.array(z.string()),
  grant_types: optional(z.array(z.string())),
  response_types: optional(z.array(z.string())),
  token_endpoint_auth_method: optional(z.string()),
  client_name: optional(z.string()),
  scope: optional(z.string()),
  application_type: optional(z.string()),
  software_statement: optional(z.unknown()),
})

type Metadata = z.output<typeof metadata>

/** Dynamic client registration (RFC 7591). */
export function registerEndpoint(parts: Parts, limit: (caller: Remote) => void): Route {
  const { settings, clients, policy, logger } = parts

  async function handle(request: Request): Promise<Response> {
    if (settings.dcr === 'off') {
      throw new OAuthError('access_denied', 'Clients do not register themselves here.', { status: 403 })
    }
    const wanted = read(await readJson(request))
    const registration = check(wanted, policy)
    const { client, secret } = await clients.register(registration)
    logger.info(`client registered: ${client.name ?? 'without a name'}`, {
      event: 'client-registered',
      client: client.id,
      redirect: client.redirectUris.map((uri) => uri.replace(/\?.*$/s, '')).join(' '),
    })
    return json(201, describe(client, wanted, secret))
  }

  return endpoint({ path: PATHS.register, methods: ['POST'], audience: 'api', logger, limit, handle })
}

function read(body: unknown): Metadata {
  const parsed = metadata.safeParse(body)
  if (parsed.success) return parsed.data
  const [path] = parsed.error.issues.map((issue) => issue.path[0])
  if (path === 'redirect_uris') throw new OAuthError('invalid_redirect_uri', 'redirect_uris must be a list of URIs.')
  throw new OAuthError(
    'invalid_client_metadata',
    `${path === undefined ? 'The metadata' : String(path)} has the wrong type.`,
  )
}

/** One step for each rule of RFC 7591 §2, in its order. */
function check(wanted: Metadata, policy: RedirectPolicy): Registration {
  const redirectUris = [...new Set(wanted.redirect_uris)]
  if (redirectUris.length === 0 || wanted.redirect_uris.length > 10) {
    throw new OAuthError('invalid_redirect_uri', 'redirect_uris must hold one to ten URIs.')
  }
  const refused = redirectUris.find((uri) => !policy.allows(uri))
  if (refused !== undefined) {
    throw new OAuthError('invalid_redirect_uri', 'A redirect URI is not allowed here; see MCP_ALLOWED_REDIRECT_URIS.', {
      reason: refused.slice(0, 200).replace(/\?.*$/s, ''),
    })
  }
  if (!(wanted.grant_types ?? GRANT_TYPES).includes('authorization_code')) {
    throw new OAuthError('invalid_client_metadata', 'grant_types must hold authorization_code.')
  }
  if (wanted.response_types !== undefined && !wanted.response_types.includes('code')) {
    throw new OAuthError('invalid_client_metadata', 'response_types must hold code.')
  }
  if (wanted.software_statement !== undefined) {
    throw new OAuthError('invalid_software_statement', 'Software statements are not taken here.')
  }
  const name = displayName(wanted.client_name)
  return { ...(name !== undefined && { name }), redirectUris, authMethod: methodOf(wanted.token_endpoint_auth_method) }
}

/** As asked, so that strict clients get what they expect. A method that is not known here becomes a public client (RFC 7591 §2). */
function methodOf(wanted: string | undefined): Registration['authMethod'] {
  return wanted === 'client_secret_post' || wanted === 'client_secret_basic' ? wanted : 'none'
}

/** RFC 7591 §3.2.1; no member is null. */
function describe(
  client: Client,
  { grant_types: wanted, scope, application_type: type }: Metadata,
  secret?: string,
): object {
  const scopes = scope === undefined ? [] : SCOPES.filter((known) => scope.split(/\s+/).includes(known))
  return {
    client_id: client.id,
    client_id_issued_at: Math.floor(client.created / 1000),
    ...(secret !== undefined && { client_secret: secret, client_secret_expires_at: 0 }),
    redirect_uris: client.redirectUris,
    grant_types: wanted === undefined ? GRANT_TYPES : GRANT_TYPES.filter((known) => wanted.includes(known)),
    response_types: ['code'],
    token_endpoint_auth_method: client.authMethod,
    ...((type === 'web' || type === 'native') && { application_type: type }),
    ...(client.name !== undefined && { client_name: client.name }),
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
  }
}
