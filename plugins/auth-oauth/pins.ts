import type { Store } from '../../core/index.ts'
import type { LoginUser } from './logins.ts'

/** Which person an e-mail address belongs to: the first to log in with it, until so long after their last login. */
export interface Pins {
  /** Makes an address that nobody has this person's; resolves whether it is theirs. */
  claim(user: LoginUser): Promise<boolean>
}

/** `life`: how long (ms) after its last login an address is no longer anybody's. Lists name e-mail addresses, and a provider with several connections may give one address to two people. */
export function createPins(store: Store, life: number): Pins {
  return {
    async claim({ id, email }) {
      if (email === undefined) return true
      const key = `pin:${email.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())}`
      if ((await store.update<string>(key, (known) => known ?? id)) !== id) return false
      await store.put(key, id, { ttl: life })
      return true
    },
  }
}
