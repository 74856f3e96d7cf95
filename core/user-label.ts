import type { Principal } from './auth.ts'
import type { ResolvedConfig } from './config/resolved.ts'
import type { Keys } from './keys.ts'

export type UserLabel = (user: Pick<Principal, 'id' | 'email'>) => string

/** How users appear in the log: by e-mail (by id where there is none), or by a pseudonym that only the key ring can tell. */
export function createUserLabel({ user }: ResolvedConfig['log'], keys: Keys): UserLabel {
  if (user === 'email') return ({ id, email }) => email ?? id
  return ({ id, email }) => keys.mac('lookup', `user ${email ?? id}`).slice(0, 16)
}
