import { createRateLimit, digest, networkOf } from '../auth-oauth/index.ts'

/** Passwords one address may try for one e-mail address, and all addresses together. */
const ONE_ADDRESS = { burst: 10, perMinute: 2 }
const ALL_ADDRESSES = { burst: 50, perMinute: 5 }

/** Holds back who guesses passwords, whether there is such an account or not. In this process only. */
export interface Tries {
  /** Counts one, before its password is looked at; resolves how long (s) to wait if there were too many, else 0. */
  take(email: string, address: string): number
  /** The password was right: it was no guess. */
  give(email: string, address: string): void
}

export function createTries(now: () => number): Tries {
  const oneAddress = createRateLimit(ONE_ADDRESS, now)
  const allAddresses = createRateLimit(ALL_ADDRESSES, now)
  const both = (email: string, address: string): string => digest(JSON.stringify([email, networkOf(address)]))
  return {
    give(email, address) {
      oneAddress.give(both(email, address))
      allAddresses.give(digest(email))
    },
    take(email, address) {
      // What one address may not do does not count for the others: alone it cannot keep anybody out.
      return oneAddress.take(both(email, address)) || allAddresses.take(digest(email))
    },
  }
}
