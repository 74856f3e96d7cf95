import { setTimeout as sleep } from 'node:timers/promises'
import { startScript } from '../fixtures/transport/start.ts'
import { ROOT } from '../harness.ts'
import { join } from 'node:path'
import { hourRows, type Sample } from './hour-findings.ts'
import type { Scenario, Scene } from './scenario.ts'
import { bareWire, listeningWire, modernWire, sdkV1, sdkV2Auto } from './support/callers.ts'
import { openCompany, pingAll, type Mixture } from './support/company.ts'
import { carryOut, editsOf, type EditDone } from './support/edits.ts'
import { heldBy, openSessions } from './support/holder.ts'
import { startKiller } from './support/killer.ts'
import { createLedger } from './support/ledger.ts'
import { startLoad } from './support/load.ts'
import { bytesOf } from './support/numbers.ts'
import { residentBytes } from './support/processes.ts'
import { startProxy, type Proxy } from './support/proxy.ts'
import { randomOf } from './support/random.ts'
import { actorElsewhere, actorStation, entriesOf, everythingStation, type Station } from './support/stations.ts'
import { serversForVanishers, vanishOne } from './support/vanishers.ts'

/** Sessions that fill the proxy's cache, so that it stays as large as it is. */
const CACHE = 10_000
const MINUTE = 60_000
/** Ms between two calls of one client, at most. */
const PAUSE = 400
/** Ms that a server takes for the slowest of its answers. */
const SLOW = 1500
/** Ms between two kills, between two edits, and between clients that vanish. */
const KILL = 20_000
const EDIT = 60_000
const VANISH = 1000

const COMPANY: Mixture = [
  [listeningWire, 'wire', 4],
  [bareWire, 'bare wire', 2],
  [sdkV1, 'SDK v1', 2],
  [sdkV2Auto, 'SDK 2.x', 2],
  [modernWire, 'modern wire', 2],
]

/** Steady mixed traffic for so many minutes: calls, clients that vanish, edits and kills. */
export function hourOf(minutes: number): Scenario {
  return {
    name: 'hour',
    limit: () => minutes * MINUTE + 180_000,
    async run(_, scene) {
      const { calm, mortal, changing, shown } = await startServers(scene)
      const all = [...calm, ...mortal, ...changing, shown]
      const first = { ...entriesOf(all), ...serversForVanishers() }
      const proxy = await startProxy(scene, { servers: first, routes: true })
      await openSessions(proxy.url, CACHE)
      const callers = await openCompany(scene, proxy.url, COMPANY)
      const ledger = createLedger()
      const callable = new Map(all.map((station) => [station.name, station]))
      const random = randomOf(Date.now())
      const stations = (): readonly Station[] => [...callable.values()]
      const load = startLoad({ callers, stations, random, pause: PAUSE, slow: SLOW, ondone: ledger.add })
      scene.defer(load.stop)
      const killer = startKiller({
        programs: mortal.map(({ name }) => name),
        dataDir: proxy.dataDir,
        elsewhere: new Map(),
        random,
        period: KILL,
        onkill: (server) => ledger.disturb(server, 'killed').settle,
      })
      scene.defer(killer.stop)
      const end = AbortSignal.any([scene.signal, AbortSignal.timeout(minutes * MINUTE + 5000)])
      const next = editsOf(first, ['changing-1', 'changing-2'], shown.name)
      const edits: EditDone[] = []
      const [samples, vanished] = await Promise.all([
        sampleOn(minutes, proxy, scene),
        every(VANISH, end, (index) => vanishOne(proxy.url, index)),
        every(EDIT, end, () => carryOut(next(), { proxy, ledger, callable }).then((one) => edits.push(one))),
      ])
      await killer.stop()
      await load.stop()
      const alive = await pingAll(proxy.url, callers)
      return hourRows({ minutes, samples, ledger, callers, alive, vanished, edits, kills: killer.kills })
    },
  }
}

async function startServers(scene: Scene) {
  const actor = await startScript([join(ROOT, 'test/fixtures/actor-server.ts'), 'modern', 'http'])
  scene.defer(actor.close)
  return {
    calm: [
      everythingStation('calm-everything'),
      actorStation('calm-legacy', 'legacy'),
      actorElsewhere('calm-elsewhere', actor.url),
    ],
    mortal: [actorStation('mortal-legacy', 'legacy'), actorStation('mortal-modern', 'modern')],
    changing: [actorStation('changing-1', 'legacy'), actorStation('changing-2', 'modern')],
    shown: everythingStation('shown'),
  }
}

/** What the worker holds at the end of each minute. */
async function sampleOn(minutes: number, proxy: Proxy, scene: Scene): Promise<readonly Sample[]> {
  const samples: Sample[] = []
  for (let minute = 1; minute <= minutes && !scene.signal.aborted; minute++) {
    await sleep(MINUTE, undefined, { signal: scene.signal }).catch(() => {})
    const sample = { minute, ...(await heldBy(proxy)), supervisor: residentBytes(proxy.supervisor) }
    samples.push(sample)
    const { heap, resident, supervisor, descriptors, timers, processes } = sample
    scene.say(
      `minute ${minute}: heap ${bytesOf(heap)}, resident ${bytesOf(resident)} and ${bytesOf(supervisor)}, ` +
        `${descriptors} descriptors, ${timers} timers, ${processes} child processes`,
    )
  }
  return samples
}

/** Does something again and again until the end; resolves how often. */
async function every(period: number, end: AbortSignal, work: (index: number) => Promise<unknown>): Promise<number> {
  let count = 0
  for (; !end.aborted; count++) {
    await sleep(period, undefined, { signal: end }).catch(() => {})
    if (!end.aborted) await work(count)
  }
  return count
}
