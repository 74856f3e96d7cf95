import type { Store } from '../../core/index.ts'
import type { LoginUser } from './logins.ts'

/** Which person an e-mail address belonged to when it first logged in. */
export interface Pins {
  /** Whether it is the same person; one that nobody has used yet becomes this person's. */
  isSame(user: LoginUser): Promise<boolean>
}

/** Lists name e-mail addresses, and a provider with several connections may give one address to two people. */
export function createPins(store: Store): Pins {
  return {
    async isSame({ id, email }) {
      if (email === undefined) return true
      return (await store.update<string>(`pin:${email.toLowerCase()}`, (known) => known ?? id)) === id
    },
  }
}
