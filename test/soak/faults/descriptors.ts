import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../e2e/support/until.ts'
import { amountOf, type Row, type Scenario, type Scene } from '../scenario.ts'
import { callInSession, callModern, openSession, startLoad, withLogin } from './support/callers.ts'
import { cpuDuring } from './support/cpu.ts'
import { fetchOnOne, knock, openFlood } from './support/flood.ts'
import { peopleOf, type Login, type People } from './support/people.ts'
import { NotPermitted, refusalOf } from './support/permission.ts'
import { openFolder } from './support/program.ts'
import { askAll, expectStatus, firstTrouble, rowOf, rowsOf, statusOf, untilWorks } from './support/questions.ts'
import type { Answered, Question, Told } from './support/questions.ts'
import { refreshOf } from './support/storage-questions.ts'
import { isUp, killServer, openWorld, serverOf, type World } from './support/world.ts'

const CONNECTIONS = 2000
/** A tenth of them would not be enough for the highest limit. */
const FEWEST_CONNECTIONS = 400
const LIMITS = [256, 128, 64]
const LOWERED = 64
/** How long (ms) it is watched what the flooded worker does. */
const WATCH = 1000
/** More than this share of a core means that it spins: there is next to nothing to do. */
const SPINNING = 0.8
/** More lines than that during one flood would drown the log. */
const MOST_LINES = 12
const KNOCKS = 5

/** More connections come than the process may have descriptors, as it was started or as it is told while it runs; then they go. */
export const scenario: Scenario = {
  name: 'descriptors',
  limit: (scale) => 120_000 + 120_000 * scale,
  async run(scale, scene) {
    const count = Math.max(FEWEST_CONNECTIONS, amountOf(CONNECTIONS, scale))
    const rows: Row[] = []
    for (const limit of LIMITS.slice(0, amountOf(LIMITS.length, scale))) {
      const fault = `ulimit -n ${limit}`
      const dir = openFolder(scene)
      const wrap = ['sh', '-c', `${fault} && exec "$@"`, 'sh']
      const world = await openWorld(scene, { dir, dataDir: join(dir, 'data'), wrap })
      rows.push(...(await flooded(scene, world, fault, count)))
      if (limit === LIMITS[0]) {
        lower(world)
        rows.push(...(await flooded(scene, world, `prlimit --nofile=${LOWERED} while it runs`, count)))
      }
      const code = await world.program.end()
      rows.push(rowOf({ fault, what: 'it ends as it is asked to', holds: code === 0, got: `exit code ${code}` }))
    }
    return rows
  },
}

function lower({ program }: World): void {
  const refused = refusalOf('prlimit', `--pid=${program.worker()}`, `--nofile=${LOWERED}:${LOWERED}`)
  if (refused !== undefined) throw new NotPermitted(`not run: prlimit cannot be used here (${refused})`)
}

async function flooded(scene: Scene, world: World, fault: string, count: number): Promise<readonly Row[]> {
  const { program, callBoth } = world
  const clients = await openClients(scene, world)
  const flood = await openFlood(scene, program.port, count)
  const told = await watch(world, flood, `${count} connections`)
  const during = await clients.during()
  flood.stop()
  const since = performance.now()
  const letIn = await untilWorks(async () => {
    const status = await knock(program.port)
    if (status !== '200') throw new Error(status)
  }, since)
  const back = await untilWorks(callBoth, since)
  const { knocks, answered, restarted, ...calls } = during
  return [
    rowOf({ fault, back, ...told }),
    rowOf({ fault, back, ...calls }),
    rowOf({ fault, back: letIn, ...knocks, holds: knocks.holds && letIn.startsWith('again') }),
    ...(await rowsOf(fault, answered, since)),
    rowOf({ fault, back, ...restarted }),
  ]
}

type Outcome = Omit<Told, 'fault' | 'back'>

/** What the worker does, and says, once the flood is there. */
async function watch({ program }: World, flood: { readonly open: number }, amount: string): Promise<Outcome> {
  const worker = program.worker() ?? 0
  const from = program.log.lines.length
  const cpu = await cpuDuring(worker, WATCH)
  // Once a minute: it may have been said during the flood before.
  const line = firstTrouble(program.log, 0, /connections are refused/)
  // Each call has a line of its own, at info.
  const lines = program.log.lines.slice(from).filter(({ level }) => level !== 'info').length
  const open = readdirSync(`/proc/${worker}/fd`).length
  return {
    what: 'it says so, and neither spins nor floods its log nor crashes',
    amount,
    holds: line !== undefined && cpu < SPINNING && lines <= MOST_LINES && program.worker() === worker,
    got: `${flood.open} of them are not closed; ${open} descriptors, ${Math.round(cpu * 100)} % of a core, ${lines} lines beside those of calls`,
    line,
  }
}

/** Clients with a connection each before the flood comes, and what they get during it. */
async function openClients(scene: Scene, world: World) {
  const { program, session } = world
  const people = peopleOf(program.origin, fetchOnOne(scene))
  const login = await people.logIn()
  const [one, other] = [withLogin(login, fetchOnOne(scene)), withLogin(login, fetchOnOne(scene))]
  const own = await openSession(program.url, one)
  const server = serverOf(program, 'everything')
  const load = startLoad([() => callInSession(own), () => callModern(program.url, other)])
  await until('all have their connections', () => load.calls > 4)

  async function during(): Promise<
    Outcome & Record<'knocks' | 'restarted', Outcome> & { answered: readonly Answered[] }
  > {
    const came: string[] = []
    for (let times = 0; times < KNOCKS; times++) came.push(await knock(program.port))
    const answered = await askAll(questions(world, people, login), program.log)
    await load.stop()
    const up = await killServer(server, () => callInSession(session)).catch(String)
    const away = [...new Set(came)].join(', ')
    const calls = load.failures.join('; ') || 'answers'
    return {
      what: 'calls on connections that were there go on',
      amount: String(load.calls),
      holds: load.failures.length === 0,
      got: calls,
      knocks: { what: 'new clients hear at once', amount: String(KNOCKS), holds: !/no answer/.test(away), got: away },
      restarted: { what: 'a server that is killed is started again', holds: isUp(up), got: up },
      answered,
    }
  }
  return { during }
}

function questions({ program }: World, people: People, login: Login): readonly Question[] {
  return [
    {
      what: 'a registration, on a connection that was there',
      right: /^201$/,
      ask: async () => statusOf(await people.register()),
      again: async () => expectStatus(await people.register(), 201),
    },
    { ...refreshOf(program, people, login), what: 'a token refresh, on a connection that was there', right: /^200$/ },
  ]
}
