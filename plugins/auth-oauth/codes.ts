import type { Store } from '../../core/index.ts'
import type { Clock } from './clock.ts'
import { newId, newSecret } from './secret.ts'

/** What an authorization code stands for. Times in ms since the epoch. */
export interface Code {
  readonly login: string
  readonly client: string
  readonly redirectUri: string
  /** PKCE, S256 (RFC 7636 §4.2). */
  readonly challenge: string
  readonly expires: number
  /** How often a wrong verifier was tried. */
  readonly failures: number
  /** The request that redeemed it, once one has. */
  readonly spentBy?: string
}

type Stored = { -readonly [K in keyof Code]: Code[K] }

/** Life (ms) of a code (RFC 6749 §4.1.2 recommends ten minutes at most). */
export const CODE_LIFE = 120_000
/** How long (ms) a redeemed code is remembered, to know it when it comes again. */
const SPENT_LIFE = 3_600_000
/** Wrong verifiers before a code is burned. */
const MOST_FAILURES = 3

/** Authorization codes: redeemed once, by one. */
export interface Codes {
  create(code: Omit<Code, 'expires' | 'failures'>): Promise<string>
  /** What a code stands for: one that can be redeemed, or one that was. */
  find(code: string): Promise<Code | undefined>
  /** Redeems: of all who do, one gets true. It is remembered as spent from that very moment. */
  redeem(code: string): Promise<boolean>
  /** A wrong verifier was tried. */
  fail(code: string): Promise<void>
}

export function createCodes(store: Store, now: Clock): Codes {
  const isLiving = (code: Code): boolean => code.spentBy !== undefined || code.expires > now()

  return {
    async create(code) {
      const text = newSecret()
      await store.put(keyOf(text), { ...code, failures: 0, expires: now() + CODE_LIFE }, { ttl: CODE_LIFE })
      return text
    },

    async find(text) {
      const code = await store.get<Stored>(keyOf(text))
      return code !== undefined && isLiving(code) ? code : undefined
    },

    async redeem(text) {
      const mark = newId()
      const after = await store.update<Stored>(
        keyOf(text),
        (code) =>
          code === undefined || code.spentBy !== undefined || !isLiving(code) ? code : { ...code, spentBy: mark },
        { ttl: SPENT_LIFE },
      )
      return after?.spentBy === mark
    },

    async fail(text) {
      await store.update<Stored>(keyOf(text), (code) => {
        if (code === undefined || code.spentBy !== undefined) return code
        return code.failures + 1 >= MOST_FAILURES ? undefined : { ...code, failures: code.failures + 1 }
      })
    },
  }
}

function keyOf(text: string): string {
  return `code:${text}`
}
