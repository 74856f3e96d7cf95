import type { Store } from '../../core/index.ts'
import type { LoginUser } from './logins.ts'

/** Which person an e-mail address belonged to when it first logged in. */
export interface Pins {
  /** Whether it is the same person; one that nobody has used yet becomes this person's. */
  isSame(user: LoginUser): Promise<boolean>
}

/** `life`: how long (ms) after its last login an address is no longer anybody's. Lists name e-mail addresses, and a provider with several connections may give one address to two people. */
export function createPins(store: Store, life: number): Pins {
  return {
    async isSame({ id, email }) {
      if (email === undefined) return true
      const key = `pin:${email.toLowerCase()}`
      if ((await store.update<string>(key, (known) => known ?? id)) !== id) return false
      await store.put(key, id, { ttl: life })
      return true
    },
  }
}
