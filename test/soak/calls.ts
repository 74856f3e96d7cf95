import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEverything } from '../e2e/support/everything.ts'
import { until } from '../e2e/support/until.ts'
import { startScript } from '../fixtures/transport/start.ts'
import { ROOT } from '../harness.ts'
import { findingsOf } from './calls-findings.ts'
import { amountOf, type Scenario, type Scene } from './scenario.ts'
import { openCompany, pingAll, THIRTY_TWO } from './support/company.ts'
import { carryOut, editsOf, type Edit, type EditDone, type Editing } from './support/edits.ts'
import { startKiller, startMortal } from './support/killer.ts'
import { createLedger, type Ledger } from './support/ledger.ts'
import { startLoad } from './support/load.ts'
import { freePort } from './support/ports.ts'
import { leadersByServer } from './support/processes.ts'
import { startProxy } from './support/proxy.ts'
import { randomOf } from './support/random.ts'
import { actorElsewhere, actorStation, entriesOf, everythingElsewhere } from './support/stations.ts'
import { everythingStation, memoryStation, type Station } from './support/stations.ts'

const CALLS = 10_000
const EDITS = 20
/** A tenth of the edits would leave out those that are refused. */
const FEWEST_EDITS = 4
/** Ms between two calls of one client, at most. */
const PAUSE = 400
/** Ms that a server takes for the slowest of its answers. */
const SLOW = 1500
/** Ms between two kills. */
const KILL = 1000
/** How long (ms) what was killed last may take to come back: it may have been killed again and again before. */
const RETURN_LIMIT = 120_000
const CHANGING = ['changing-1', 'changing-2'] as const
const SHOWN = 'shown'

/** Calls from many clients while the configuration is edited and servers are killed. */
export const scenario: Scenario = {
  name: 'calls',
  limit: (scale) => 90_000 + 600_000 * scale,
  async run(scale, scene) {
    const { calm, mortal, elsewhere } = await startServers(scene)
    const changing = [actorStation(CHANGING[0], 'legacy'), actorStation(CHANGING[1], 'modern')]
    const shown = everythingStation(SHOWN)
    const first = entriesOf([...calm, ...mortal, ...changing, shown])
    const proxy = await startProxy(scene, { servers: first })
    const callers = await openCompany(scene, proxy.url, THIRTY_TWO)
    const callable = new Map([...calm, ...mortal, ...changing, shown].map((station) => [station.name, station]))
    const random = randomOf(Date.now())
    const ledger = createLedger()
    const before = { worker: proxy.worker(), leaders: leadersByServer(proxy.dataDir) }

    const stations = (): readonly Station[] => [...callable.values()]
    const load = startLoad({ callers, stations, random, pause: PAUSE, slow: SLOW, ondone: ledger.add })
    scene.defer(load.stop)
    const killer = startKiller({
      programs: mortal.map(({ name }) => name).filter((name) => !elsewhere.has(name)),
      dataDir: proxy.dataDir,
      elsewhere,
      random,
      period: KILL,
      onkill: (server) => ledger.disturb(server, 'killed').settle,
    })
    scene.defer(killer.stop)

    const next = editsOf(first, CHANGING, SHOWN)
    const edits = await editOn(amountOfEdits(scale), next, scene, { proxy, ledger, callable })
    const most = amountOf(CALLS, scale)
    await until(`${most} calls`, () => ledger.calls.length >= most || scene.signal.aborted, 600_000)
    await killer.stop()
    await until('what was killed answers again', () => isOver(ledger, callable), RETURN_LIMIT).catch(scene.say)
    await load.stop()
    return findingsOf({
      proxy,
      callers,
      ledger,
      edits,
      kills: killer.kills,
      callable,
      alive: await pingAll(proxy.url, callers),
      calm: [...calm.map(({ name }) => name), SHOWN],
      before,
      after: { worker: proxy.worker(), leaders: leadersByServer(proxy.dataDir) },
    })
  },
}

async function editOn(count: number, next: () => Edit, scene: Scene, editing: Editing): Promise<readonly EditDone[]> {
  const done: EditDone[] = []
  for (let index = 1; index <= count && !scene.signal.aborted; index++) {
    const one = await carryOut(next(), editing)
    const { what, manner, expected } = one.edit
    scene.say(`edit ${index}: ${what}, ${manner}: ${one.problem ?? expected} after ${Math.round(one.took)} ms`)
    done.push(one)
  }
  return done
}

function amountOfEdits(scale: number): number {
  return Math.max(FEWEST_EDITS, amountOf(EDITS, scale))
}

function isOver(ledger: Ledger, callable: ReadonlyMap<string, Station>): boolean {
  return ledger.judge().troubles.every(({ server, over }) => over !== undefined || !callable.has(server))
}

/** Servers that nothing is done to, and servers that are killed, here and elsewhere, of both eras. */
async function startServers(scene: Scene) {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-proxy-soak-'))
  scene.defer(() => rmSync(folder, { recursive: true, force: true }))
  const everything = await startEverything(await freePort())
  scene.defer(everything.kill)
  const actor = await startScript([join(ROOT, 'test/fixtures/actor-server.ts'), 'modern', 'http'])
  scene.defer(actor.close)
  const killed = await startMortal(scene)
  const calm: Station[] = [
    everythingStation('calm-everything'),
    memoryStation('calm-memory', folder),
    actorStation('calm-legacy', 'legacy'),
    actorStation('calm-modern', 'modern'),
    everythingElsewhere('calm-elsewhere', everything.url),
    actorElsewhere('calm-elsewhere-modern', actor.url),
  ]
  const mortal: Station[] = [
    everythingStation('mortal-everything'),
    actorStation('mortal-legacy-1', 'legacy'),
    actorStation('mortal-legacy-2', 'legacy'),
    actorStation('mortal-modern-1', 'modern'),
    actorStation('mortal-modern-2', 'modern'),
    everythingElsewhere('mortal-elsewhere', killed.url),
  ]
  return { calm, mortal, elsewhere: new Map([['mortal-elsewhere', killed]]) }
}
