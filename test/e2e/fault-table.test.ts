import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Seen } from '../fixtures/transport/http-server.ts'
import { openProxy, servers, type TestProxy } from '../harness.ts'
import { call, callBad, echoed, FAULTS, program, REFUSED, site, type Bad, type Fault } from './support/faults.ts'
import { holdings, untilReturned, type Holdings } from './support/holdings.ts'
import { until } from './support/until.ts'
import { openWire, type Wire } from './support/wire.ts'

// What faults.test.ts of the gateway shows is not repeated here: wrong ids, long lines, twins, too many pages, silence
// over stdio, a server that dies at once and comes back.

/** Rounds after the first, each a proxy of its own, and how often the fault shows in each. */
const ROUNDS = 3
const STRIKES = 5
/** What the heap may grow by over all rounds, in bytes: the log of a round alone is more than noise. */
const GROWTH = 2 * 1024 * 1024

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

interface Round {
  readonly proxy: TestProxy
  readonly wire: Wire
  /** What was logged about the bad server at `warn` and above. */
  said(): string
  end(): Promise<void>
}

/** A proxy in front of a healthy server and a bad one, and a client. */
async function begin(entry: object): Promise<Round> {
  const mcpServers = { healthy: servers.fault('echo'), bad: entry } as never
  const proxy = await openProxy({ mcpServers, limits: { messageBytes: 1_000_000 } })
  ends.push(proxy.close)
  const wire = await openWire(proxy.url)
  ends.push(wire.vanish)
  return {
    proxy,
    wire,
    said: () =>
      proxy.lines
        .filter(({ tag, level }) => tag === 'bad' && ['warn', 'error'].includes(level))
        .map(({ text }) => text)
        .join('\n'),
    async end() {
      for (const end of ends.splice(0).toReversed()) await end()
    },
  }
}

/** One round: the fault shows a few times, others take no harm, and it is told as it should be. */
async function play(fault: Fault): Promise<void> {
  const bad = await fault.open()
  if (bad.close) ends.push(bad.close)
  const { proxy, wire, said, end } = await begin(bad.entry)
  const state = () => proxy.kernel.upstreams.find(({ name }) => name === 'bad')?.state
  expect(state()).toBe(fault.state[0] ?? state())
  for (let strike = 0; strike < STRIKES; strike++) {
    const [got, fine] = await Promise.all([
      fault.strike?.(wire, proxy) ?? callBad(wire),
      call(wire, 'healthy_echo', { text: `${strike}` }),
    ])
    // What is down by now says so, whatever it was that took it down.
    const shows = strike === 0 || fault.state[1] === 'up'
    expect(got).toMatchObject(shows ? (fault.got as object) : REFUSED)
    expect(fine).toMatchObject(echoed(`${strike}`))
  }
  await until(`it is ${fault.state[1]}`, () => state() === fault.state[1])
  expect(said()).toMatch(fault.said)
  expect(proxy.log()).not.toContain('hidden')
  expect(proxy.log()).not.toMatch(/^error /m)
  await end()
}

beforeAll(async () => {
  // What is made once and kept: parsers, caches, compiled code.
  await play(FAULTS.find(({ name }) => name.includes('500')) as Fault)
  await play(FAULTS.find(({ name }) => name.includes('other things')) as Fault)
})

describe('faults: what the client gets, what the log says, and nothing is kept', () => {
  test.each(FAULTS)(
    '$name',
    async (fault) => {
      const start = holdings()
      await play(fault)
      const before: Holdings = await untilReturned(start, Infinity)
      for (let round = 0; round < ROUNDS; round++) await play(fault)
      await untilReturned(before, GROWTH)
    },
    60_000,
  )
})

const FLOOD = 20_000

/** As many log messages on the stream of a call, as fast as they are read, then the answer. */
async function gush(response: ServerResponse, { body }: Seen): Promise<void> {
  const tell = (message: object) => response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (let at = 1; at <= FLOOD; at++) {
    const flows = tell({ method: 'notifications/message', params: { level: 'info', data: { at } } })
    if (!flows) await once(response, 'drain')
  }
  tell({ id: body.id, result: { content: [{ type: 'text', text: `${FLOOD} messages` }] } })
  response.end()
}

describe('a flood from one server delays no other, and is not kept', () => {
  test.each([
    ['a program', 'bad_flood', program('flood')],
    ['a site', 'bad_echo', site({ 'tools/call': (response, seen) => void gush(response, seen) })],
  ] as const)('%s', async (_, tool, open) => {
    async function flood(): Promise<void> {
      const bad: Bad = await open()
      if (bad.close) ends.push(bad.close)
      const { wire, end } = await begin(bad.entry)
      let over = false
      const flooding = call(wire, tool, { count: FLOOD }).finally(() => (over = true))
      let answered = 0
      for (; !over; answered++) expect(await call(wire, 'healthy_echo', { text: 'x' })).toMatchObject(echoed('x'))
      expect(await flooding).toMatchObject(echoed(`${FLOOD} messages`))
      expect(answered).toBeGreaterThan(3)
      const logs = wire.heard.filter(({ message }) => message.method === 'notifications/message')
      expect(logs.map(({ message }) => message.params.data.at)).toEqual(
        Array.from({ length: FLOOD }, (_, at) => at + 1),
      )
      await end()
    }
    const start = holdings()
    await flood()
    const before = await untilReturned(start, Infinity)
    await flood()
    await untilReturned(before, GROWTH)
  })
})
