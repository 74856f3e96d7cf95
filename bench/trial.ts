/** Runs one cell: all its subjects up at once, measured in turn, A B C A B C …, on warm processes. */
import { callLimit, type Cell, type Effort, IN_FLIGHT } from './cells.ts'
import { type Load, openLoad, type Report } from './load.ts'
import { usage } from './measure.ts'
import type { Running, Subject } from './subjects.ts'

/** One subject in one round; CPU in µs per request, memory in bytes. */
export interface Sample extends Report {
  readonly cpu: number
  readonly upstreamCpu: number
  readonly rss: number
}

/** All rounds of one subject in one cell; `failure` says why there are fewer than asked for. */
export interface Trial {
  readonly cell: Cell
  readonly subject: string
  readonly samples: Sample[]
  failure?: string
}

interface Contestant {
  readonly trial: Trial
  readonly running: Running
  readonly load: Load
}

async function prepare(cell: Cell, subject: Subject, trial: Trial): Promise<Contestant | undefined> {
  let running: Running | undefined
  try {
    running = await subject.start(cell)
    const { url, token } = running
    const load = await openLoad({ url, token, sessions: cell.sessions, inFlight: Math.min(cell.sessions, IN_FLIGHT) })
    return { trial, running, load }
  } catch (error) {
    trial.failure = (error as Error).message
    await running?.close()
    return undefined
  }
}

async function round(cell: Cell, { trial, running, load }: Contestant, ms: number): Promise<Sample | undefined> {
  const { tool, tools, roots } = running
  try {
    const before = usage(roots)
    const report = await load.run({ op: cell.op, calls: [tool], size: cell.size, tools, ms, limit: callLimit(cell) })
    const after = usage(roots)
    const perRequest = (from: number, to: number) => ((to - from) * 1_000) / report.requests
    const upstreamCpu = perRequest(before.upstreamCpu, after.upstreamCpu)
    return { ...report, cpu: perRequest(before.cpu, after.cpu), upstreamCpu, rss: after.rss }
  } catch (error) {
    trial.failure = (error as Error).message
    return undefined
  }
}

/** Measures the subjects in the cell; what was started is ended, whatever happens. A failure stops only its subject. */
export async function runCell(cell: Cell, subjects: readonly Subject[], effort: Effort): Promise<readonly Trial[]> {
  const trials = subjects.map(({ name }): Trial => ({ cell, subject: name, samples: [] }))
  const contestants: Contestant[] = []
  try {
    for (const [at, subject] of subjects.entries()) {
      const trial = trials[at]
      const contestant = trial && (await prepare(cell, subject, trial))
      if (contestant !== undefined) contestants.push(contestant)
    }
    for (const contestant of contestants) await round(cell, contestant, effort.warmUp)
    for (let n = 0; n < effort.rounds; n++) {
      for (const contestant of contestants) {
        if (contestant.trial.failure !== undefined) continue
        const sample = await round(cell, contestant, effort.measure)
        if (sample !== undefined) contestant.trial.samples.push(sample)
      }
    }
  } finally {
    await Promise.all(contestants.map(({ load }) => load.close()))
    await Promise.all(contestants.map(({ running }) => running.close()))
  }
  return trials
}
