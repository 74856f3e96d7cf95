/** What a session costs that is open and does nothing, and what its GET stream adds. */
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

import { BASE_CELL, IN_FLIGHT } from './cells.ts'
import { type Load, openLoad } from './load.ts'
import { type Usage, usage } from './measure.ts'
import type { Probe, Row } from './probe.ts'
import type { Running } from './subjects.ts'

/** Sessions per subject; those of `mcp-proxy` are so much larger that fewer show as well. */
const SESSIONS: Readonly<Record<string, number>> = { ours: 10_000, 'mcp-proxy': 1_000, 'mcp-proxy-lean': 1_000 }
const STREAMS = 1_000
/** Descriptors that a process may need besides the streams. */
const SPARE = 256
/** Quiet before memory is read, in ms. */
const SETTLE = 3_000
const MIB = 1_048_576

function checkDescriptors(): void {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  if (limit === undefined || Number(limit) >= STREAMS + SPARE) return
  throw new Error(`idle: ${STREAMS} streams need ${STREAMS + SPARE} open files, the limit is ${limit}: see ulimit -n`)
}

/** As many requests as the sessions will take to open: their code is compiled and the heap has its size. */
async function warmUp(url: string, requests: number): Promise<void> {
  const load = await openLoad({ url, sessions: IN_FLIGHT, inFlight: IN_FLIGHT })
  try {
    await load.ping(Math.ceil(requests / IN_FLIGHT))
  } finally {
    await load.close()
  }
}

function row(what: string, count: number, before: Usage, after: Usage): Row {
  const each = (after.rss - before.rss) / count
  const cpu = ((after.cpu - before.cpu) * 1_000) / count
  return { what: `${count.toLocaleString('en-US')} ${what}`, values: [before.rss / MIB, after.rss / MIB, each, cpu] }
}

async function fill(load: Load, running: Running, sessions: number, empty: Usage): Promise<readonly Row[]> {
  const full = await rest(running)
  await load.listen(STREAMS)
  const streaming = await rest(running)
  await load.ping(1) // a session or stream that is gone costs nothing and must not count
  return [row('sessions', sessions, empty, full), row('GET streams', STREAMS, full, streaming)]
}

async function rest({ roots }: Running): Promise<Usage> {
  await wait(SETTLE)
  return usage(roots)
}

/** The vanishing at the end is part of it: nobody says goodbye, the processes are ended. */
export const idle: Probe = {
  name: 'gateway/idle',
  title: 'idle sessions and streams',
  columns: ['RSS before MiB', 'RSS after MiB', 'bytes each', 'CPU µs to open'],
  heavy: true,
  fits: ({ name }) => SESSIONS[name] !== undefined,
  async run(subject) {
    checkDescriptors()
    const sessions = SESSIONS[subject.name] ?? 0
    const running = await subject.start(BASE_CELL)
    try {
      await warmUp(running.url, 2 * sessions)
      const empty = await rest(running)
      const load = await openLoad({ url: running.url, sessions, inFlight: IN_FLIGHT })
      try {
        return await fill(load, running, sessions, empty)
      } finally {
        await load.abandon()
      }
    } finally {
      await running.close()
    }
  },
}
