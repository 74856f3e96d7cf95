import assert from 'node:assert/strict'
import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { AuthError, AuthProvider, Awaitable, Principal } from '../../core/index.ts'
import { reasonOf } from '../../core/index.ts'
import { isAuthError } from '../../core/errors.ts'
import type { Made } from '../contract.ts'
import { keepsSecrets } from '../secrets.ts'

/** A provider, and requests to show it. */
export interface MadeAuth extends Made {
  readonly provider: AuthProvider
  /** Each makes a request of somebody it knows, anew each time, and each of somebody else; at least one. */
  readonly known: readonly (() => Awaitable<Request>)[]
  /** Requests with credentials of its kind that must not pass: ended, for another server, a wrong password. */
  readonly wrong?: readonly (() => Awaitable<Request>)[]
  /** What must reach no client: keys, passwords. */
  readonly secrets?: readonly string[]
}

/** What a provider says to a request: a principal, nothing, or a refusal. Anything else thrown is passed on as a failure. */
async function ask(provider: AuthProvider, request: Request): Promise<Principal | undefined | AuthError> {
  try {
    return await provider.authenticate(request)
  } catch (error) {
    assert.ok(isAuthError(error), `threw something else than an AuthError: ${String(error)}`)
    return error
  }
}

/** The principal of a request that has to be known. */
export async function recognise(provider: AuthProvider, request: Request): Promise<Principal> {
  const found = await ask(provider, request)
  assert.ok(!isAuthError(found), `a known caller is refused: ${reasonOf(found)}`)
  assert.ok(found !== undefined, 'a known caller is not recognised')
  return found
}

/** Throws unless a request is answered with `undefined` or a refusal. */
export async function letsNobodyIn(made: MadeAuth, request: Request, what: string): Promise<void> {
  const found = await ask(made.provider, request)
  if (isAuthError(found)) checkRefusal(found, made, request)
  else assert.equal(found, undefined, `${what} is let in`)
}

/** A refusal goes to the client as it is. */
export function checkRefusal(error: AuthError, made: Pick<MadeAuth, 'secrets'>, request: Request): void {
  assert.ok([401, 403, 503].includes(error.status), `status ${error.status}`)
  assert.ok(error.message !== '', 'a refusal must say something')
  checkHeaders(error.headers, made, request)
  keepsSecrets(error.message, [...(made.secrets ?? []), ...credentialsOf(request)], 'the message of an AuthError')
}

/** Headers of an answer: legal ones, with a challenge that begins with a scheme (RFC 9110 §11.6.1), and nothing secret in them. */
export function checkHeaders(headers: unknown, { secrets = [] }: Pick<MadeAuth, 'secrets'>, request: Request): void {
  assert.ok(typeof headers === 'object' && headers !== null, 'headers must be an object, at once')
  assert.ok(!('then' in headers), 'headers must be an object, at once: nobody waits for a promise')
  for (const [name, value] of Object.entries(headers) as [string, unknown][]) {
    assert.equal(typeof value, 'string', `${name} must be a text`)
    validateHeaderName(name)
    validateHeaderValue(name, value as string)
    if (name.toLowerCase() === 'www-authenticate') assert.match(value as string, /^[\w!#$%&'*+.^`|~-]+(?: \S|$)/)
    keepsSecrets(value as string, [...secrets, ...credentialsOf(request)], `the header ${name}`)
  }
}

/** What a request proves itself with: not to be repeated to anybody. */
function credentialsOf({ headers }: Request): readonly string[] {
  const credentials = headers.get('authorization')?.split(' ').slice(1).join(' ') ?? ''
  const cookies = (headers.get('cookie') ?? '').split(/; ?/).map((pair) => pair.slice(pair.indexOf('=') + 1))
  // Shorter ones stand in everything.
  return [credentials, ...cookies].filter((text) => text.length >= 8)
}
