import type { Keys } from '../../core/index.ts'
import type { Login, Logins } from './logins.ts'

const PREFIX = 'mrt1'
const FORM = /^mrt1\.([\w-]{22})\.(0|[1-9]\d{0,8})\.([\w-]{43})$/

/** What a refresh token says of itself; believed only once `isGenuine` has looked. */
interface RefreshClaims {
  readonly login: string
  readonly generation: number
  readonly mac: string
}

/**
 * Refresh tokens that authenticate themselves: an old one is provably old, a forged one nothing at all, and the current one can
 * be made again without having been kept.
 */
export interface RefreshTokens {
  /** The token of the login's current generation. */
  issue(login: Login): string
  parse(token: string): RefreshClaims | undefined
  isGenuine(claims: RefreshClaims, login: Login): boolean
}

export function createRefreshTokens(keys: Keys): RefreshTokens {
  const textOf = ({ id, client, salt }: Login, generation: number): string =>
    JSON.stringify([id, generation, client, salt])

  return {
    issue(login) {
      const { id, generation } = login
      return `${PREFIX}.${id}.${generation}.${keys.mac('refresh-mac', textOf(login, generation))}`
    },
    parse(token) {
      const [, login, generation, mac] = FORM.exec(token) ?? []
      if (login === undefined || generation === undefined || mac === undefined) return undefined
      return { login, generation: Number(generation), mac }
    },
    isGenuine: ({ generation, mac }, login) => keys.verify('refresh-mac', textOf(login, generation), mac),
  }
}

/** The living login that a genuine token belongs to, with the token's generation; or why there is none, for the log. */
export async function loginOf(
  token: string,
  { refreshTokens, logins }: { readonly refreshTokens: RefreshTokens; readonly logins: Pick<Logins, 'find'> },
): Promise<{ readonly login: Login; readonly generation: number } | string> {
  const claims = refreshTokens.parse(token)
  const login = claims && (await logins.find(claims.login))
  if (claims === undefined || login === undefined) return 'unknown, or its login has ended'
  return refreshTokens.isGenuine(claims, login) ? { login, generation: claims.generation } : 'forged'
}
