import type { Route } from '../../core/index.ts'
import { wrongMethod } from './oauth-error.ts'
import { SCOPES } from './scope.ts'
import type { Settings } from './settings.ts'
import { PATHS, SCOPE, type Site } from './site.ts'

/** How long (s) clients may keep the documents. */
const LIFE = 300

/**
 * The two documents that clients discover everything by: protected resource metadata (RFC 9728) and authorization server
 * metadata (RFC 8414), the latter also where OpenID Connect Discovery looks, as the MCP specification has clients do.
 */
export function metadataRoutes(site: Site, settings: Settings): Route[] {
  const resource = JSON.stringify(resourceMetadata(site, settings))
  const server = JSON.stringify(serverMetadata(site, settings))
  const { mcpPath } = site
  const prefix = mcpPath.replace(/\/mcp$/, '')
  const { resourceMetadata: forResource, serverMetadata: forServer, openidMetadata: forOpenid } = PATHS
  const inserted = (path: string): string[] => [`${path}${mcpPath}`, ...(prefix === '' ? [] : [`${path}${prefix}`])]
  return [
    ...served([forResource, `${forResource}${mcpPath}`, `${forResource}${mcpPath}/`], resource),
    ...served([forServer, ...inserted(forServer), forOpenid, ...inserted(forOpenid), `${mcpPath}${forOpenid}`], server),
  ]
}

function served(paths: readonly string[], document: string): Route[] {
  const headers = { 'content-type': 'application/json', 'cache-control': `public, max-age=${LIFE}` }
  return paths.map((path) => ({
    path,
    cors: 'any',
    handler: ({ method }) =>
      method === 'GET' || method === 'HEAD' ? new Response(document, { headers }) : wrongMethod('GET, HEAD'),
  }))
}

/** RFC 9728 §2. */
function resourceMetadata({ issuer, resource }: Site, { name }: Settings): object {
  return {
    resource,
    authorization_servers: [issuer],
    scopes_supported: [SCOPE],
    bearer_methods_supported: ['header'],
    resource_name: name,
  }
}

/** RFC 8414 §2, RFC 9207 §3. */
function serverMetadata({ issuer }: Site, { dcr, cimd }: Settings): object {
  const methods = ['none', 'client_secret_post', 'client_secret_basic']
  return {
    issuer,
    authorization_endpoint: issuer + PATHS.authorize,
    token_endpoint: issuer + PATHS.token,
    ...(dcr === 'open' && { registration_endpoint: issuer + PATHS.register }),
    revocation_endpoint: issuer + PATHS.revoke,
    scopes_supported: SCOPES,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_methods_supported: methods,
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    ...(cimd === 'open' && { client_id_metadata_document_supported: true }),
  }
}
