/** One proxy in front of 100 servers, beside the same proxy in front of one: its start, its list, its memory, its calls. */
import { freemem } from 'node:os'

import { type Effort, IN_FLIGHT } from './cells.ts'
import { type Load, openLoad } from './load.ts'
import { median, usage } from './measure.ts'
import { exposedNames, isOurs, launch, type OwnName, type Servers, stdioServer } from './ours.ts'
import type { Probe, Row } from './probe.ts'
import { answers, endAll, newFolder, type Started } from './processes.ts'
import { openPool, Session } from './session.ts'

const MANY = 100
const TOOLS = 100
/** Listings after the first. */
const LISTINGS = 5
/** Sessions that call. */
const SESSIONS = 16
/** Until 100 servers have settled, in ms. */
const LONGEST_START = 120_000
/** Memory that 100 Node processes need, with room, in bytes. */
const MEMORY = 8 * 1_024 ** 3
const MIB = 1_048_576

/** A proxy that is up, and what its start and its lists took, in ms. */
interface Fleet {
  readonly started: Started
  readonly url: string
  readonly servers: Servers
  readonly ready: number
  readonly settled: number
  readonly list: number
  readonly again: number
  readonly pages: number
}

/** Calls of one kind: who is called, and the CPU of the proxy in µs per call, round by round. */
interface Lane {
  readonly what: string
  readonly fleet: Fleet
  readonly load: Load
  /** Tools that are called in turn. */
  readonly calls: readonly string[]
  readonly cpu: number[]
}

function serversOf(count: number): Servers {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`up${n}`, stdioServer(TOOLS)]))
}

/** Lists every tool and checks the names. */
async function list(session: Session, servers: Servers): Promise<{ readonly took: number; readonly pages: number }> {
  const { names, pages, took } = await session.names()
  const expected = exposedNames(servers, TOOLS).toSorted()
  const right = names.length === expected.length && names.toSorted().every((name, at) => name === expected[at])
  if (!right)
    throw new Error(`many-upstreams: the ${names.length} tools listed are not the ${expected.length} there are`)
  return { took, pages }
}

async function begin(name: OwnName, count: number, fleets: Fleet[]): Promise<void> {
  const servers = serversOf(count)
  const { started, origin, spawned } = await launch(name, servers, newFolder())
  const pool = openPool(new URL(origin), 1)
  try {
    await started.ready
    const ready = performance.now() - spawned
    await answers(started, `${origin}/readyz`, [200], { within: LONGEST_START })
    const settled = performance.now() - spawned
    const session = new Session(pool, '/mcp')
    await session.open()
    const { took, pages } = await list(session, servers)
    const later: number[] = []
    while (later.length < LISTINGS) later.push((await list(session, servers)).took)
    await session.close()
    fleets.push({ started, url: `${origin}/mcp`, servers, ready, settled, list: took, again: median(later), pages })
  } catch (error) {
    await endAll([started.pid])
    throw error
  } finally {
    await pool.destroy()
  }
}

/** One round of a lane; µs of CPU per call. */
async function call({ fleet, load, calls }: Lane, ms: number): Promise<number> {
  const roots = [fleet.started.pid]
  const before = usage(roots).cpu
  const { requests } = await load.run({ op: 'call', calls, size: 100, tools: 0, ms, limit: 200_000 })
  return ((usage(roots).cpu - before) * 1_000) / requests
}

async function callInTurn(lanes: readonly Lane[], effort: Effort): Promise<void> {
  for (const lane of lanes) await call(lane, effort.warmUp)
  for (let round = 0; round < effort.rounds; round++) {
    for (const lane of lanes) lane.cpu.push(await call(lane, effort.measure))
  }
}

async function openLanes(fleets: readonly Fleet[], lanes: Lane[]): Promise<void> {
  for (const fleet of fleets) {
    const all = Object.keys(fleet.servers).map((server) => `${server}_r100`)
    const load = await openLoad({ url: fleet.url, sessions: SESSIONS, inFlight: IN_FLIGHT })
    lanes.push({ what: `${all.length}, one called`, fleet, load, calls: all.slice(-1), cpu: [] })
    if (all.length > 1) lanes.push({ what: `${all.length}, all called`, fleet, load, calls: all, cpu: [] })
  }
}

function row(lane: Lane, first: Lane): Row {
  const { ready, settled, list, again, pages, started } = lane.fleet
  const ratio = median(lane.cpu.map((value, round) => value / (first.cpu[round] ?? NaN)))
  const listing = [`${pages}`, list, again]
  const calls = [median(lane.cpu), lane === first ? '' : ratio]
  return { what: lane.what, values: [ready, settled, ...listing, usage([started.pid]).rss / MIB, ...calls] }
}

async function measure(name: OwnName, effort: Effort): Promise<readonly Row[]> {
  const fleets: Fleet[] = []
  const lanes: Lane[] = []
  try {
    for (const count of [1, MANY]) await begin(name, count, fleets)
    await openLanes(fleets, lanes)
    await callInTurn(lanes, effort)
    const [first] = lanes
    return first === undefined ? [] : lanes.map((lane) => row(lane, first))
  } finally {
    await Promise.all(lanes.map(({ load }) => load.abandon()))
    await Promise.all(fleets.map(({ started }) => endAll([started.pid])))
  }
}

export const manyUpstreams: Probe = {
  name: 'gateway/upstreams-100',
  title: '100 stdio upstreams with 100 tools each',
  columns: ['`ready` ms', 'settled ms', 'pages', 'list ms', 'again ms', 'RSS MiB', 'CPU µs/call', '÷ 1 upstream'],
  heavy: true,
  fits: ({ name }) => name === 'ours',
  async run({ name }, effort) {
    if (!isOurs(name)) throw new Error(`many-upstreams: "${name}" cannot be started`)
    if (freemem() < MEMORY) throw new Error(`many-upstreams: needs ${MEMORY / MIB} MiB of free memory`)
    return measure(name, effort)
  },
}
