import { SignJWT, jwtVerify, errors } from 'jose'
import type { Keys } from '../../core/index.ts'
import type { Clock } from './clock.ts'
import type { Login } from './logins.ts'
import { newId } from './secret.ts'
import { SCOPE, type Site } from './site.ts'

const ALGORITHM = 'HS256'
const TYPE = 'at+jwt'
/** Longest token that is looked at. */
const LONGEST = 4096
/** No token gets older (s): the longest life that can be set. */
const OLDEST = 86_400

/** What an access token says that matters here. */
export interface AccessClaims {
  readonly login: string
  readonly client: string
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch. */
  readonly expires: number
}

/** Makes and checks our own access tokens: JWTs (RFC 9068) that only this proxy reads. */
export interface AccessTokens {
  /** `life` in ms. */
  issue(login: Login, scopes: readonly string[], life: number): Promise<string>
  /** `undefined` for anything that is not a token of ours, for this resource, now. Fetches nothing and never throws. */
  verify(token: string): Promise<AccessClaims | undefined>
}

export function createAccessTokens(keys: Keys, { issuer, resource }: Site, now: Clock): AccessTokens {
  const ring = keys.subKeys('jwt')
  const byId = new Map(ring.map(({ kid, key }) => [kid, key]))
  const [active] = ring
  if (active === undefined) throw new Error('unreachable: the key ring is not empty')

  return {
    async issue(login, scopes, life) {
      const seconds = Math.floor(now() / 1000)
      const claims = { client_id: login.client, scope: scopes.join(' '), gid: login.id }
      return new SignJWT(claims)
        .setProtectedHeader({ alg: ALGORITHM, kid: active.kid, typ: TYPE })
        .setIssuer(issuer)
        .setAudience(resource)
        .setSubject(login.user.id)
        .setIssuedAt(seconds)
        .setNotBefore(seconds)
        .setExpirationTime(seconds + Math.max(1, Math.floor(life / 1000)))
        .setJti(newId())
        .sign(active.key)
    },

    async verify(token) {
      if (token.length > LONGEST) return undefined
      try {
        const { payload } = await jwtVerify(token, ({ kid }) => keyOf(byId, kid), {
          algorithms: [ALGORITHM],
          typ: TYPE,
          issuer,
          audience: resource,
          requiredClaims: ['exp', 'iat', 'nbf', 'jti', 'sub', 'gid', 'client_id', 'scope'],
          // Together with a look at `iat`: one of the future is as wrong as one long past.
          maxTokenAge: OLDEST,
          clockTolerance: 5,
          currentDate: new Date(now()),
        })
        const { gid, client_id: client, scope, exp } = payload
        if (typeof gid !== 'string' || typeof client !== 'string' || typeof scope !== 'string') return undefined
        return { login: gid, client, scopes: scope.split(' '), expires: (exp ?? 0) * 1000 }
      } catch {
        return undefined
      }
    },
  }
}

/** A key of the ring, by its id; nothing is ever looked up elsewhere. */
function keyOf(ring: ReadonlyMap<string, Uint8Array>, kid: unknown): Uint8Array {
  const key = typeof kid === 'string' ? ring.get(kid) : undefined
  if (key === undefined) throw new errors.JWKSNoMatchingKey()
  return key
}

/** Whether a token was given the right to use the endpoint. */
export function mayUse({ scopes }: AccessClaims): boolean {
  return scopes.includes(SCOPE)
}
