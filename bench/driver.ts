/** The load, in a process of its own so that its CPU is nobody's: told over IPC to open sessions and to run rounds. */
import type { Pool } from 'undici'

import type { Order, Report, Round } from './load.ts'
import { openPool, Session } from './session.ts'

let pool: Pool | undefined
let sessions: Session[] = []
let inFlight = 1
let echo = 0

async function open(url: string, count: number, most: number): Promise<void> {
  const target = new URL(url)
  inFlight = Math.min(count, most)
  const connections = (pool = openPool(target, inFlight))
  sessions = Array.from({ length: count }, () => new Session(connections, target.pathname))
  await eachOnce((session) => session.open())
}

/** Lane k has the sessions k, k + lanes, k + 2 · lanes …: one request of a lane at a time, its sessions in turn. */
function lanes(work: (own: readonly Session[]) => Promise<void>): Promise<unknown> {
  const lane = (first: number) => work(sessions.filter((_, at) => at % inFlight === first))
  return Promise.all(Array.from({ length: inFlight }, (_, first) => lane(first)))
}

function eachOnce(once: (session: Session) => Promise<void>): Promise<unknown> {
  return lanes(async (own) => {
    for (const session of own) await once(session)
  })
}

function request(session: Session, round: Round): Promise<number> {
  return round.op === 'list' ? session.list(round.tools) : session.call(round.tool, round.size, ++echo)
}

/** Closed loop: every lane sends the next request when the last one was answered, until time or number is up. */
async function run(round: Round): Promise<Report> {
  const took: number[] = []
  const from = performance.now()
  const until = from + round.ms
  let left = round.limit
  await lanes(async (own) => {
    for (let turn = 0; left > 0 && performance.now() < until; turn++) {
      const session = own[turn % own.length]
      if (session === undefined) return
      left--
      took.push(await request(session, round))
    }
  })
  const seconds = (performance.now() - from) / 1_000
  const sorted = Float64Array.from(took).toSorted()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { requests: took.length, seconds, p50: at(0.5), p99: at(0.99) }
}

async function obey(order: Order): Promise<Report | undefined> {
  if (order.kind === 'run') return run(order.round)
  if (order.kind === 'open') {
    await open(order.url, order.sessions, order.inFlight)
    return undefined
  }
  await eachOnce((session) => session.close())
  await pool?.close()
  return undefined
}

process.on('message', (order: Order) => {
  obey(order).then(
    (report) => process.send?.({ report }),
    (error: Error) => process.send?.({ error: error.message }),
  )
})
process.on('disconnect', () => process.exit(0))
