import type { JsonValue, Route } from '../../core/index.ts'
import { isSame, SourceError, type Identified, type IdentitySource } from '../auth-oauth/index.ts'
import type { Account, Accounts } from './accounts.ts'
import type { Attempts } from './attempts.ts'
import { LOGIN_PATH } from './login.ts'

export interface LocalSourceOptions {
  /** The proxy's own origin: it is the issuer of its people's identities. */
  readonly issuer: string
  readonly accounts: Accounts
  readonly attempts: Attempts
  readonly routes: readonly Route[]
}

/** Vouches for people who gave their password at the proxy's own page. */
export function localSource({ issuer, accounts, attempts, routes }: LocalSourceOptions): IdentitySource {
  /** A login is good as long as the password it was made with. */
  function vouchFor({ id: subject, email, stamp }: Account): Identified {
    return { identity: { issuer, subject, email, emailVerified: true }, kept: { account: email, stamp } }
  }

  return {
    name: 'the login page',
    routes,

    async begin(attempt) {
      const id = await attempts.open(attempt)
      return { url: `${issuer}${LOGIN_PATH}?attempt=${id}` }
    },

    async finish({ url, state }) {
      const code = url.searchParams.get('code')
      const proof = code === null ? undefined : await attempts.redeem(code)
      if (proof === undefined) throw new SourceError('denied', 'the code is unknown, too old or used')
      if (!isSame(proof.state, state)) throw new SourceError('denied', 'the code belongs to another login')
      const account = await accounts.find(proof.email)
      if (account?.id !== proof.id || !isSame(account.stamp, proof.stamp)) {
        throw new SourceError('denied', 'the account was removed, or got another password, meanwhile')
      }
      return vouchFor(account)
    },

    async refresh(kept) {
      const { account: email, stamp } = read(kept)
      const account = await accounts.find(email)
      if (account === undefined) throw new SourceError('ended', 'the account was removed')
      if (!isSame(account.stamp, stamp)) throw new SourceError('ended', 'the account has another password')
      return vouchFor(account)
    },
  }
}

function read(kept: JsonValue): { readonly account: string; readonly stamp: string } {
  const { account, stamp } = (kept ?? {}) as { readonly account?: unknown; readonly stamp?: unknown }
  if (typeof account === 'string' && typeof stamp === 'string') return { account, stamp }
  throw new SourceError('ended', 'the login was not made at the login page')
}
