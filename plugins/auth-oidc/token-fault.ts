import { errors } from 'jose'
import { reasonOf } from '../../core/index.ts'

/** A token of the provider's is not what it should be. */
export interface TokenFault extends Error {
  readonly name: 'TokenFault'
  /** It may be good: the key it is signed with is not known (yet). */
  readonly keyUnknown: boolean
  /** Its signature is of a kind that proves nothing. */
  readonly algorithm: boolean
}

/** Names the token in what jose has to say of it; other errors, such as those of the network, stay as they are. */
export function faultIn(token: string, error: unknown): unknown {
  if (!(error instanceof errors.JOSEError)) return error
  return Object.assign(new Error(`its ${token} is refused: ${reasonOf(error)}`, { cause: error }), {
    name: 'TokenFault',
    keyUnknown: error instanceof errors.JWKSNoMatchingKey,
    algorithm: error instanceof errors.JOSEAlgNotAllowed,
  })
}

export function isTokenFault(error: unknown): error is TokenFault {
  return error instanceof Error && error.name === 'TokenFault'
}
