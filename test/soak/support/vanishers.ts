import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, fetch } from 'undici'
import { modernInit, openWire } from '../../e2e/support/wire.ts'
import { statefulEntry } from '../../e2e/support/stateful.ts'
import { JSON_HEADERS } from '../../harness.ts'
import { NAME_VARIABLE } from './processes.ts'
import type { Servers } from './proxy.ts'

/** A client that comes, does something, and is gone without a word: every socket of it is destroyed. */
type Vanisher = (url: string) => Promise<void>

/** The server that all share, and the one of which each client has its own (`stateful-server.ts`). */
export const SHARED = 's'
export const OWN = 'own'

/** Ms after which a client's own server rests. */
const IDLE_STOP = 500

/** What vanishers need in `mcpServers`. */
export function serversForVanishers(): Servers {
  return {
    [SHARED]: { ...statefulEntry(), isolate: 'shared' },
    [OWN]: { ...statefulEntry(), env: { [NAME_VARIABLE]: OWN }, isolate: 'session', idleStop: IDLE_STOP },
  }
}

/** How long (ms) a call goes on that nobody waits for: a session's is not cancelled by a cut, one of 2026-07-28 is. */
const GOES_ON = 1500
const FOR_EVER = 300_000
/** How long (ms) until a request is under way. */
const UNDER_WAY = 60

const initialized: Vanisher = async (url) => {
  const wire = await openWire(url)
  await wire.vanish()
}

const called: Vanisher = async (url) => {
  const wire = await openWire(url)
  await wire.tool(`${SHARED}_log`, { mark: 'vanishing', count: 2 })
  await wire.vanish()
}

const calling: Vanisher = async (url) => {
  const wire = await openWire(url)
  const _meta = { progressToken: 1 }
  wire.send('tools/call', { name: `${SHARED}_sleep`, arguments: { ms: GOES_ON }, _meta }).response.catch(() => {})
  await sleep(UNDER_WAY)
  await wire.vanish()
}

const listening: Vanisher = async (url) => {
  const wire = await openWire(url)
  await wire.listen()
  await wire.send('resources/subscribe', { uri: 'state://a' }).response
  await wire.vanish()
}

/** It never answers what the server asks it. */
const asked: Vanisher = async (url) => {
  const wire = await openWire(url, { answer: () => undefined })
  wire.send('tools/call', { name: `${OWN}_ask`, arguments: { mark: 'vanishing' } }).response.catch(() => {})
  await waitFor(() => wire.heard.some(({ message }) => message.method === 'elicitation/create'))
  await wire.vanish()
}

const subscribedAlone: Vanisher = async (url) => {
  const wire = await openWire(url)
  await wire.listen()
  await wire.send('resources/subscribe', { uri: 'state://b' }).response
  await wire.tool(`${OWN}_whoami`)
  await wire.vanish()
}

const halfOpen: Vanisher = async (url) => {
  const agent = new Agent()
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'half', version: '1' } }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  await fetch(url, { method: 'POST', headers: JSON_HEADERS, body, dispatcher: agent })
  await agent.destroy()
}

const modernCalling: Vanisher = async (url) => {
  const agent = new Agent()
  const init = modernInit('tools/call', { name: `${SHARED}_sleep`, arguments: { ms: FOR_EVER } }, 1)
  fetch(url, { ...init, dispatcher: agent }).catch(() => {})
  await sleep(UNDER_WAY)
  await agent.destroy()
}

const modernListening: Vanisher = async (url) => {
  const agent = new Agent()
  const notifications = { resourceSubscriptions: ['state://c'], toolsListChanged: true }
  const response = await fetch(url, { ...modernInit('subscriptions/listen', { notifications }, 1), dispatcher: agent })
  response.text().catch(() => {})
  await agent.destroy()
}

/** Half a body, half of the headers, and nothing at all. */
const halfSent: Vanisher = async (url) => {
  const { host, pathname, port, hostname } = new URL(url)
  const head = `POST ${pathname} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`
  for (const text of [`${head}Content-Length: 1000\r\n\r\n{"jsonrpc":"2.0","id":1,`, head, '']) {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('connect', resolve))
    if (text !== '') socket.write(text)
    await sleep(UNDER_WAY)
    socket.destroy()
  }
}

/** Those with a server process of their own are rare: each costs the start of a program. */
const ALL: readonly Vanisher[] = [
  initialized,
  called,
  calling,
  listening,
  halfOpen,
  modernCalling,
  modernListening,
  halfSent,
]
const WITH_OWN: readonly Vanisher[] = [asked, subscribedAlone]
/** One client in so many has a server of its own. */
const RARITY = 20
/** So many come at the same time. */
const AT_ONCE = 20

/** Lets so many clients come and vanish, some at a time. */
export async function vanishMany(url: string, count: number, isOver: () => boolean): Promise<void> {
  let next = 0
  async function lane(): Promise<void> {
    while (next < count && !isOver()) await vanishOne(url, next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

/** How many of so many have a server of their own. */
export function countWithOwn(count: number): number {
  return Math.ceil(count / RARITY)
}

/** One of them; every number has its own way to do it. */
export async function vanishOne(url: string, index: number): Promise<void> {
  const turn = Math.floor(index / RARITY)
  const [from, at] = index % RARITY === 0 ? [WITH_OWN, turn] : [ALL, index]
  await from[at % from.length]?.(url)
}

async function waitFor(look: () => boolean): Promise<void> {
  for (let waited = 0; !look(); waited += 10) {
    if (waited > 20_000) throw new Error('the server did not ask within 20 s')
    await sleep(10)
  }
}
