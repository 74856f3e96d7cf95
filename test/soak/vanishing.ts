import { until } from '../e2e/support/until.ts'
import { openWire, type Wire } from '../e2e/support/wire.ts'
import { amountOf, type Row, type Scenario } from './scenario.ts'
import { heldBy, hasReturned, openSessions, restedHeld, settledHeld, type Held } from './support/holder.ts'
import { bytesOf } from './support/numbers.ts'
import { leadersByServer } from './support/processes.ts'
import { startProxy, type Proxy } from './support/proxy.ts'
import { countWithOwn, OWN, serversForVanishers, SHARED, vanishMany } from './support/vanishers.ts'

const CLIENTS = 1000
/** Rounds of as many clients before the one that is measured. */
const WARM_UPS = 2
/** Sessions that the proxy keeps in memory; a full cache stays as large as it is, whoever comes. */
const CACHE = 10_000
/** How long (ms) everything may take to be given back … */
const RETURN_LIMIT = 20_000
/** … and what was kept for clients that come back: 5 min. Only the full run waits for it. */
const KEPT_LIMIT = 330_000
/** Ms after which a call ends that waits for a client who is gone; by default that is after 5 min without an answer. */
const CEILING = 8000
/** What the heap may grow by, in bytes: noise, and for each client what is still kept where that is not waited for. */
const NOISE = 512 * 1024
const KEPT_BYTES = 2500
/** What resident memory may grow by, in bytes: the system takes pages back when it likes. */
const RESIDENT = 32 * 1024 ** 2

/** Clients that connect, call and vanish without a word. */
export const scenario: Scenario = {
  name: 'vanishing',
  limit: (scale) => 90_000 + 1_500_000 * scale,
  async run(scale, scene) {
    const isFull = scale === 1
    const limits = isFull ? {} : { requestCeiling: CEILING }
    const proxy = await startProxy(scene, { servers: serversForVanishers(), limits, routes: true })
    const observer = await openWire(proxy.url, { name: 'observer' })
    scene.defer(observer.vanish)
    const clients = amountOf(CLIENTS, scale)
    const isOver = (): boolean => scene.signal.aborted
    const round = async (): Promise<void> => {
      await vanishMany(proxy.url, clients, isOver)
      await untilAlone(observer, proxy, isFull ? KEPT_LIMIT : RETURN_LIMIT)
    }

    const empty = await heldBy(proxy)
    await openSessions(proxy.url, CACHE)
    const full = await restedHeld(proxy, RETURN_LIMIT)
    scene.say(`${CACHE} sessions in memory; the clients that warm it up come`)
    for (let warmUp = 0; warmUp < WARM_UPS; warmUp++) await round()
    const before = await restedHeld(proxy, RETURN_LIMIT)
    scene.say(`before: ${JSON.stringify(before)}; ${clients} clients come and vanish`)
    await round()
    const growth = NOISE + (isFull ? 0 : clients * KEPT_BYTES)
    const after = await settledHeld(proxy, before, growth, isFull ? KEPT_LIMIT : RETURN_LIMIT)
    scene.say(`after: ${JSON.stringify(after)}`)
    const perSession = (full.heap - empty.heap) / CACHE
    return [returnedRow(clients, before, after, growth), residentRow(clients, before, after), sessionRow(perSession)]
  },
}

/** The shared server has nobody left whom it works for, and no client's own server runs; rejects after `limit` ms. */
async function untilAlone(observer: Wire, proxy: Proxy, limit: number): Promise<void> {
  await until(
    'the shared server has nobody left',
    async () => {
      const { open, watched } = await observer.tool(`${SHARED}_whoami`)
      return open === 0 && watched.length === 0
    },
    limit,
  )
  await until("no client's own server runs", () => !leadersByServer(proxy.dataDir).has(OWN), limit)
}

function returnedRow(clients: number, before: Held, after: Held, growth: number): Row {
  return {
    what: 'clients that vanish leave nothing behind: heap, descriptors, timers, child processes',
    amount: `${clients} clients, ${countWithOwn(clients)} of them with a server of their own`,
    holds: hasReturned(before, after, growth),
    measured:
      `heap ${bytesOf(before.heap)} → ${bytesOf(after.heap)} (may grow by ${bytesOf(growth)}), ` +
      `descriptors ${before.descriptors} → ${after.descriptors}, timers ${before.timers} → ${after.timers}, ` +
      `child processes ${before.processes} → ${after.processes}`,
  }
}

function residentRow(clients: number, before: Held, after: Held): Row {
  return {
    what: 'resident memory comes back',
    amount: `${clients} clients`,
    holds: after.resident <= before.resident + RESIDENT,
    measured: `${bytesOf(before.resident)} → ${bytesOf(after.resident)} (may grow by ${bytesOf(RESIDENT)})`,
  }
}

function sessionRow(bytes: number): Row {
  return {
    what: 'a session that is merely open costs its place in memory',
    amount: `${CACHE} sessions`,
    holds: bytes <= KEPT_BYTES,
    measured: `${Math.round(bytes)} B each (at most ${KEPT_BYTES})`,
  }
}
