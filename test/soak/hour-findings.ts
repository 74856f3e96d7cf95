import type { Row } from './scenario.ts'
import type { Caller } from './support/callers.ts'
import type { EditDone } from './support/edits.ts'
import type { Held } from './support/holder.ts'
import type { Ledger } from './support/ledger.ts'
import { CALL_LIMIT } from './support/load.ts'
import { bytesOf, msOf, slopeOf } from './support/numbers.ts'

/** What is held at the end of a minute. */
export interface Sample extends Held {
  readonly minute: number
  /** Resident memory of the supervisor, in bytes. */
  readonly supervisor: number
}

export interface HourRun {
  readonly minutes: number
  readonly samples: readonly Sample[]
  readonly ledger: Ledger
  readonly callers: readonly Caller[]
  readonly alive: number
  readonly vanished: number
  readonly edits: readonly EditDone[]
  readonly kills: number
}

/** Minutes until everything that is kept for a while (5 min) leaves as fast as it comes. */
const WARM_UP = 6
/** Fewest samples that a line is laid through. */
const FEWEST = 3
/** What memory may have grown by at the end, along that line. */
const HEAP = 2 * 1024 ** 2
const RESIDENT = 0.1

/** What the promises have come to. */
export function hourRows(run: HourRun): readonly Row[] {
  return [callsRow(run), heapRow(run), residentRow(run), holdingsRow(run)]
}

function callsRow({ ledger, callers, alive, vanished, edits, kills }: HourRun): Row {
  const { lost, excused } = ledger.judge()
  const late = ledger.calls.filter(({ began, ended }) => ended - began >= CALL_LIMIT)
  const sessions = callers.filter(({ sessionId }) => sessionId !== undefined)
  const losses = callers.reduce((sum, { tally }) => sum + tally.losses, 0)
  const wrong = edits.filter(({ problem }) => problem !== undefined)
  const [first] = lost
  return {
    what: 'no call and no session is lost',
    amount: `${ledger.calls.length} calls, ${callers.length} clients, ${vanished} that vanished, ${edits.length} edits, ${kills} kills`,
    holds: lost.length === 0 && late.length === 0 && wrong.length === 0 && losses === 0 && alive === sessions.length,
    measured:
      `lost ${lost.length}, later than ${msOf(CALL_LIMIT)} ${late.length}, errors on killed or changed servers ${excused.length}; ` +
      `unknown sessions ${losses}, ${alive} of ${sessions.length} answer at the end; edits not as expected ${wrong.length}` +
      (first === undefined ? '' : `; e.g. ${first.caller} → ${first.server}: ${first.error}`),
  }
}

/** The samples that count. */
function counted({ samples, minutes }: HourRun): readonly Sample[] {
  return samples.slice(Math.min(WARM_UP, Math.max(0, minutes - FEWEST)))
}

/** How much a value has grown from the first counted sample to the last, along the line that fits best. */
function growthOf(samples: readonly Sample[], value: (sample: Sample) => number) {
  const slope = slopeOf(samples.map((sample) => ({ x: sample.minute, y: value(sample) })))
  const grown = slope * (samples.length - 1)
  return { slope, grown, first: value(samples[0] as Sample), last: value(samples.at(-1) as Sample) }
}

function heapRow(run: HourRun): Row {
  const samples = counted(run)
  const { slope, grown, first, last } = growthOf(samples, ({ heap }) => heap)
  return {
    what: 'the heap is flat',
    amount: `${run.minutes} min, ${samples.length} samples counted`,
    holds: grown <= HEAP,
    measured: `${bytesOf(first)} → ${bytesOf(last)}, ${bytesOf(slope)} a minute (may grow by ${bytesOf(HEAP)} in all)`,
  }
}

function residentRow(run: HourRun): Row {
  const samples = counted(run)
  const { slope, grown, first, last } = growthOf(samples, ({ resident }) => resident)
  const supervisor = growthOf(samples, (sample) => sample.supervisor)
  return {
    what: 'resident memory is flat',
    amount: `${run.minutes} min, ${samples.length} samples counted`,
    holds: grown <= first * RESIDENT && supervisor.grown <= supervisor.first * RESIDENT,
    measured:
      `worker ${bytesOf(first)} → ${bytesOf(last)}, ${bytesOf(slope)} a minute; ` +
      `supervisor ${bytesOf(supervisor.first)} → ${bytesOf(supervisor.last)}, ${bytesOf(supervisor.slope)} a minute ` +
      `(may grow by ${RESIDENT * 100} % in all)`,
  }
}

function holdingsRow(run: HourRun): Row {
  const samples = counted(run)
  const range = (value: (sample: Sample) => number): string =>
    `${Math.min(...samples.map(value))} to ${Math.max(...samples.map(value))}`
  const { slope } = growthOf(samples, ({ descriptors }) => descriptors)
  return {
    what: 'descriptors do not grow',
    amount: `${run.minutes} min, ${samples.length} samples counted`,
    holds: slope * samples.length < samples.length / 2 + 10,
    measured:
      `descriptors ${range(({ descriptors }) => descriptors)}, timers ${range(({ timers }) => timers)}, ` +
      `child processes ${range(({ processes }) => processes)}`,
  }
}
