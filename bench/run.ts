/** `node bench/run.ts [--quick] [--write] [--cells a,b] [--subjects a,b] [--rounds n]`: see README.md. */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { CELLS, type Effort, selectCells } from './cells.ts'
import type { Finding } from './probe.ts'
import { PROBES, runProbe, selectProbes } from './probes.ts'
import { endEverything } from './processes.ts'
import { failures, markdown } from './report.ts'
import { selectSubjects } from './subjects.ts'
import { runCell, type Trial } from './trial.ts'

const BEGIN = '<!-- results -->'
const END = '<!-- /results -->'
/** The whole run, in ms; then everything is ended. */
const LONGEST_RUN = 25 * 60_000

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    cells: { type: 'string', default: '' },
    subjects: { type: 'string', default: '' },
    rounds: { type: 'string' },
  },
})

let ending = false

const words = (text: string) => text.split(',').filter((word) => word !== '')

function effort(): Effort {
  const usual = values.quick ? { rounds: 2, warmUp: 300, measure: 400 } : { rounds: 3, warmUp: 4_000, measure: 1_500 }
  const rounds = Number(values.rounds ?? usual.rounds)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 20) throw new Error('--rounds: a whole number from 1 to 20')
  return { ...usual, rounds }
}

interface Results {
  readonly trials: Trial[]
  readonly findings: Finding[]
}

async function measure(): Promise<Results> {
  const subjects = selectSubjects(words(values.subjects))
  const cells = selectCells(words(values.cells), values.quick)
  const probes = selectProbes(words(values.cells), values.quick)
  if (cells.length + probes.length === 0) {
    const known = [...CELLS, ...PROBES].map(({ name }) => name).join(' ')
    throw new Error(`--cells: nothing matches "${values.cells}"; known: ${known}`)
  }
  const trials: Trial[] = []
  for (const cell of cells) {
    const fitting = subjects.filter((subject) => subject.fits(cell))
    if (fitting.length === 0) continue
    process.stderr.write(`${cell.name}: ${fitting.map(({ name }) => name).join(', ')}\n`)
    trials.push(...(await runCell(cell, fitting, effort())))
  }
  const findings: Finding[] = []
  for (const probe of probes) {
    for (const subject of subjects.filter((one) => probe.fits(one))) {
      process.stderr.write(`${probe.name}: ${subject.name}\n`)
      findings.push(await runProbe(probe, subject, effort()))
    }
  }
  return { trials, findings }
}

async function writeResults(text: string): Promise<void> {
  const file = join(import.meta.dirname, 'README.md')
  const readme = await readFile(file, 'utf8')
  const from = readme.indexOf(BEGIN)
  const to = readme.indexOf(END)
  if (from === -1 || to < from) throw new Error(`${file}: the markers ${BEGIN} and ${END} are missing`)
  await writeFile(file, `${readme.slice(0, from + BEGIN.length)}\n\n${text}\n${readme.slice(to)}`)
}

async function main(): Promise<number> {
  if (!existsSync('/proc/self/stat')) throw new Error('bench: reads CPU and memory from /proc, which only Linux has')
  const { trials, findings } = await measure()
  if (ending) return 1 // half a run is no result
  const text = markdown(trials, findings, effort())
  process.stdout.write(text)
  const failed = failures(trials, findings)
  for (const failure of failed) process.stderr.write(`FAILED ${failure}\n`)
  if (values.write && failed.length === 0) await writeResults(text)
  return failed.length === 0 ? 0 : 1
}

async function end(code: number, why?: string): Promise<void> {
  if (ending) return
  ending = true
  if (why !== undefined) process.stderr.write(`bench: ${why}\n`)
  await endEverything()
  process.exit(code)
}

process.on('SIGINT', () => void end(130, 'interrupted'))
process.on('SIGTERM', () => void end(143, 'ended'))
setTimeout(() => void end(1, `stopped after ${LONGEST_RUN / 60_000} minutes`), LONGEST_RUN).unref()
main().then(
  (code) => end(code),
  (error: Error) => end(1, error.message),
)
