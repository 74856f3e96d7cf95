import { z } from 'zod'
import type { Client } from '../clients.ts'
import { displayName } from '../display-name.ts'
import { DocumentError } from './document-error.ts'

const schema = z.object({
  client_id: z.string(),
  client_name: z.string().nullish(),
  redirect_uris: z.array(z.string()).min(1).max(50),
  token_endpoint_auth_method: z.string().nullish(),
  token_endpoint_auth_methods_supported: z.array(z.string()).nullish(),
  client_secret: z.unknown().optional(),
  client_secret_expires_at: z.unknown().optional(),
})

/** A client as its metadata document describes it, its redirect URIs as they stand there. */
export type DocumentedClient = Omit<Client, 'created'>

/**
 * A client as its metadata document describes it. The document has to name its own URL to the letter, else it could be
 * somebody's copy; a secret cannot be in a public document (draft-ietf-oauth-client-id-metadata-document §4). Throws
 * `DocumentError`.
 */
export function clientIn(document: unknown, url: URL): DocumentedClient {
  const parsed = schema.safeParse(document)
  if (!parsed.success)
    throw refused(`its ${parsed.error.issues[0]?.path.join('.') || 'content'} is missing or of the wrong type`)
  const { client_id: id, client_name, redirect_uris: redirectUris, ...rest } = parsed.data
  if (id !== url.href) throw refused('its client_id is not its own address')
  if (rest.client_secret !== undefined || rest.client_secret_expires_at !== undefined)
    throw refused('it holds a secret')
  const { token_endpoint_auth_method: method, token_endpoint_auth_methods_supported: methods } = rest
  if (!isPublic(method, methods)) throw refused('its token_endpoint_auth_method is not "none"')
  const name = displayName(client_name ?? undefined)
  return { id, ...(name !== undefined && { name }), redirectUris, authMethod: 'none', source: 'cimd' }
}

/**
 * Whether a client can do without a secret; one that would rather use a key of its own may say that it can (as
 * ChatGPT's does).
 */
function isPublic(method: string | null | undefined, methods: readonly string[] | null | undefined): boolean {
  if (method === 'private_key_jwt') return methods?.includes('none') === true
  return (method ?? 'none') === 'none'
}

function refused(what: string): DocumentError {
  return new DocumentError(what, false)
}
