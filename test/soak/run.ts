/** `node test/soak/run.ts [--full | --tenth] [--only name,…] [--hour [--minutes n]]`: see bench/README.md, "Soak". */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { scenario as calls } from './calls.ts'
import { hourOf } from './hour.ts'
import { scenario as restarts } from './restarts.ts'
import type { Row, Scenario } from './scenario.ts'
import { play } from './scene.ts'
import { tableOf } from './table.ts'
import { scenario as vanishing } from './vanishing.ts'

const { values } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    tenth: { type: 'boolean', default: false },
    only: { type: 'string' },
    hour: { type: 'boolean', default: false },
    minutes: { type: 'string' },
  },
})
if (!existsSync('/proc/self/stat')) throw new Error('soak: watches processes through /proc, which only Linux has')

const ending = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ending.abort())

const scale = values.full && !values.tenth ? 1 : 0.1
const rows: Row[] = []
for (const scenario of await chosen()) {
  if (ending.signal.aborted) break
  const began = performance.now()
  const found = await play(scenario, scale, ending.signal)
  rows.push(...found)
  process.stderr.write(`${scenario.name}: done in ${((performance.now() - began) / 1000).toFixed(1)} s\n`)
}
process.stdout.write(`${tableOf(rows)}\n`)
const isProven = rows.some(({ holds }) => holds) && rows.every(({ holds }) => holds !== false) && !ending.signal.aborted
process.stdout.write('', () => process.exit(isProven ? 0 : 1))

async function chosen(): Promise<readonly Scenario[]> {
  if (values.hour) return [hourOf(minutes())]
  const all = [calls, restarts, vanishing, ...(await faults())]
  if (values.only === undefined) return all
  const names = values.only.split(',')
  const unknown = names.find((name) => !all.some((scenario) => scenario.name === name))
  if (unknown === undefined) return all.filter(({ name }) => names.includes(name))
  throw new Error(`--only: no scenario "${unknown}"; known: ${all.map(({ name }) => name).join(', ')}`)
}

function minutes(): number {
  const given = Number(values.minutes ?? 60)
  if (Number.isInteger(given) && given >= 3 && given <= 24 * 60) return given
  throw new Error('--minutes: a whole number from 3 to 1440')
}

/** Every module directly in `faults/` is a scenario; what several of them need is in folders there. */
async function faults(): Promise<readonly Scenario[]> {
  const folder = join(import.meta.dirname, 'faults')
  if (!existsSync(folder)) return []
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts'))
  return Promise.all(
    files.toSorted().map(async (file) => {
      const { scenario } = (await import(pathToFileURL(join(folder, file)).href)) as { scenario?: Scenario }
      if (scenario === undefined) throw new Error(`soak: faults/${file} exports no "scenario"`)
      return scenario
    }),
  )
}
