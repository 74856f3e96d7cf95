import type { Store } from '../../core/index.ts'
import { newId } from '../auth-oauth/index.ts'

/** Somebody with a password here. */
export type Account = {
  /** Who it is, for ever: another account with the same e-mail address is another person. */
  readonly id: string
  /** As `normaliseEmail` writes it. */
  readonly email: string
  readonly hash: string
  /** Another one with each password: what was proved with an older one is void. */
  readonly stamp: string
  /** Milliseconds since the epoch. */
  readonly created: number
}

/** Accounts by e-mail address; in the store alone, so that several processes may change them. */
export interface Accounts {
  find(email: string): Promise<Account | undefined>
  /** Resolves false when there is one by now. */
  create(email: string, hash: string): Promise<boolean>
  /** Resolves whether there is an account whose password could be replaced. */
  setPassword(email: string, hash: string): Promise<boolean>
  /** Resolves whether there was one. */
  remove(email: string): Promise<boolean>
  all(): Promise<readonly Account[]>
  isEmpty(): Promise<boolean>
}

const COLLECTION = 'account'

export function createAccounts(store: Store): Accounts {
  const keyOf = (email: string): string => `${COLLECTION}:${email}`

  return {
    find: (email) => store.get<Account>(keyOf(email)),

    async create(email, hash) {
      const account: Account = { id: newId(), email, hash, stamp: newId(), created: Date.now() }
      const there = await store.update<Account>(keyOf(email), (current) => current ?? account)
      return there?.id === account.id
    },

    async setPassword(email, hash) {
      const after = await store.update<Account>(
        keyOf(email),
        (current) => current && { ...current, hash, stamp: newId() },
      )
      return after !== undefined
    },

    remove: async (email) => (await store.take<Account>(keyOf(email))) !== undefined,

    async all() {
      const accounts: Account[] = []
      for await (const [, account] of store.scan<Account>(COLLECTION)) accounts.push(account)
      return accounts
    },

    async isEmpty() {
      for await (const _ of store.scan(COLLECTION)) return false
      return true
    },
  }
}
