import { AuthError, isProxyError, type AuthProvider, type Awaitable, type Principal } from '../../core/index.ts'
import { mayUse, type AccessClaims } from './access-token.ts'
import { challengeOf, invalidToken, unauthenticated } from './challenge.ts'
import { principalOf as newPrincipal, type Login } from './logins.ts'
import { createMemory } from './memory.ts'
import type { Parts } from './parts.ts'
import { SCOPE } from './site.ts'

/** Tokens whose signature was checked already are remembered, up to so many. */
const REMEMBERED = 10_000

type BearerOptions = Pick<Parts, 'site' | 'accessTokens' | 'logins' | 'end' | 'permissions' | 'now'>

/** Recognises callers by their access token (RFC 6750 §2.1): its signature, then the login it comes from. */
export function createBearer({ site, accessTokens, logins, end, permissions, now }: BearerOptions): AuthProvider {
  /** By the whole Authorization header: for one that was seen before, nothing has to be taken apart. */
  const checked = createMemory<AccessClaims>(REMEMBERED)
  /** One principal for each login, as long as that stays as it is. */
  const principals = new WeakMap<Login, Principal>()

  /** A signature holds for ever; only the end of a token has to be looked at each time. */
  function claimsOf(header: string): AccessClaims | undefined {
    const known = checked.get(header)
    if (known === undefined || known.expires > now()) return known
    checked.delete(header)
    return undefined
  }

  async function verify(header: string): Promise<AccessClaims | undefined> {
    const token = tokenIn(header)
    const claims = token === undefined ? undefined : await accessTokens.verify(token)
    if (claims === undefined) return undefined
    checked.set(header, claims)
    return claims
  }

  async function lookUp(header: string): Promise<Principal | undefined> {
    const claims = await verify(header)
    return claims && identify(claims)
  }

  /** At once where the login was read a moment ago. */
  function identify(claims: AccessClaims): Awaitable<Principal | undefined> {
    const login = logins.glance(claims.login)
    if (login === undefined || !('then' in login)) return principalOf(claims, login)
    return whenRead(login).then((read) => principalOf(claims, read))
  }

  async function whenRead(login: PromiseLike<Login | undefined>): Promise<Login | undefined> {
    try {
      return await login
    } catch (error) {
      // Not 401: clients would throw their tokens away because a disk is full.
      if (!isProxyError(error)) throw error
      throw new AuthError(503, 'Logins cannot be read for now; try again later.', { 'retry-after': '5' })
    }
  }

  function principalOf(claims: AccessClaims, login: Login | undefined): Principal | undefined {
    if (login?.client !== claims.client || !login.redeemed) return undefined
    if (mayUse(claims)) return principalFor(login)
    const what = `Bearer error="insufficient_scope", ${challengeOf(site)}`
    throw new AuthError(403, `The token lacks the scope ${SCOPE}.`, { 'WWW-Authenticate': what })
  }

  function principalFor(login: Login): Principal {
    let principal = principals.get(login)
    if (principal === undefined) principals.set(login, (principal = newPrincipal(login)))
    return principal
  }

  return {
    authenticate(request) {
      const header = request.headers.get('authorization')
      if (header === null) return undefined
      // At once for a token that was seen a moment ago: it stands before every call.
      const claims = claimsOf(header)
      return claims === undefined ? lookUp(header) : identify(claims)
    },

    challenge: (request) => (request.headers.has('authorization') ? invalidToken(site) : unauthenticated(site)),

    isActive: async ({ login }) => login === undefined || (await logins.glance(login)) !== undefined,

    async refuse({ login }) {
      // Where that cannot be written it is tried again the next time; refused it is in any case.
      if (login !== undefined) await end(login, 'the user is not on the list').catch(() => undefined)
      return new AuthError(401, 'The access token is no longer valid.', invalidToken(site))
    },

    async review() {
      try {
        for await (const login of logins.all()) {
          if ((await permissions(newPrincipal(login))) === undefined) await end(login.id, 'the user is not on the list')
        }
      } catch (error) {
        // Nobody can say for now: nothing is over.
        if (!isProxyError(error, 'ERR_PROXY_AUTH')) throw error
      }
    },
  }
}

/** The token of a well-formed `Authorization: Bearer`. In a query or a body none is looked for. */
function tokenIn(header: string): string | undefined {
  return /^Bearer ([\w.~+/-]+=*)$/i.exec(header)?.[1]
}
