import type { Row } from './scenario.ts'
import type { Caller } from './support/callers.ts'
import { examplesOf, type Done } from './support/ledger.ts'
import { CALL_LIMIT } from './support/load.ts'
import { msOf, percentile } from './support/numbers.ts'

/** The end of a worker. */
export interface Restart {
  readonly how: 'exit 42' | 'an edit' | 'SIGKILL' | 'uncaught error'
  /** When it was brought about, in ms of `performance.now()`. */
  readonly from: number
  /** For how long (ms) supervisor and workers had to wait for a processor, until the new one listened. */
  readonly waited: number
}

export interface RestartsRun {
  readonly restarts: readonly Restart[]
  readonly calls: readonly Done[]
  readonly callers: readonly Caller[]
  /** Sessions that answer at the end. */
  readonly alive: number
  /** What the last worker has at the end. */
  readonly left: { readonly children: number; readonly leaders: number }
  /** What it should have. */
  readonly programs: number
}

/** How long (ms) clients may be refused or cut. */
const OUTAGE = 3000

/** What one client has seen of a restart. Times in ms. */
interface Outage {
  readonly restart: Restart
  /** From the first failure until a request was accepted for good; 0: it has seen nothing of it. */
  readonly refused: number
  /** From the first failure until that request was answered. */
  readonly unanswered: number
  readonly failures: readonly Done[]
  readonly isOver: boolean
}

/** What the promises have come to. */
export function restartRows(run: RestartsRun): readonly Row[] {
  const outages = run.restarts.flatMap((restart, index) => {
    const before = run.restarts[index + 1]?.from ?? Infinity
    return run.callers.map(({ name }) => outageOf(restart, before, run.calls, name))
  })
  const hows = [...new Set(run.restarts.map(({ how }) => how))]
  return [...hows.map((how) => outageRow(how, outages, run)), sessionsRow(run, outages), leftRow(run)]
}

function outageOf(restart: Restart, before: number, calls: readonly Done[], caller: string): Outage {
  const own = calls.filter((call) => call.caller === caller && call.ended >= restart.from && call.ended < before)
  const failures = own.filter(({ error }) => error !== undefined)
  const first = failures.at(0)
  const last = failures.at(-1)
  if (first === undefined || last === undefined) {
    return { restart, refused: 0, unanswered: 0, failures, isOver: own.length > 0 }
  }
  const answered = own.find(({ error, ended }) => error === undefined && ended > last.ended)
  const { began = Infinity, ended = Infinity } = answered ?? {}
  const [refused, unanswered] = [began - first.ended, ended - first.ended]
  return { restart, refused, unanswered, failures, isOver: answered !== undefined }
}

function outageRow(how: Restart['how'], outages: readonly Outage[], { restarts, callers }: RestartsRun): Row {
  const own = outages.filter(({ restart }) => restart.how === how)
  const refused = own.map((outage) => outage.refused)
  const waited = restarts.filter((restart) => restart.how === how).map((restart) => restart.waited)
  const over = own.filter((outage) => outage.refused - outage.restart.waited > OUTAGE).length
  return {
    what: `restart by ${how}: refused or cut for at most ${OUTAGE / 1000} s`,
    amount: `${waited.length} restarts, ${callers.length} clients under load`,
    holds: over === 0 && own.every(({ isOver }) => isOver),
    measured:
      `refused or cut: median ${msOf(percentile(refused, 50))}, 95 % ${msOf(percentile(refused, 95))}, ` +
      `longest ${msOf(percentile(refused, 100))}, until answered ${msOf(
        percentile(
          own.map(({ unanswered }) => unanswered),
          100,
        ),
      )}; ` +
      `of which without a processor: median ${msOf(percentile(waited, 50))}, longest ${msOf(percentile(waited, 100))}; ` +
      `over the limit without that: ${over} of ${own.length}; ${countKinds(own.flatMap(({ failures }) => failures))}`,
  }
}

function sessionsRow({ calls, callers, alive, restarts }: RestartsRun, outages: readonly Outage[]): Row {
  const losses = callers.reduce((sum, { tally }) => sum + tally.losses, 0)
  const late = calls.filter(({ began, ended }) => ended - began >= CALL_LIMIT)
  const expected = new Set(outages.flatMap(({ failures }) => failures))
  const stray = calls.filter((call) => call.error !== undefined && !expected.has(call))
  const longest = Math.max(0, ...calls.map(({ began, ended }) => ended - began))
  return {
    what: 'afterwards the same sessions work',
    amount: `${callers.length} sessions, ${restarts.length} restarts, ${calls.length} calls`,
    holds: losses === 0 && late.length === 0 && stray.length === 0 && alive === callers.length,
    measured:
      `unknown sessions ${losses}; ${alive} answer at the end; longest call ${msOf(longest)}; ` +
      `errors at other times ${stray.length}${examplesOf([...stray, ...late])}`,
  }
}

function leftRow({ left, programs, restarts }: RestartsRun): Row {
  return {
    what: 'no server outlives its worker',
    amount: `${restarts.length} workers of ${programs} programs each`,
    holds: left.children === programs && left.leaders === programs,
    measured: `at the end ${left.children} child processes, ${left.leaders} groups on record`,
  }
}

/** What clients say of a proxy that ends, and of one that is not there. */
const KINDS: readonly (readonly [words: RegExp, kind: string])[] = [
  [/ECONNREFUSED/, 'refused'],
  [/ECONNRESET|EPIPE|other side closed|terminated|no answer$/, 'cut'],
  [/\b503\b|Error POSTing to endpoint/, 'HTTP 503'],
  [/Request cancelled/, 'cancelled'],
]

function kindOf(error: string): string {
  return KINDS.find(([words]) => words.test(error))?.[1] ?? error.slice(0, 80)
}

function countKinds(calls: readonly Done[]): string {
  const counts = new Map<string, number>()
  for (const { error = '' } of calls) counts.set(kindOf(error), (counts.get(kindOf(error)) ?? 0) + 1)
  return [...counts].map(([kind, count]) => `${kind} ${count}`).join(', ')
}
