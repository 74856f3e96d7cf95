import type { Row } from './scenario.ts'
import type { Caller } from './support/callers.ts'
import type { EditDone } from './support/edits.ts'
import { examplesOf, type Judgement, type Ledger } from './support/ledger.ts'
import { CALL_LIMIT } from './support/load.ts'
import { msOf, percentile } from './support/numbers.ts'
import type { Proxy } from './support/proxy.ts'

/** Who runs. */
interface Processes {
  readonly worker: number | undefined
  readonly leaders: ReadonlyMap<string, readonly number[]>
}

/** All that happened. */
export interface CallsRun {
  readonly proxy: Proxy
  readonly callers: readonly Caller[]
  readonly ledger: Ledger
  readonly edits: readonly EditDone[]
  readonly kills: number
  /** Servers that may be called at the end. */
  readonly callable: ReadonlyMap<string, unknown>
  /** Sessions that answer at the end. */
  readonly alive: number
  /** Servers that nothing was done to. */
  readonly calm: readonly string[]
  readonly before: Processes
  readonly after: Processes
}

/** What the promises have come to. */
export function findingsOf(run: CallsRun): readonly Row[] {
  const judgement = run.ledger.judge()
  return [
    callsRow(run, judgement),
    boundRow(run, judgement),
    returnRow(run, judgement),
    sessionsRow(run),
    editsRow(run),
    processesRow(run),
    logRow(run),
  ]
}

function callsRow({ ledger, callers, edits, kills, calm }: CallsRun, { lost, excused, troubles }: Judgement): Row {
  const aside = ledger.calls.filter(({ server }) => calm.includes(server)).length
  const ofChanged = excused.filter((call) =>
    troubles.some(({ server, what }) => server === call.server && what === 'changed'),
  )
  return {
    what: 'no call is lost on a server that is neither killed nor changed',
    amount: `${ledger.calls.length} calls, ${callers.length} clients, ${edits.length} edits, ${kills} kills`,
    holds: lost.length === 0,
    measured:
      `lost ${lost.length} (${aside} calls of ${calm.length} servers that nothing was done to); ` +
      `errors on killed servers ${excused.length - ofChanged.length}, on changed ones ${ofChanged.length}` +
      examplesOf(lost),
  }
}

function boundRow({ ledger }: CallsRun, { troubles }: Judgement): Row {
  const longest = (of: (server: string) => boolean): number =>
    Math.max(0, ...ledger.calls.filter(({ server }) => of(server)).map(({ began, ended }) => ended - began))
  const was = (what: string) => (server: string) =>
    troubles.some((trouble) => trouble.server === server && trouble.what === what)
  const late = ledger.calls.filter(({ began, ended }) => ended - began >= CALL_LIMIT)
  const others = longest((server) => !was('killed')(server) && !was('changed')(server))
  return {
    what: `every call ends within ${CALL_LIMIT / 1000} s, with an answer or an error`,
    amount: `${ledger.calls.length} calls`,
    holds: late.length === 0,
    measured:
      `longest on killed servers ${msOf(longest(was('killed')))}, on changed ones ${msOf(longest(was('changed')))}, ` +
      `on others ${msOf(others)} (a server itself takes up to 1.5 s)${examplesOf(late)}`,
  }
}

function returnRow({ callable }: CallsRun, { troubles }: Judgement): Row {
  const away = troubles.filter(({ server, over }) => over === undefined && callable.has(server))
  const ofKind = (kind: string): readonly number[] =>
    troubles
      .filter(({ what }) => what === kind)
      .flatMap(({ until, over }) => (over === undefined ? [] : [over - until]))
  const show = (kind: string): string =>
    `${msOf(percentile(ofKind(kind), 50))}, at most ${msOf(percentile(ofKind(kind), 100))}`
  return {
    what: 'what was killed or changed answers again',
    amount: `${troubles.length} times`,
    holds: away.length === 0,
    measured:
      `until the first answer: killed ${show('killed')}; changed ${show('changed')}` +
      (away.length === 0 ? '' : `; never again: ${[...new Set(away.map(({ server }) => server))].join(', ')}`),
  }
}

function sessionsRow({ callers, alive, edits }: CallsRun): Row {
  const sessions = callers.filter(({ sessionId }) => sessionId !== undefined)
  const losses = sessions.reduce((sum, { tally }) => sum + tally.losses, 0)
  const shows = edits.filter(({ edit, problem }) => edit.shows === true && problem === undefined).length
  const deaf = callers.filter(({ listens, tally }) => listens && tally.changes < shows)
  return {
    what: 'no session and no GET stream is lost',
    amount: `${sessions.length} sessions, ${callers.filter(({ listens }) => listens).length} with a GET stream`,
    holds: losses === 0 && alive === sessions.length && deaf.length === 0,
    measured:
      `unknown sessions ${losses}; ${alive} answer at the end; clients that missed some of ${shows} list changes: ${deaf.length}` +
      (deaf.length === 0 ? '' : ` (${deaf.map(({ name, tally }) => `${name}: ${tally.changes}`).join(', ')})`),
  }
}

function editsRow({ edits }: CallsRun): Row {
  const wrong = edits.filter(({ problem }) => problem !== undefined)
  const took = edits.map(({ took }) => took)
  const refused = edits.filter(({ edit }) => edit.expected === 'refused').length
  return {
    what: 'every edit is applied, or refused whole with a line in the log',
    amount: `${edits.length} edits, ${refused} of them broken`,
    holds: wrong.length === 0,
    measured:
      `as expected ${edits.length - wrong.length}; after ${msOf(percentile(took, 50))}, at most ${msOf(percentile(took, 100))}` +
      wrong.map(({ edit, problem }) => `; ${edit.what}, ${edit.manner}: ${problem}`).join(''),
  }
}

function processesRow({ before, after, calm }: CallsRun): Row {
  const programs = calm.filter((name) => before.leaders.has(name))
  const other = programs.filter((name) => before.leaders.get(name)?.join() !== after.leaders.get(name)?.join())
  return {
    what: 'the worker, and servers that nothing was done to, are the same processes as before',
    amount: `${programs.length + 1} processes`,
    holds: other.length === 0 && before.worker !== undefined && before.worker === after.worker,
    measured: before.worker === after.worker ? `others: ${other.join(', ') || 'none'}` : 'the worker is another one',
  }
}

/** What belongs to a refused edit, and to a wrong entry. */
const EXPECTED = /the edited configuration is refused|^invalid: /

function logRow({ proxy }: CallsRun): Row {
  const { lines } = proxy.log
  const errors = lines.filter(({ level, message }) => level === 'error' && !EXPECTED.test(message))
  return {
    what: 'nothing unexpected is logged as an error',
    amount: `${lines.length} lines`,
    holds: errors.length === 0,
    measured: `unexpected ${errors.length}${errors
      .slice(0, 3)
      .map(({ tag, message }) => `; [${tag}] ${message}`)
      .join('')}`,
  }
}
