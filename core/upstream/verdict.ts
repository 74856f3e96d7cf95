import type { ConsolaInstance } from 'consola'
import type { UpstreamFace } from './face.ts'

export type Era = UpstreamFace['era']

/** Which era a server was found to speak. */
export interface Verdict {
  readonly era: Era
  /** When it was asked, in ms since the epoch. */
  readonly at: number
}

/** What is known of the era of one server, shared by all its instances. */
export interface Eras {
  /** The era to speak without asking first; `undefined`: the server is to be asked. */
  readonly known: Era | undefined
  /** Whether the configuration or the transport leaves no choice. */
  readonly isFixed: boolean
  /** The era that was spoken last, however that was found out. */
  readonly last: Era | undefined
  /** What is worth keeping for the next start. */
  readonly verdict: Verdict | undefined
  /** The server speaks this era; `lasts`: it has said so itself. Else that counts for an hour, and is not kept. */
  found(era: Era, why: string, lasts: boolean): void
  /** What was known has proved wrong. */
  doubt(): void
}

export interface ErasOptions {
  readonly fixed: Era | undefined
  /** Of an earlier run. */
  readonly kept: Verdict | undefined
  readonly logger: ConsolaInstance
  /** There is something new to keep. */
  onverdict(): void
}

/** How long (ms) a verdict counts: servers are updated, and one that stays with the older era never complains. */
const LIFE = 24 * 3_600_000
/** How long (ms) counts what only silence says: else each instance would wait through it again. */
const GUESS_LIFE = 3_600_000

export function createEras({ fixed, kept, logger, onverdict }: ErasOptions): Eras {
  let verdict = kept
  /** What the server did not say itself; for this run alone. */
  let guess: Verdict | undefined
  let last = fixed ?? kept?.era
  return {
    isFixed: fixed !== undefined,
    get known() {
      return fixed ?? fresh(verdict, LIFE) ?? fresh(guess, GUESS_LIFE)
    },
    get last() {
      return last
    },
    get verdict() {
      return verdict
    },
    found(era, why, lasts) {
      last = era
      logger.debug(`speaks the ${era} era: ${why}`)
      const found = { era, at: Date.now() }
      verdict = lasts ? found : undefined
      guess = lasts ? undefined : found
      onverdict()
    },
    doubt() {
      const wasKept = verdict !== undefined
      verdict = guess = undefined
      if (wasKept) onverdict()
    },
  }
}

function fresh(verdict: Verdict | undefined, life: number): Era | undefined {
  return verdict !== undefined && Math.abs(Date.now() - verdict.at) < life ? verdict.era : undefined
}
