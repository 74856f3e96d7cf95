import { createHash } from 'node:crypto'
import type { JsonValue, Principal, Store } from '../../core/index.ts'
import type { Clock } from './clock.ts'
import { createMemory } from './memory.ts'
import { newId } from './secret.ts'
import type { Identity } from './source.ts'

/** One approved authorization: the only authority of every token that comes from it. Times in ms since the epoch. */
export interface Login {
  readonly id: string
  readonly client: string
  readonly clientName?: string
  readonly user: LoginUser
  readonly resource: string
  readonly scopes: readonly string[]
  /** Of the current refresh token. */
  readonly generation: number
  /** When each of the last generations was replaced. */
  readonly rotations: readonly { readonly generation: number; readonly at: number }[]
  /** Part of what refresh tokens are authenticated with. */
  readonly salt: string
  /** What the identity source needs to be asked again. */
  readonly kept?: JsonValue
  /** Until when the source stands by it, where it is never asked again. */
  readonly sourceExpires?: number
  readonly created: number
  /** When it ends if it is not refreshed, and when it ends in any case. */
  readonly idleExpires: number
  readonly expires: number
  /** False until its code was redeemed. */
  readonly redeemed: boolean
  /** Somebody is asking the source on behalf of this login, until then. */
  readonly lease?: { readonly by: string; readonly until: number }
}

/** Who has logged in. */
export interface LoginUser {
  /** The principal's id: a pseudonym of issuer and subject. */
  readonly id: string
  readonly subject: string
  readonly email?: string
  readonly name?: string
}

/** As a plain object type: what the store takes. */
type StoredLogin = Omit<Login, 'user'> & { user: { [K in keyof LoginUser]: LoginUser[K] } }

/** Logins with their ends. */
export interface Logins {
  create(login: Omit<Login, 'id' | 'generation' | 'rotations' | 'salt' | 'created'>): Promise<Login>
  /** A living login. */
  find(id: string): Promise<Login | undefined>
  /** Like `find`, but what was read up to 5 s ago will do; for every request. At once where that is so. */
  glance(id: string): Login | undefined | Promise<Login | undefined>
  /**
   * Compare and swap, see `Store.update`; `undefined` from `change` leaves it alone. `until`: when the record ends from now on
   * (ms since the epoch). Resolves what is there afterwards.
   */
  change(id: string, change: (login: Login) => Login | undefined, until?: number): Promise<Login | undefined>
  /** Every living login. */
  all(): AsyncIterable<Login>
  /** Ends a login at once; resolves it, if there was one. */
  end(id: string): Promise<Login | undefined>
}

/** How long (ms) a login that was looked at counts as active, in processes that did not end it themselves. */
const GLANCE = 5000
/** Logins remembered for that. */
const REMEMBERED = 10_000

export function createLogins(store: Store, now: Clock, onend: () => void): Logins {
  const seen = createMemory<{ readonly login: Login; readonly at: number }>(REMEMBERED)
  /** How many have ended here: what was read while one did may be out of date. */
  let ends = 0

  function isOver(login: Login): boolean {
    return Math.min(login.idleExpires, login.expires) <= now()
  }

  async function find(id: string): Promise<Login | undefined> {
    const login = await store.get<StoredLogin>(keyOf(id))
    return login === undefined || isOver(login) ? undefined : login
  }

  async function look(id: string): Promise<Login | undefined> {
    const before = ends
    const login = await find(id)
    if (login === undefined) seen.delete(id)
    else if (ends === before) seen.set(id, { login, at: now() })
    return login
  }

  return {
    async create(login) {
      const whole: StoredLogin = { ...login, id: newId(), generation: 0, rotations: [], salt: newId(), created: now() }
      await store.put(keyOf(whole.id), whole, { ttl: whole.idleExpires - now() })
      return whole
    },

    find,

    glance(id) {
      const last = seen.get(id)
      // Whatever the clock does: what was read "later" is not known to be fresh.
      const age = last === undefined ? GLANCE : now() - last.at
      if (last !== undefined && age >= 0 && age < GLANCE) return isOver(last.login) ? undefined : last.login
      return look(id)
    },

    async change(id, change, until) {
      const after = await store.update<StoredLogin>(
        keyOf(id),
        (login) => (login === undefined || isOver(login) ? login : (change(login) ?? login)),
        until === undefined ? {} : { ttl: until - now() },
      )
      seen.delete(id)
      return after === undefined || isOver(after) ? undefined : after
    },

    async *all() {
      for await (const [, login] of store.scan<StoredLogin>('login')) if (!isOver(login)) yield login
    },

    async end(id) {
      const login = await store.take<StoredLogin>(keyOf(id))
      seen.delete(id)
      ends++
      onend()
      return login
    },
  }
}

function keyOf(id: string): string {
  return `login:${id}`
}

/** The same for the same person at the same issuer, for ever, and telling neither. */
export function userOf({ issuer, subject, email, emailVerified, name }: Identity): LoginUser {
  const id = createHash('sha256')
    .update(JSON.stringify([issuer, subject]))
    .digest('base64url')
    .slice(0, 32)
  return {
    id,
    subject,
    ...(email !== undefined && emailVerified === true && { email }),
    ...(name !== undefined && { name }),
  }
}

/** A login as the proxy's core sees it. */
export function principalOf({ id: login, user, client }: Pick<Login, 'id' | 'user' | 'client'>): Principal {
  return { ...user, client, login, roles: [] }
}
