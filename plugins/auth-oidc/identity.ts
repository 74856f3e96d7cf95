import type { JWTPayload } from 'jose'
import { SourceError, type Identity } from '../auth-oauth/index.ts'
import type { Claims } from './check.ts'
import type { OidcSettings } from './settings.ts'

/** Where a provider may have put what it knows of a person. */
interface Said {
  readonly email: string
  readonly verified: unknown
}

/**
 * Who it is: the ID token's subject, and an e-mail address from the ID token, from the claim that is named in the settings, or from
 * userinfo (OpenID Connect Core §5.3), asked only where neither has one. An address nobody has verified does not count.
 */
export async function identityOf(
  { id, access }: { readonly id: JWTPayload; readonly access: Claims['access'] },
  { emailClaim, trustEmail }: Pick<OidcSettings, 'emailClaim' | 'trustEmail'>,
  userinfo: (subject: string) => Promise<Readonly<Record<string, unknown>>>,
): Promise<Identity> {
  const { iss: issuer = '', sub: subject = '' } = id
  let more: Readonly<Record<string, unknown>> = {}
  let said = emailIn(id) ?? claimedIn(emailClaim, id, access)
  if (said === undefined) said = emailIn((more = await userinfo(subject)))
  if (said === undefined) {
    throw new SourceError(
      'denied',
      'it gave no e-mail address: ask for the scope "email", or name a claim that holds it',
    )
  }
  if (said.verified !== true && !(trustEmail && (said.verified === undefined || said.verified === 'true'))) {
    throw new SourceError('denied', 'it does not say that the e-mail address is verified (email_verified)')
  }
  const name = [id['name'], more['name']].find((value) => typeof value === 'string')
  return { issuer, subject, email: said.email, emailVerified: true, ...(typeof name === 'string' && { name }) }
}

/** Who it is now, at a refresh: an address is believed again where nothing new is said of it. */
export async function identityAgain(
  { id, access }: Claims,
  settings: Pick<OidcSettings, 'emailClaim' | 'trustEmail'>,
  before: Identity,
): Promise<Identity> {
  if (id === undefined) return before
  const { email, emailVerified, name } = before
  return identityOf({ id, access }, settings, async () => ({ email, email_verified: emailVerified, name }))
}

function emailIn(claims: Readonly<Record<string, unknown>>): Said | undefined {
  const { email, email_verified: verified } = claims
  return typeof email === 'string' && email !== '' ? { email, verified } : undefined
}

/** A claim of the operator's own, verified if `<claim>_verified` or `email_verified` beside it says so. */
function claimedIn(claim: string | undefined, ...tokens: readonly (JWTPayload | undefined)[]): Said | undefined {
  if (claim === undefined) return undefined
  for (const token of tokens) {
    const email = token?.[claim]
    if (typeof email !== 'string' || email === '') continue
    return { email, verified: token?.[`${claim}_verified`] ?? token?.['email_verified'] }
  }
  return undefined
}
