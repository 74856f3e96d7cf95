import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { SourceError } from '../auth-oauth/index.ts'
import { faultIn } from './token-fault.ts'

/** Signatures that need the provider's private key; nothing symmetric, nothing unsigned. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
/** How far (s) two clocks may be apart. */
const SKEW = 30

export interface Expected {
  readonly issuer: string
  readonly keys: JWTVerifyGetKey
  readonly now: () => number
}

/**
 * Checks an ID token (OpenID Connect Core §3.1.3.7): signature, issuer, audience, authorized party, times, and the nonce of the
 * attempt, absent at a refresh. Rejects `TokenFault`.
 */
export async function verifyIdToken(
  token: string,
  { clientId, nonce, ...expected }: Expected & { readonly clientId: string; readonly nonce?: string },
): Promise<JWTPayload> {
  try {
    const payload = await verify(token, clientId, expected, ['sub', 'exp', 'iat'])
    const { azp, aud } = payload
    const several = Array.isArray(aud) && aud.length > 1
    if ((azp !== undefined || several) && azp !== clientId) throw unlike('azp', payload)
    if (nonce !== undefined && payload['nonce'] !== nonce) throw unlike('nonce', payload)
    return payload
  } catch (error) {
    throw faultIn('ID token', error)
  }
}

/**
 * Checks an access token for an audience: it has to be a JWT for it (RFC 9068 §4), else the provider was not told of the audience,
 * or does not know it. Rejects `TokenFault`, or `SourceError` `misconfigured` with this advice.
 */
export async function verifyAccessToken(
  token: string,
  { audience, advice, ...expected }: Expected & { readonly audience: string; readonly advice: string },
): Promise<JWTPayload> {
  if (token.split('.').length !== 3) throw otherAudience('it is opaque, no JWT', advice)
  try {
    return await verify(token, audience, expected, ['exp'])
  } catch (error) {
    if (!(error instanceof errors.JWTClaimValidationFailed) || error.claim !== 'aud')
      throw faultIn('access token', error)
    throw otherAudience(`it is for ${JSON.stringify(error.payload.aud ?? 'nobody').slice(0, 200)}`, advice)
  }
}

async function verify(
  token: string,
  audience: string,
  { issuer, keys, now }: Expected,
  requiredClaims: string[],
): Promise<JWTPayload> {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: ALGORITHMS,
    issuer,
    audience,
    requiredClaims,
    clockTolerance: SKEW,
    currentDate: new Date(now()),
  })
  return payload
}

function unlike(claim: string, payload: JWTPayload): Error {
  return new errors.JWTClaimValidationFailed(`unexpected "${claim}" claim value`, payload, claim, 'check_failed')
}

function otherAudience(what: string, advice: string): SourceError {
  return new SourceError('misconfigured', `its access token is not for this proxy, ${what}: ${advice}`)
}
