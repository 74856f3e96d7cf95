import { msOf } from './numbers.ts'

/** A call that has ended. Times in ms, of `performance.now()`. */
export interface Done {
  readonly server: string
  readonly caller: string
  readonly began: number
  readonly ended: number
  /** Why it failed; absent: it was answered rightly. */
  readonly error?: string
}

/** Something that was done to a server. */
interface Disturbance {
  readonly server: string
  readonly what: 'killed' | 'changed'
  /** When it began. */
  readonly from: number
  /** From when on an answer shows that it is over. */
  until: number
}

/** A disturbance and when it was over: when the first call that began after it was answered. `undefined`: never. */
interface Trouble extends Disturbance {
  readonly over: number | undefined
}

/** Every call, and what was done to whom meanwhile. */
export interface Ledger {
  readonly calls: readonly Done[]
  add(call: Done): void
  /** Notes that something is done to a server, from now until `settle()` is called. */
  disturb(server: string, what: Disturbance['what']): { settle(): void }
  /** What is known once everything has ended. */
  judge(): Judgement
}

/** What became of all calls. */
export interface Judgement {
  /** Of servers, or at times, that nothing was done to: each of these breaks a promise. */
  readonly lost: readonly Done[]
  /** Of servers that something was being done to. */
  readonly excused: readonly Done[]
  readonly troubles: readonly Trouble[]
}

/** How much earlier (ms) the effect of a signal can be seen than the line after it is reached. */
const MARGIN = 20

export function createLedger(): Ledger {
  const calls: Done[] = []
  const disturbances: Disturbance[] = []

  return {
    calls,
    add: (call) => void calls.push(call),
    disturb(server, what) {
      const disturbance: Disturbance = { server, what, from: performance.now(), until: Infinity }
      disturbances.push(disturbance)
      return { settle: () => void (disturbance.until = performance.now()) }
    },
    judge() {
      const troubles = disturbances.map((one) => ({ ...one, over: endOf(one, calls) }))
      const failed = calls.filter(({ error }) => error !== undefined)
      const isExcused = (call: Done): boolean => troubles.some((trouble) => isDuring(call, trouble))
      return {
        lost: failed.filter((call) => !isExcused(call)),
        excused: failed.filter(isExcused),
        troubles,
      }
    },
  }
}

function endOf({ server, until }: Disturbance, calls: readonly Done[]): number | undefined {
  const answered = calls.filter((call) => call.server === server && call.error === undefined && call.began >= until)
  return answered.length === 0 ? undefined : Math.min(...answered.map(({ ended }) => ended))
}

function isDuring({ server, began, ended }: Done, trouble: Trouble): boolean {
  return server === trouble.server && ended >= trouble.from - MARGIN && began <= (trouble.over ?? Infinity)
}

/** The first of some calls, for messages; empty where there are none. */
export function examplesOf(calls: readonly Done[]): string {
  const shown = calls.slice(0, 5).map(({ server, caller, began, ended, error }) => {
    return `${caller} → ${server} at ${Math.round(began)} for ${msOf(ended - began)}: ${error ?? 'answered'}`
  })
  return shown.length === 0 ? '' : `; e.g. ${shown.join('; ')}`
}
