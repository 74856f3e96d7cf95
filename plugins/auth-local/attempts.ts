import type { Store } from '../../core/index.ts'
import { newId, newSecret } from '../auth-oauth/index.ts'

/** A browser that was sent to the login page. */
type LoginAttempt = {
  readonly state: string
  readonly callback: string
  /** Passwords that were tried. */
  readonly tries: number
}

/** Somebody has given the right password; on its way back through the browser as a code. */
type Proof = {
  readonly state: string
  readonly id: string
  readonly email: string
  readonly stamp: string
}

/** How long (ms) somebody may take to log in: as long as the authorization server waits. */
const ATTEMPT_LIFE = 10 * 60_000
/** How long (ms) a browser may take for the way back. */
const PROOF_LIFE = 60_000
/** Passwords that may be tried in one attempt. */
const TRIES = 5

/** Attempts to log in, and what became of them; each is good for one success. */
export interface Attempts {
  open(attempt: Pick<LoginAttempt, 'state' | 'callback'>): Promise<string>
  find(id: string): Promise<LoginAttempt | undefined>
  /** Counts a try before its outcome is known; resolves how many are left, `undefined` when this one was too many. */
  count(id: string): Promise<number | undefined>
  /** Ends an attempt: of several who do, one gets it. */
  take(id: string): Promise<LoginAttempt | undefined>
  /** Keeps a proof; resolves its code. */
  prove(proof: Proof): Promise<string>
  /** What a code stands for, once. */
  redeem(code: string): Promise<Proof | undefined>
}

export function createAttempts(store: Store): Attempts {
  return {
    async open({ state, callback }) {
      const id = newId()
      await store.put(`attempt:${id}`, { state, callback, tries: 0 }, { ttl: ATTEMPT_LIFE })
      return id
    },

    find: (id) => store.get<LoginAttempt>(`attempt:${id}`),

    async count(id) {
      // `change` may run several times: what it said the last time is what was stored.
      let left: number | undefined
      await store.update<LoginAttempt>(`attempt:${id}`, (attempt) => {
        left = attempt === undefined || attempt.tries >= TRIES ? undefined : TRIES - attempt.tries - 1
        return left === undefined || attempt === undefined ? attempt : { ...attempt, tries: attempt.tries + 1 }
      })
      return left
    },

    take: (id) => store.take<LoginAttempt>(`attempt:${id}`),

    async prove(proof) {
      const code = newSecret()
      await store.put(`proof:${code}`, proof, { ttl: PROOF_LIFE })
      return code
    },

    redeem: (code) => store.take<Proof>(`proof:${code}`),
  }
}
