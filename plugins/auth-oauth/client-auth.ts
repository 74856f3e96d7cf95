import type { Client, Clients } from './clients.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parameters } from './parameters.ts'
import { digest, isSame } from './secret.ts'

interface Credentials {
  readonly id: string
  readonly secret?: string
  readonly basic: boolean
}

/**
 * Authenticates the client of a token or revocation request (RFC 6749 §2.3, OAuth 2.1 §2.4): by `Authorization: Basic`, by
 * `client_secret` in the body, or as a public client by `client_id` alone. Throws `invalid_client` (401) or `invalid_request`.
 */
export async function authenticateClient(request: Request, form: Parameters, clients: Clients): Promise<Client> {
  const { id, secret, basic } = credentialsOf(request, form)
  const headers = basic ? { 'www-authenticate': 'Basic realm="mcp"' } : {}
  const refuse = (reason: string): OAuthError =>
    new OAuthError('invalid_client', 'The client is unknown, or its secret is wrong.', { headers, reason })
  const client = await clients.find(id)
  if (client === undefined) throw refuse('unknown client')
  if (client.secretDigest === undefined) {
    // A public client that sends a secret has mistaken itself for another.
    if (secret !== undefined) throw refuse('a secret for a public client')
    return client
  }
  if (secret === undefined || !isSame(client.secretDigest, digest(secret))) throw refuse('wrong or missing secret')
  return client
}

function credentialsOf(request: Request, form: Parameters): Credentials {
  const header = request.headers.get('authorization')
  const [id, secret] = [form.get('client_id'), form.get('client_secret')]
  if (header !== null && /^basic /i.test(header)) {
    if (secret !== undefined) throw new OAuthError('invalid_request', 'The client authenticates in two ways at once.')
    const basic = readBasic(header)
    if (basic === undefined) {
      throw new OAuthError('invalid_client', 'The Authorization header is malformed.', {
        headers: { 'www-authenticate': 'Basic realm="mcp"' },
      })
    }
    if (id !== undefined && id !== basic.id) throw new OAuthError('invalid_request', 'Two client_ids are given.')
    return { ...basic, basic: true }
  }
  if (id === undefined) throw new OAuthError('invalid_client', 'client_id is missing.')
  return { id, ...(secret !== undefined && { secret }), basic: false }
}

/** Both parts are form-encoded before they are joined (RFC 6749 §2.3.1). */
function readBasic(header: string): { id: string; secret?: string } | undefined {
  const text = Buffer.from(header.slice('basic '.length).trim(), 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 1) return undefined
  try {
    const [id, secret] = [text.slice(0, colon), text.slice(colon + 1)].map((part) =>
      decodeURIComponent(part.replaceAll('+', ' ')),
    )
    return id === undefined ? undefined : { id, ...(secret !== undefined && secret !== '' && { secret }) }
  } catch {
    return undefined
  }
}
