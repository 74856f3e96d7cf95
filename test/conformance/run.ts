/**
 * Runs the official suites through the proxy and compares them with the same suites run directly:
 * `node run.ts [--cell ll,mm,ml,lm|all|none] [--suite …] [--scenario …] [--chain] [--clients] [--authorization] [--keep]`.
 * Exit code 1: something differs that `expected.ts` does not explain.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runAuthorization } from './authorization.ts'
import { type Cell, CELLS, CHAINS, direct, runSuite } from './cells.ts'
import { runClients } from './client.ts'
import { differences, failures, judge } from './compare.ts'
import { EXPECTED } from './expected.ts'
import { endEverything } from './processes.ts'
import { details, type Line, passes, table } from './report.ts'
import { count, type Results } from './results.ts'
import { areInstalled, eraOf, SUITES, type Suite } from './suites.ts'

/** Scenarios about an extension that the fixture does not have; no requirement set scores them. */
const EXTENSION = /^(tasks|sep-2640-skills)-/

const { values: options } = parseArgs({
  options: {
    cell: { type: 'string', default: 'all' },
    suite: { type: 'string', default: SUITES.join(',') },
    scenario: { type: 'string' },
    chain: { type: 'boolean', default: false },
    clients: { type: 'boolean', default: false },
    authorization: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
})

const folder = mkdtempSync(join(tmpdir(), 'mcp-conformance-'))
const end = () => void endEverything().finally(() => process.exit(1))
process.once('SIGINT', end).once('SIGTERM', end)

try {
  checkOptions()
  const lines = await all()
  if (lines.length === 0) throw new Error('nothing ran: no suite and cell go together, or no suite has this scenario')
  console.log(`\npassed/failed/warnings of all checks\n${table(lines)}\n`)
  for (const line of lines) if (details(line) !== '') console.log(`${details(line)}\n`)
  process.exitCode = lines.every(({ verdict }) => passes(verdict)) ? 0 : 1
} finally {
  await endEverything()
  if (options.keep) console.log(`everything is in ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}

/** Throws for a name that is none, and for suites that are not there. */
function checkOptions(): void {
  const known = (flag: string, given: string, names: readonly string[]) => {
    const wrong = given.split(',').find((name) => !names.includes(name))
    if (wrong !== undefined) throw new Error(`--${flag}: "${wrong}" is none of ${names.join(', ')}`)
  }
  known('cell', options.cell, [...CELLS.map(({ section }) => section), 'all', 'none'])
  known('suite', options.suite, SUITES)
  if (!areInstalled()) throw new Error('the suites are not installed: npm --prefix test/conformance ci')
}

async function all(): Promise<readonly Line[]> {
  const suites = SUITES.filter((suite) => options.suite.split(',').includes(suite))
  const lines: Line[] = []
  for (const suite of suites) {
    const ways = cells().filter(({ client }) => client === eraOf(suite))
    if (ways.length === 0) continue
    const started = performance.now()
    const wanted = await runSuite(join(folder, `direct-${suite}`), suite, direct(suite), options.scenario)
    if (wanted.size === 0) continue
    lines.push(alone(suite, wanted, started))
    for (const way of ways) lines.push(await compared(suite, way, wanted))
  }
  if (options.clients) lines.push(...(await runClients(join(folder, 'clients'), suites, options.scenario)))
  if (options.authorization) lines.push(await runAuthorization(join(folder, 'authorization')))
  return lines
}

function cells(): readonly Cell[] {
  const plain = CELLS.filter(({ section }) => options.cell === 'all' || options.cell.split(',').includes(section))
  return options.chain ? [...plain, ...CHAINS] : plain
}

/** The run that all others are compared with: what fails in it would be let through everywhere. */
function alone(suite: Suite, wanted: Results, started: number): Line {
  const found = failures(wanted).filter(({ scenario }) => !EXTENSION.test(scenario))
  const verdict = { unexpected: found, expected: [], stale: [] }
  return { section: 'direct', suite, through: count(wanted), verdict, seconds: (performance.now() - started) / 1000 }
}

async function compared(suite: Suite, way: Cell, wanted: Results): Promise<Line> {
  console.log(`${way.section} ${suite} …`)
  const started = performance.now()
  const place = join(folder, `${way.section}-${suite}`)
  const got = await runSuite(place, suite, way, options.scenario).catch((error: unknown) => {
    console.error(`${way.section} ${suite}: ${error instanceof Error ? error.message : String(error)}`)
    return new Map()
  })
  const entries = EXPECTED.filter((entry) => entry.sections.includes(way.section) && (entry.suite ?? suite) === suite)
  return {
    section: way.section,
    suite,
    direct: count(wanted),
    through: count(got),
    verdict: judge(differences(wanted, got), entries, new Set(wanted.keys())),
    seconds: (performance.now() - started) / 1000,
  }
}
