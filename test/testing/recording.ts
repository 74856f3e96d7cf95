import type { Runner } from '../../testing/index.ts'

/** What failed, by the name of the test: why. */
export type Failures = Readonly<Record<string, string>>

/** How a suite went. */
export interface Recording {
  readonly ran: readonly string[]
  readonly failures: Failures
}

/** Runs a suite out of sight, or those of its tests that are named, and tells how it went. */
export async function record(declare: (runner: Runner) => void, only: readonly string[] = []): Promise<Recording> {
  const tests: { readonly name: string; readonly run: () => Promise<void> }[] = []
  const add: Runner['test'] = (name, run) => {
    if (only.length === 0 || only.includes(name)) tests.push({ name, run })
  }
  declare({ describe: (_title, inner) => inner(), test: add })
  const missing = only.filter((name) => !tests.some((test) => test.name === name))
  if (missing.length > 0) throw new Error(`the suite has no test "${missing.join('", "')}"`)
  const failures: Record<string, string> = {}
  for (const { name, run } of tests) {
    try {
      await run()
    } catch (error) {
      failures[name] = error instanceof Error ? error.message : String(error)
    }
  }
  return { ran: tests.map(({ name }) => name), failures }
}

/** The names of the tests that fail. */
export async function failing(declare: (runner: Runner) => void): Promise<readonly string[]> {
  return Object.keys((await record(declare)).failures)
}
