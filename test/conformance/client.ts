/** The suites' client scenarios, with a proxy as the client. Those about OAuth are not among them. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { failures, judge } from './compare.ts'
import { EXPECTED } from './expected.ts'
import { run } from './processes.ts'
import type { Line } from './report.ts'
import { count, readResults, type Results } from './results.ts'
import { clientArgs, type Suite } from './suites.ts'

const SCENARIOS: readonly [suite: Exclude<Suite, '0.1.16'>, scenarios: readonly string[]][] = [
  [
    '2025-11-25',
    [
      'initialize',
      'tools_call',
      'elicitation-sep1034-client-defaults',
      'sse-retry',
      'json-schema-2020-12-preservation',
    ],
  ],
  [
    '2026-07-28',
    [
      'tools_call',
      'request-metadata',
      'sep-2322-client-request-state',
      'http-standard-headers',
      'http-custom-headers',
      'http-invalid-tool-headers',
      'json-schema-ref-no-deref',
      'json-schema-2020-12-preservation',
    ],
  ],
]

const WITHIN = 90_000

/** Runs them one after the other, a line per revision; every check has to pass. `only`: one scenario by its name. */
export async function runClients(
  folder: string,
  suites: readonly Suite[],
  only: string | undefined,
): Promise<readonly Line[]> {
  const lines: Line[] = []
  for (const [suite, all] of SCENARIOS) {
    const scenarios = all.filter((scenario) => only === undefined || scenario === only)
    if (!suites.includes(suite) || scenarios.length === 0) continue
    const started = performance.now()
    const got = new Map<string, Results>()
    for (const scenario of scenarios) {
      console.log(`clients ${suite} ${scenario} …`)
      got.set(scenario, await runClient(join(folder, suite, scenario), suite, scenario))
    }
    const through: Results = new Map([...got.values()].flatMap((results) => [...results]))
    const entries = EXPECTED.filter((entry) => entry.sections.includes('clients') && (entry.suite ?? suite) === suite)
    lines.push({
      section: 'clients',
      suite,
      through: count(through),
      verdict: judge(failures(through), entries, new Set(scenarios)),
      seconds: (performance.now() - started) / 1000,
    })
  }
  return lines
}

async function runClient(folder: string, suite: Exclude<Suite, '0.1.16'>, scenario: string): Promise<Results> {
  const output = join(folder, 'results')
  mkdirSync(output, { recursive: true })
  const command = `${process.execPath} ${join(import.meta.dirname, 'wrapper.ts')}`
  const code: number | string | null = await run(
    clientArgs(suite, command, output, scenario),
    { cwd: folder, log: join(folder, 'suite.log') },
    WITHIN,
  )
  const results = readResults(output, '')
  // A client that fails half-way may have left only checks that pass.
  const ended = { id: 'client-exit', status: 'FAILURE', errorMessage: `ended with ${code}, see suite.log` } as const
  const passed = [...results.values()].flat().every(({ status }) => status !== 'FAILURE' && status !== 'WARNING')
  return code !== 0 && passed ? new Map([[scenario, [ended]]]) : results
}
