import type { JsonValue, Store } from '../../core/index.ts'
import type { Clock } from './clock.ts'
import { digest, isSame, newId } from './secret.ts'

/** One authorization request, checked, on its way to a decision. Times in ms since the epoch. */
export interface Authorization {
  readonly client: string
  readonly clientName?: string
  /** Where its metadata document is: a name it has proved to be its own. */
  readonly clientHost?: string
  readonly redirectUri: string
  /** To be handed back to the byte. */
  readonly state?: string
  readonly challenge: string
  readonly scopes: readonly string[]
}

/** One that waits for consent. */
export interface Pending extends Authorization {
  readonly stage: 'new' | 'decided'
  readonly expires: number
}

/** One whose browser was sent to the identity source. */
export interface Departure extends Authorization {
  /** `digest` of the cookie of the browser that approved. */
  readonly bind: string
  readonly kept?: JsonValue
  readonly expires: number
}

type Stored<T> = { -readonly [K in keyof T]: T[K] }

/** How long (ms) somebody may take to decide, and to log in. */
export const CONSENT_LIFE = 15 * 60_000
export const LOGIN_LIFE = 10 * 60_000

/** Authorization requests in their two stages; each stage is passed once. */
export interface Authorizations {
  /** Keeps a request until it is decided; resolves its id. */
  open(authorization: Authorization): Promise<string>
  find(id: string): Promise<Pending | undefined>
  /** Decides: of several who do, one gets it. */
  decide(id: string): Promise<Authorization | undefined>
  /** Keeps an approved request until its browser is back from the source. */
  depart(state: string, departure: Omit<Departure, 'bind' | 'expires'>, cookie: string): Promise<void>
  /** The browser is back: good for one return, whatever comes of it. */
  arrive(state: string): Promise<Departure | undefined>
}

export function createAuthorizations(store: Store, now: Clock): Authorizations {
  const living = <T extends { readonly expires: number }>(record: T | undefined): T | undefined =>
    record === undefined || record.expires <= now() ? undefined : record

  return {
    async open(authorization) {
      const id = newId()
      const pending: Stored<Pending> = { ...authorization, stage: 'new', expires: now() + CONSENT_LIFE }
      await store.put(`authorization:${id}`, pending, { ttl: CONSENT_LIFE })
      return id
    },

    find: async (id) => living(await store.get<Stored<Pending>>(`authorization:${id}`)),

    async decide(id) {
      // Each try has a mark of its own: only the one whose mark is there in the end has decided.
      const mark = newId()
      const after = await store.update<Stored<Pending> & { by?: string }>(`authorization:${id}`, (pending) =>
        pending?.stage === 'new' ? { ...pending, stage: 'decided', by: mark } : pending,
      )
      if (after?.by !== mark || living(after) === undefined) return undefined
      const { stage: _stage, expires: _expires, by: _by, ...authorization } = after
      return authorization
    },

    async depart(state, departure, cookie) {
      const record: Stored<Departure> = { ...departure, bind: digest(cookie), expires: now() + LOGIN_LIFE }
      await store.put(`departure:${state}`, record, { ttl: LOGIN_LIFE })
    },

    arrive: async (state) => living(await store.take<Stored<Departure>>(`departure:${state}`)),
  }
}

/** Whether a browser is the one that approved. */
export function isBoundTo({ bind }: Departure, cookie: string | undefined): boolean {
  return cookie !== undefined && isSame(bind, digest(cookie))
}
