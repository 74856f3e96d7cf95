import { AuthError, type AccessPolicy, type Permissions, type Principal } from '../../core/index.ts'
import { normaliseEmail } from './email.ts'
import { SUBJECT } from './key.ts'
import type { PermissionList } from './permissions.ts'

/** How many addresses are remembered with their normalised form. */
const REMEMBERED = 1000

/** An access policy that answers at once. */
export interface UserPolicy extends AccessPolicy {
  permissions(principal: Pick<Principal, 'subject' | 'email'>): Permissions | undefined
}

/**
 * Finds principals on the list that `current` gives: by the identity provider's id first, then by e-mail address. Throws
 * `AuthError` 503 while there is no list.
 */
export function createPolicy(current: () => PermissionList | undefined): UserPolicy {
  const normalised = new Map<string, string | undefined>()

  function keyOf(email: string): string | undefined {
    if (normalised.has(email)) return normalised.get(email)
    if (normalised.size >= REMEMBERED) normalised.clear()
    const key = normaliseEmail(email)
    // What is no address may be of any length.
    if (key !== undefined) normalised.set(email, key)
    return key
  }

  return {
    permissions({ subject, email }) {
      const users = current()
      if (users === undefined) {
        throw new AuthError(503, 'Who may use this server cannot be said for now; try again later.', {
          'retry-after': '5',
        })
      }
      const bySubject = typeof subject === 'string' ? users.get(SUBJECT + subject) : undefined
      if (bySubject !== undefined) return bySubject
      const key = email === undefined ? undefined : keyOf(email)
      return key === undefined ? undefined : users.get(key)
    },
  }
}
