import type { Client } from './clients.ts'
import type { Login } from './logins.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parameters } from './parameters.ts'
import type { Parts } from './parts.ts'
import { loginOf } from './refresh-token.ts'
import { rotate } from './rotation.ts'
import { narrowScope } from './scope.ts'
import { tokensFor, type TokenResponse } from './token-response.ts'
import { checkAccount, checkUser } from './user-check.ts'

/** How long (ms) a refresh token that was replaced is still answered, with its successor: clients refresh twice at once, and lose answers. */
const GRACE = 60_000
/** How many generations back. */
const DEPTH = 3

/** The refresh token grant (RFC 6749 §6) with rotation (OAuth 2.1 §4.3.1). */
export async function refresh(parts: Parts, client: Client, form: Parameters): Promise<TokenResponse> {
  const { login, generation } = await authenticate(parts, client, form)
  const scopes = narrowScope(form.get('scope'), login.scopes)
  await checkUser(parts, login)
  const current = login.generation === generation ? await rotate(parts, login) : await replay(parts, login, generation)
  // The source may have told of another e-mail address by now.
  if (current.user.email !== login.user.email) {
    await checkUser(parts, current)
    await checkAccount(parts, current)
  }
  await parts.clients.touch(client)
  return tokensFor(parts, current, scopes)
}

/** The login a refresh token belongs to; nothing but a genuine token of this client gets further. */
async function authenticate(parts: Parts, client: Client, form: Parameters) {
  const token = form.get('refresh_token')
  if (token === undefined) throw new OAuthError('invalid_request', 'refresh_token is missing.')
  const found = await loginOf(token, parts)
  if (typeof found === 'string') throw invalid(found)
  const { login, generation } = found
  if (login.client !== client.id) throw invalid('issued to another client')
  if (!login.redeemed || generation > login.generation) throw invalid('never issued')
  return found
}

/** A token that was replaced: within the grace its successor is given again, later somebody has stolen one of the two (RFC 9700 §4.14.2). */
async function replay(parts: Parts, login: Login, generation: number): Promise<Login> {
  const { now, logger, end } = parts
  const replaced = login.rotations.find((rotation) => rotation.generation === generation)
  const inTime = replaced !== undefined && now() - replaced.at <= GRACE && login.generation - generation <= DEPTH
  if (inTime) {
    logger.debug('refresh token given again', { client: login.client, login: login.id, generation })
    return login
  }
  logger.warn('a refresh token was used again long after it was replaced: one of its holders has stolen it', {
    event: 'refresh-reuse',
    user: parts.userLabel(login.user),
    client: login.client,
    login: login.id,
  })
  await end(login.id, 'a replaced refresh token was used again')
  throw invalid('used again')
}

function invalid(reason: string): OAuthError {
  return new OAuthError('invalid_grant', 'The refresh token is invalid.', { reason })
}
