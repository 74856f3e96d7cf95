import { setTimeout as sleep } from 'node:timers/promises'
import { startEverything } from '../e2e/support/everything.ts'
import { until } from '../e2e/support/until.ts'
import { restartRows, type Restart } from './restarts-findings.ts'
import { amountOf, type Scenario, type Scene } from './scenario.ts'
import { bareWire, listeningWire, sdkV1, sdkV2Legacy } from './support/callers.ts'
import { openCompany, pingAll, type Mixture } from './support/company.ts'
import type { Done } from './support/ledger.ts'
import { startLoad } from './support/load.ts'
import { freePort } from './support/ports.ts'
import { childrenOf, recordedLeaders } from './support/processes.ts'
import { startProxy, type Proxy } from './support/proxy.ts'
import { randomOf } from './support/random.ts'
import { createStarvation } from './support/starvation.ts'
import { actorStation, entriesOf, everythingElsewhere, everythingStation, type Station } from './support/stations.ts'

const ANEW = 100
const CRASHES = 20
/** Every so-manieth of those with exit code 42 comes of an edit that no running process can take over. */
const EDITED = 10
/** Ms between two calls of one client, at most. */
const PAUSE = 60
/** Ms that a server takes for the slowest of its answers: longer than the proxy waits for it when it ends. */
const SLOW = 4000
/** How long (ms) all goes well between two restarts. */
const CALM = 300
/** How long (ms) until every client is answered again; what is promised is far less. */
const BACK_LIMIT = 60_000
/** Delays in ms and attempts that no restart of this scenario runs out of. */
const RELOAD = { delays: [200], limit: 1000 }

/** What a request may have, in bytes: enough for every one of them, and another number with each edit. */
const BODY = 2 ** 22

const COMPANY: Mixture = [
  [listeningWire, 'wire', 3],
  [bareWire, 'bare wire', 2],
  [sdkV1, 'SDK v1', 2],
  [sdkV2Legacy, 'SDK 2.x with a session', 1],
]

/** Workers that start anew and crash while clients call. */
export const scenario: Scenario = {
  name: 'restarts',
  limit: (scale) => 90_000 + 1_200_000 * scale,
  async run(scale, scene) {
    const stations = await startServers(scene)
    const proxy = await startProxy(scene, { servers: entriesOf(stations), reload: RELOAD, routes: true })
    const callers = await openCompany(scene, proxy.url, COMPANY)
    const calls: Done[] = []
    const random = randomOf(Date.now())
    const ondone = (call: Done): void => void calls.push(call)
    const load = startLoad({ callers, stations: () => stations, random, pause: PAUSE, slow: SLOW, ondone })
    scene.defer(load.stop)

    const restarts: Restart[] = []
    for (const how of plan(scale)) {
      await sleep(CALM)
      const from = performance.now()
      const before = proxy.worker()
      const line = proxy.log.lines.length
      const starvation = createStarvation()
      starvation.look([proxy.supervisor, before], false)
      await WAYS[how](proxy)
      await until(
        'all clients are answered by another worker',
        () => {
          const worker = proxy.worker()
          if (!isListening(proxy, line)) starvation.look([proxy.supervisor, worker], true)
          return worker !== undefined && worker !== before && answeredAll(calls, callers.length, from)
        },
        BACK_LIMIT,
      )
      const waited = starvation.total
      restarts.push({ how, from, waited })
      if (restarts.length % 10 === 0) scene.say(`${restarts.length} restarts`)
    }
    await sleep(CALM)
    await load.stop()
    const left = { children: childrenOf(proxy.worker() ?? 0).length, leaders: recordedLeaders(proxy.dataDir).length }
    const programs = stations.filter(({ entry }) => 'command' in entry).length
    const alive = await pingAll(proxy.url, callers)
    return restartRows({ restarts, calls, callers, alive, left, programs })
  },
}

/** In turn, so that no kind always meets what another has left. */
function plan(scale: number): readonly Restart['how'][] {
  const [anew, crashes] = [amountOf(ANEW, scale), amountOf(CRASHES, scale)]
  const all: Restart['how'][] = []
  for (let index = 0; index < anew; index++) {
    all.push(index % EDITED === EDITED - 1 ? 'an edit' : 'exit 42')
    const due = Math.floor(((index + 1) * crashes) / anew)
    while (all.length < index + 1 + due) all.push((all.length - index) % 2 === 0 ? 'SIGKILL' : 'uncaught error')
  }
  return all
}

const WAYS: Readonly<Record<Restart['how'], (proxy: Proxy) => unknown>> = {
  'exit 42': ({ origin }) => fetch(`${origin}/anew`, { method: 'POST' }),
  'an edit': ({ editLimits }) => editLimits({ bodyBytes: BODY + Math.floor(performance.now()) }),
  'uncaught error': ({ origin }) => fetch(`${origin}/crash`, { method: 'POST' }),
  SIGKILL(proxy) {
    const worker = proxy.worker()
    if (worker === undefined) throw new Error('there is no worker to kill')
    process.kill(worker, 'SIGKILL')
  },
}

/** Whether a worker has begun to listen since that line of the log. */
function isListening({ log }: Proxy, from: number): boolean {
  return log.lines.slice(from).some(({ message }) => message.startsWith('listening on '))
}

/** Whether every caller has failed since, or at least called, and has got an answer in the end. */
function answeredAll(calls: readonly Done[], callers: number, from: number): boolean {
  const last = new Map<string, Done>()
  for (const call of calls) if (call.began > from) last.set(call.caller, call)
  return last.size === callers && [...last.values()].every(({ error }) => error === undefined)
}

async function startServers(scene: Scene): Promise<readonly Station[]> {
  const everything = await startEverything(await freePort())
  scene.defer(everything.kill)
  return [
    everythingStation('everything'),
    actorStation('legacy', 'legacy'),
    actorStation('modern', 'modern'),
    everythingElsewhere('elsewhere', everything.url),
  ]
}
