import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export type Status = 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO'

/** One check of a scenario, as the suite wrote it down. An id may come several times. */
export interface Check {
  readonly id: string
  readonly status: Status
  readonly errorMessage?: string
}

/** The checks of every scenario that ran, by its name. */
export type Results = ReadonlyMap<string, readonly Check[]>

/** What a suite wrote below its output folder: `<scenario>-<time>/checks.json`, for servers with `server-` before it. */
export function readResults(folder: string, prefix: 'server-' | ''): Results {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (file) => basename(file) === 'checks.json',
  )
  return new Map(
    files.map((file) => {
      const name = dirname(file).replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '')
      const scenario = name.startsWith(prefix) ? name.slice(prefix.length) : name
      return [scenario, JSON.parse(readFileSync(join(folder, file), 'utf8')) as readonly Check[]]
    }),
  )
}

/** How many checks of each kind there are. */
export interface Count {
  readonly passed: number
  readonly failed: number
  readonly warnings: number
  readonly total: number
}

export function count(results: Results): Count {
  const checks = [...results.values()].flat()
  const of = (status: Status) => checks.filter((check) => check.status === status).length
  return { passed: of('SUCCESS'), failed: of('FAILURE'), warnings: of('WARNING'), total: checks.length }
}
