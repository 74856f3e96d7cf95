/** How long after its start the proxy gives the first whole tools/list, with an empty and with a used data folder. */
import { setTimeout as wait } from 'node:timers/promises'

import { median } from './measure.ts'
import { exposedNames, isOurs, launch, type OwnName, type Servers, stdioServer } from './ours.ts'
import type { Probe, Row } from './probe.ts'
import { answers, endAll, newFolder } from './processes.ts'
import { openPool, Session } from './session.ts'
import { noise } from './table.ts'

/** Times since the process was started, in ms. */
interface Start {
  /** A client has its session. */
  readonly session: number
  /** The line `ready`. */
  readonly ready: number
  /** The first answer to tools/list, and how many of the tools it had. */
  readonly first: number
  readonly tools: number
  /** The first answer that had them all. */
  readonly complete: number
  /** `/readyz` said that every server has settled. */
  readonly settled: number
}

const TOOLS = 10
/** How long the slow server takes to answer `initialize`, in ms. */
const SLOW = 2_000
const SERVERS: Servers = { one: stdioServer(TOOLS), two: stdioServer(TOOLS), slow: stdioServer(TOOLS, SLOW) }
const EXPECTED = new Set(exposedNames(SERVERS, TOOLS))
/** Between two tries, in ms. */
const STEP = 10
const LONGEST_START = 30_000

/** Opens a session as soon as somebody listens. A proxy that tries whether a port is free resets connections meanwhile. */
async function openSession(session: Session): Promise<void> {
  const deadline = performance.now() + LONGEST_START
  for (;;) {
    try {
      return await session.open()
    } catch (error) {
      const unheard = (error as { code?: unknown }).code !== undefined // of the socket, not an answer
      if (!unheard || performance.now() > deadline) throw error
      await wait(STEP)
    }
  }
}

/** Asks until the list is whole; throws when a name comes twice or should not be there. */
async function listAll(session: Session, now: () => number): Promise<Pick<Start, 'first' | 'tools' | 'complete'>> {
  const deadline = now() + LONGEST_START
  let earliest: { readonly first: number; readonly tools: number } | undefined
  for (;;) {
    const { names } = await session.names()
    const wrong = names.find((name, at) => !EXPECTED.has(name) || names.indexOf(name) !== at)
    if (wrong !== undefined) throw new Error(`first-list: "${wrong}" is listed twice or belongs to no server`)
    earliest ??= { first: now(), tools: names.length }
    if (names.length === EXPECTED.size) return { ...earliest, complete: now() }
    if (now() > deadline) throw new Error(`first-list: still ${names.length} of ${EXPECTED.size} tools`)
    await wait(STEP)
  }
}

async function start(name: OwnName, folder: string): Promise<Start> {
  const { started, origin, spawned } = await launch(name, SERVERS, folder)
  const now = () => performance.now() - spawned
  const pool = openPool(new URL(origin), 1)
  try {
    const ready = started.ready.then(now)
    ready.catch(() => {}) // whoever waits for the list hears of it too
    const client = new Session(pool, '/mcp')
    await openSession(client)
    const session = now()
    const listed = await listAll(client, now)
    await answers(started, `${origin}/readyz`, [200], { every: STEP })
    const settled = now()
    return { session, ...listed, settled, ready: await ready }
  } finally {
    await pool.destroy()
    await endAll([started.pid])
  }
}

function row(what: string, starts: readonly Start[]): Row {
  const of = (key: keyof Start) => median(starts.map((start) => start[key]))
  const tools = `${of('tools')} of ${EXPECTED.size}`
  const complete = starts.map((start) => start.complete)
  const listed = [of('first'), tools, median(complete), noise(complete)]
  return { what, values: [of('session'), ...listed, of('settled'), of('ready')] }
}

export const firstList: Probe = {
  name: 'gateway/first-list',
  title: 'first tools/list',
  columns: ['session ms', 'first answer ms', 'tools in it', 'all tools ms', 'noise', 'all settled ms', '`ready` ms'],
  heavy: false,
  fits: ({ name }) => isOurs(name),
  async run({ name }, { rounds }) {
    if (!isOurs(name)) throw new Error(`first-list: "${name}" cannot be started`)
    const cold: Start[] = []
    const warm: Start[] = []
    for (let round = 0; round < rounds; round++) {
      const folder = newFolder()
      cold.push(await start(name, folder))
      warm.push(await start(name, folder))
    }
    return [row('cold', cold), row('warm', warm)]
  },
}
