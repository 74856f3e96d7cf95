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
  /** An instance speaks this era; `lasts`: the server itself has said so. */
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

export function createEras({ fixed, kept, logger, onverdict }: ErasOptions): Eras {
  let verdict = kept
  let last = fixed ?? kept?.era
  const isFresh = (at: number): boolean => Math.abs(Date.now() - at) < LIFE
  return {
    isFixed: fixed !== undefined,
    get known() {
      return fixed ?? (verdict !== undefined && isFresh(verdict.at) ? verdict.era : undefined)
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
      verdict = lasts ? { era, at: Date.now() } : undefined
      onverdict()
    },
    doubt() {
      verdict = undefined
    },
  }
}
