/** A login at this proxy: what a browser and an OAuth client do between them. */
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'

import { addUser, EVE, walkLogin } from '../test/fixtures/oauth/walk.ts'

const CALLBACK = 'http://localhost:3000/callback'

/** Adds the user on the command line; the proxy's data is below `folder`. */
export function addBenchUser(folder: string): Promise<void> {
  return addUser(EVE, { MCP_DATA_DIR: join(folder, 'data') })
}

/** Logs the user in at the proxy's public origin; resolves with an access token. */
export async function logIn(origin: string): Promise<string> {
  const verifier = randomBytes(32).toString('base64url')
  const metadata = { redirect_uris: [CALLBACK], token_endpoint_auth_method: 'none', client_name: 'bench' }
  const registered = await fetch(`${origin}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(metadata),
  })
  const { client_id = '' } = (await registered.json()) as { client_id?: string }
  const query = new URLSearchParams({
    response_type: 'code',
    client_id,
    redirect_uri: CALLBACK,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  const back = new URL(await walkLogin(`${origin}/authorize?${query.toString()}`, EVE))
  const form = {
    grant_type: 'authorization_code',
    code: back.searchParams.get('code') ?? '',
    code_verifier: verifier,
    client_id,
  }
  const granted = await fetch(`${origin}/token`, { method: 'POST', body: new URLSearchParams(form) })
  const { access_token: token } = (await granted.json()) as { access_token?: string }
  if (token === undefined) throw new Error(`bench: the login failed with ${granted.status}`)
  return token
}
