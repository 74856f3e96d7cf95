/** The load, in a process of its own so that its CPU is nobody's: told over IPC to open sessions and to run rounds. */
import type { Pool } from 'undici'

import type { Opening, Order, Report, Round } from './load.ts'
import { type GetStream, openPool, openStreamPool, Session } from './session.ts'

let target: URL | undefined
let pool: Pool | undefined
let sessions: Session[] = []
let streams: readonly GetStream[] = []
let streamPool: Pool | undefined
let inFlight = 1
let echo = 0

async function open({ url, sessions: count, inFlight: most, token }: Opening): Promise<void> {
  target = new URL(url)
  const { pathname } = target
  inFlight = Math.min(count, most)
  const connections = (pool = openPool(target, inFlight))
  sessions = Array.from({ length: count }, () => new Session(connections, pathname, token))
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

function call(session: Session, { calls, size }: Round): Promise<number> {
  return session.call(calls[++echo % calls.length] ?? '', size, echo)
}

function request(session: Session, round: Round): Promise<number> {
  return round.op === 'list' ? session.list(round.tools) : call(session, round)
}

/** Opens the GET stream of the first `count` sessions; they stay open, and `ping` tells when one did not. */
async function listen(count: number): Promise<void> {
  const wanted = new Set(sessions.slice(0, count))
  if (target === undefined || wanted.size < count) throw new Error(`${count} streams need as many sessions`)
  const connections = (streamPool = openStreamPool(target, count))
  const opened: GetStream[] = []
  await lanes(async (own) => {
    for (const session of own) if (wanted.has(session)) opened.push(await session.listen(connections))
  })
  streams = opened
}

/** Every session asks `times` times; throws when one is unknown by now, or when a GET stream has ended. */
async function ping(times: number): Promise<void> {
  for (let turn = 0; turn < times; turn++) await eachOnce((session) => session.ping())
  const ended = streams.filter((stream) => !stream.open).length
  if (ended > 0) throw new Error(`${ended} of ${streams.length} GET streams ended by themselves`)
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
  if (order.kind === 'open') await open(order)
  else if (order.kind === 'listen') await listen(order.count)
  else if (order.kind === 'ping') await ping(order.times)
  else await close()
  return undefined
}

async function close(): Promise<void> {
  await eachOnce((session) => session.close())
  await streamPool?.destroy()
  await pool?.close()
}

process.on('message', (order: Order) => {
  obey(order).then(
    (report) => process.send?.({ report }),
    (error: Error) => process.send?.({ error: error.message }),
  )
})
process.on('disconnect', () => process.exit(0))
