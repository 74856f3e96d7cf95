import type { Remote, Route } from '../../core/index.ts'
import type { Authorization } from './authorizations.ts'
import type { Client } from './clients.ts'
import { endpoint } from './endpoint.ts'
import { OAuthError } from './oauth-error.ts'
import { parametersOf, readForm, type Parameters } from './parameters.ts'
import type { Parts } from './parts.ts'
import { redirectBack, seeOther } from './redirect.ts'
import { isRegistered } from './redirect-uri.ts'
import { grantScope } from './scope.ts'
import { checkResource, PATHS, type Site } from './site.ts'

/** Longest state, in bytes. */
const LONGEST_STATE = 2048

/** The authorization endpoint (RFC 6749 §4.1.1, OAuth 2.1 §4.1.1): checks the request and has a person asked for consent. */
export function authorizeEndpoint(
  parts: Parts,
  limit: (remote: Remote) => void,
  documentLimit: (remote: Remote) => void,
): Route {
  const { authorizations, clients, site, logger } = parts

  async function handle(request: Request, remote: Remote): Promise<Response> {
    const parameters =
      request.method === 'POST' ? await readForm(request) : parametersOf(new URL(request.url).searchParams)
    // Until both are known good nobody is redirected anywhere (RFC 6749 §4.1.2.1).
    const client = await findClient(parameters, remote)
    const redirectUri = findRedirectUri(client, parameters)
    checkStateIsText(parameters)
    try {
      const authorization = check(parameters, client, redirectUri, site)
      const id = await authorizations.open(authorization)
      const asked = parameters.get('scope')?.slice(0, 200)
      logger.debug('authorization asked for', { client: client.id, asked, granted: authorization.scopes.join(' ') })
      return seeOther(`${PATHS.consent}?authorization=${id}`)
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error
      logger.debug(`authorization refused: ${error.error}: ${error.message}`, { client: client.id })
      return redirectBack(site, { redirectUri, ...stateOf(parameters) }, error)
    }
  }

  return endpoint({ path: PATHS.authorize, methods: ['GET', 'POST'], audience: 'page', logger, limit, handle })

  async function findClient(parameters: Parameters, remote: Remote): Promise<Client> {
    const id = parameters.get('client_id')
    if (id === undefined) throw new OAuthError('invalid_request', 'The request names no client (client_id is missing).')
    const client = await clients.find(id, 'authorization', () => documentLimit(remote))
    if (client !== undefined) return client
    // No credentials were asked for here, so not 401 (RFC 6749 §4.1.2.1 has a person told).
    throw new OAuthError(
      'invalid_client',
      'The program that sent you here is not known: its registration may have expired. Remove the connection there and add it again.',
      { status: 400 },
    )
  }
}

/** Exactly a registered one; absent only where there is just one (RFC 6749 §3.1.2.3). */
function findRedirectUri({ redirectUris }: Client, parameters: Parameters): string {
  const asked = parameters.get('redirect_uri')
  const [only, second] = redirectUris
  if (asked === undefined && only !== undefined && second === undefined) return only
  if (asked !== undefined && redirectUris.some((registered) => isRegistered(registered, asked))) return asked
  throw new OAuthError(
    'invalid_request',
    'The program that sent you here wants the answer at an address it has not registered.',
  )
}

/** What is no UTF-8 (RFC 6749 appendix B) has become U+FFFD: it cannot be handed back to the byte, not with an error either. */
function checkStateIsText(parameters: Parameters): void {
  if (parameters.get('state')?.includes('\uFFFD') !== true) return
  throw new OAuthError('invalid_request', 'The program that sent you here sent a state that is no text in UTF-8.')
}

/** One step for each rule; what fails goes back to the client. */
function check(parameters: Parameters, client: Client, redirectUri: string, site: Site): Authorization {
  checkResponseType(parameters)
  checkRequestObject(parameters)
  const challenge = readChallenge(parameters)
  checkResource(parameters, site)
  const scopes = grantScope(parameters.get('scope'))
  const { state } = stateOf(parameters)
  if (state !== undefined && Buffer.byteLength(state) > LONGEST_STATE) {
    throw new OAuthError('invalid_request', 'state is too long.')
  }
  if (parameters.get('prompt')?.split(' ').includes('none')) {
    throw new OAuthError('interaction_required', 'Consent is always asked for.')
  }
  return {
    client: client.id,
    ...(client.name !== undefined && { clientName: client.name }),
    ...(client.source === 'cimd' && { clientHost: new URL(client.id).host }),
    redirectUri,
    ...(state !== undefined && { state }),
    challenge,
    scopes,
  }
}

/** RFC 6749 §3.1.1; OAuth 2.0 Multiple Response Type Encoding §2.1. */
function checkResponseType(parameters: Parameters): void {
  const type = parameters.get('response_type')
  if (type === undefined) throw new OAuthError('invalid_request', 'response_type is missing.')
  if (type !== 'code') throw new OAuthError('unsupported_response_type', 'Only response_type=code is supported.')
  if ((parameters.get('response_mode') ?? 'query') !== 'query') {
    throw new OAuthError('invalid_request', 'Only response_mode=query is supported.')
  }
}

/** OpenID Connect Core §6: nothing is fetched on a client's word. */
function checkRequestObject(parameters: Parameters): void {
  if (parameters.get('request') !== undefined)
    throw new OAuthError('request_not_supported', 'request is not supported.')
  if (parameters.get('request_uri') !== undefined) {
    throw new OAuthError('request_uri_not_supported', 'request_uri is not supported.')
  }
}

/** PKCE, S256 only (RFC 7636 §4.2, OAuth 2.1 §4.1.1): without a method it would be `plain`. */
function readChallenge(parameters: Parameters): string {
  const challenge = parameters.get('code_challenge')
  if (challenge === undefined) throw new OAuthError('invalid_request', 'code_challenge is missing: PKCE is required.')
  if (parameters.get('code_challenge_method') !== 'S256') {
    throw new OAuthError('invalid_request', 'code_challenge_method must be S256.')
  }
  if (!/^[\w-]{43}$/.test(challenge))
    throw new OAuthError('invalid_request', 'code_challenge must be 43 characters of base64url.')
  return challenge
}

function stateOf(parameters: Parameters): { state?: string } {
  const state = parameters.get('state')
  return state === undefined ? {} : { state }
}
