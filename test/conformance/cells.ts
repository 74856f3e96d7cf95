/** Which suites run against what, and how a run is set up and taken down. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Section } from './expected.ts'
import { run, start, type Started } from './processes.ts'
import { readResults, type Results } from './results.ts'
import { type Era, eraOf, serverArgs, type Suite } from './suites.ts'

/** A way from a suite's client to the fixture. */
export interface Cell {
  readonly section: Section
  readonly client: Era
  readonly fixture: Era
  /** The proxies on the way, nearest to the client first; `protocol`: what each speaks to the next. */
  readonly hops: readonly { readonly protocol: 'auto' | Era }[]
}

const ONE = [{ protocol: 'auto' }] as const

/** First letter: the client's era; second: the fixture's. */
export const CELLS: readonly Cell[] = [
  { section: 'll', client: 'legacy', fixture: 'legacy', hops: ONE },
  { section: 'mm', client: 'modern', fixture: 'modern', hops: ONE },
  { section: 'ml', client: 'modern', fixture: 'legacy', hops: ONE },
  { section: 'lm', client: 'legacy', fixture: 'modern', hops: ONE },
]

/** Through two proxies that speak the other era to each other. */
export const CHAINS: readonly Cell[] = [
  { section: 'chain-ll', client: 'legacy', fixture: 'legacy', hops: [{ protocol: 'modern' }, ...ONE] },
  { section: 'chain-mm', client: 'modern', fixture: 'modern', hops: [{ protocol: 'legacy' }, ...ONE] },
]

const HERE = import.meta.dirname
const CLI = join(HERE, '../../core/cli.ts')
/** The slowest suite takes a few seconds; each of its scenarios may wait 30 s for an answer that never comes. */
const WITHIN = 300_000

/** Runs a suite in a folder of its own, against the fixture itself or through the proxies before it. */
export async function runSuite(
  folder: string,
  suite: Suite,
  way: Pick<Cell, 'fixture' | 'hops'>,
  scenario: string | undefined,
): Promise<Results> {
  const output = join(folder, 'results')
  mkdirSync(output, { recursive: true })
  const started: Started[] = []
  try {
    const place = (name: string) => ({ cwd: folder, log: join(folder, `${name}.log`) })
    started.push(await start([join(HERE, 'server.ts'), way.fixture], place('fixture')))
    for (const [index, { protocol }] of way.hops.toReversed().entries()) {
      const url = started.at(-1)?.url ?? ''
      started.push(await startProxy(join(folder, `proxy-${index + 1}`), url, protocol))
    }
    const code = await run(serverArgs(suite, started.at(-1)?.url ?? '', output, scenario), place('suite'), WITHIN)
    // What it wrote by then still counts: the scenarios it did not come to are missing from it.
    if (code === 'late') console.error(`${folder}: ${suite} took over ${WITHIN} ms`)
  } finally {
    for (const one of started.toReversed()) await one.end()
  }
  return readResults(output, 'server-')
}

/** The way of a suite that meets no proxy. */
export function direct(suite: Suite): Pick<Cell, 'fixture' | 'hops'> {
  return { fixture: eraOf(suite), hops: [] }
}

/** A proxy whose only server is the one under `url`, with its bare names. */
export function startProxy(folder: string, url: string, protocol: 'auto' | Era): Promise<Started> {
  mkdirSync(folder, { recursive: true })
  const config = join(folder, 'servers.json')
  const fixture = { type: 'streamable-http', url, prefix: false, protocol }
  writeFileSync(config, JSON.stringify({ mcpServers: { fixture } }))
  return start([CLI, '--config', config, '--host', '127.0.0.1', '--port', '0'], {
    cwd: folder,
    log: join(folder, 'log'),
  })
}
