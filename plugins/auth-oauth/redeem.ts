import type { Client } from './clients.ts'
import type { Code } from './codes.ts'
import { lastMoment, tokensFor, isRefreshable, type TokenResponse } from './token-response.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parameters } from './parameters.ts'
import type { Parts } from './parts.ts'
import { digest, isSame } from './secret.ts'
import type { Login } from './logins.ts'
import { checkUser } from './user-check.ts'

/**
 * The authorization code grant (RFC 6749 §4.1.3, OAuth 2.1 §4.1.3). Everything is checked before the code is redeemed, so that
 * nobody can burn the code of another with a client id that is no secret.
 */
export async function redeemCode(parts: Parts, client: Client, form: Parameters): Promise<TokenResponse> {
  const { codes, logins, clients, logger } = parts
  const text = form.get('code')
  if (text === undefined) throw new OAuthError('invalid_request', 'code is missing.')
  const verifier = readVerifier(form)
  const code = await codes.find(text)
  if (code === undefined) throw invalid('unknown, expired or burned')
  checkClient(code, client)
  checkRedirectUri(code, form)
  if (!isSame(code.challenge, digest(verifier))) {
    if (code.spentBy === undefined) await codes.fail(text)
    throw invalid('wrong code_verifier')
  }
  if (code.spentBy !== undefined) throw await replayed(parts, code)
  const login = await logins.find(code.login)
  if (login === undefined) throw invalid('the login has ended')
  const opened = await openLogin(parts, login)
  // The code last: should anything before it fail, the client can try again.
  if (!(await codes.redeem(text))) throw await replayed(parts, code)
  await clients.touch(client)
  logger.debug('code redeemed', { client: client.id, login: opened.id })
  return tokensFor(parts, opened)
}

/** Client and verifier are right: the code was stolen before, or is stolen now (RFC 6749 §4.1.2). */
async function replayed({ settings, end }: Parts, code: Code): Promise<OAuthError> {
  if (settings.codeReplay === 'revoke') await end(code.login, 'its authorization code was redeemed twice')
  return invalid('redeemed before')
}

/** From here on the login lives as long as logins do. */
async function openLogin(parts: Parts, login: Login): Promise<Login> {
  const { logins, settings, now } = parts
  await checkUser(parts, login)
  const until = isRefreshable(login) ? Math.min(now() + settings.idleLife, login.expires) : lastMoment(login)
  const opened = await logins.change(login.id, (seen) => ({ ...seen, redeemed: true, idleExpires: until }), until)
  if (opened === undefined) throw invalid('the login has ended')
  return opened
}

/** RFC 7636 §4.1. */
function readVerifier(form: Parameters): string {
  const verifier = form.get('code_verifier')
  if (verifier !== undefined && /^[\w.~-]{43,128}$/.test(verifier)) return verifier
  throw new OAuthError('invalid_request', 'code_verifier is missing or malformed.')
}

function checkClient(code: Code, client: Client): void {
  if (code.client !== client.id) throw invalid('issued to another client')
}

/** Where it is given it has to be the one that was used (RFC 6749 §4.1.3); OAuth 2.1 no longer asks for it. */
function checkRedirectUri(code: Code, form: Parameters): void {
  const uri = form.get('redirect_uri')
  if (uri !== undefined && uri !== code.redirectUri) throw invalid('another redirect_uri')
}

function invalid(reason: string): OAuthError {
  return new OAuthError('invalid_grant', 'The authorization code is invalid.', { reason })
}
