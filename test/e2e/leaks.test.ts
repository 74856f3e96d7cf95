import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { Agent, fetch } from 'undici'
import { JSON_HEADERS, type TestProxy } from '../harness.ts'
import { proxyFor, wireFor } from './support/ends.ts'
import { holdings, untilReturned } from './support/holdings.ts'
import { lives, statefulEntry } from './support/stateful.ts'
import { until } from './support/until.ts'
import { modernInit, openWire, type Wire } from './support/wire.ts'

const CLIENTS = 50
const SESSIONS = 2000
/** What one session may hold while its client is away, in bytes. */
const PER_SESSION = 2500

/** A client in the middle of things: a stream, a subscription, and a call that takes a while. */
async function busyLegacy(url: string, uri: string): Promise<Wire> {
  const wire = await openWire(url)
  await wire.listen()
  await wire.send('resources/subscribe', { uri }).response
  wire
    .send('tools/call', { name: 's_sleep', arguments: { ms: 1500 }, _meta: { progressToken: 1 } })
    .response.catch(() => {})
  return wire
}

/** The same in 2026-07-28; the result takes its sockets away. */
async function busyModern(url: string, uri: string): Promise<() => Promise<void>> {
  const agent = new Agent()
  const send = (method: string, params: Record<string, unknown>, id: number) =>
    fetch(url, { ...modernInit(method, params, id), dispatcher: agent })
  const listening = await send('subscriptions/listen', { notifications: { resourceSubscriptions: [uri] } }, 1)
  expect(listening.status).toBe(200)
  void listening.text().catch(() => {})
  void send('tools/call', { name: 's_sleep', arguments: { ms: 60_000 } }, 2).catch(() => {})
  return () => agent.destroy()
}

/** Clients of both eras come, half of each, and vanish without a word. */
async function comeAndVanish(proxy: TestProxy, observer: Wire, clients: number): Promise<void> {
  const legacy = await Promise.all(Array.from({ length: clients / 2 }, () => busyLegacy(proxy.url, 'state://a')))
  const modern = await Promise.all(Array.from({ length: clients / 2 }, () => busyModern(proxy.url, 'state://b')))
  await until('all are busy', async () => (await observer.tool('s_whoami')).open === clients)
  expect((await observer.tool('s_whoami')).watched.sort()).toEqual(['state://a', 'state://b'])
  await Promise.all([...legacy.map(({ vanish }) => vanish()), ...modern.map((vanish) => vanish())])
}

test('clients that vanish in the middle of things leave nothing behind', async () => {
  const proxy = await proxyFor({ mcpServers: { s: { ...statefulEntry(), isolate: 'shared' } } } as never)
  const observer = await wireFor(proxy.url)
  const settle = () =>
    until('the server has nobody left', async () => {
      const { open, watched } = await observer.tool('s_whoami')
      return open === 0 && watched.length === 0
    })
  // What is made once and kept.
  await comeAndVanish(proxy, observer, CLIENTS)
  await settle()
  const before = holdings()
  await comeAndVanish(proxy, observer, CLIENTS)
  await settle()
  // The observer's own socket may rest or have ended.
  await untilReturned({ ...before, descriptors: before.descriptors + 2 }, CLIENTS * PER_SESSION)
  expect(proxy.log()).not.toMatch(/^(error|warn) /m)
})

test('what runs for a client alone ends after idleStop when the client has vanished', async () => {
  const entry = { ...statefulEntry(), isolate: 'session', idleStop: 300 }
  const proxy = await proxyFor({ mcpServers: { s: entry } } as never)
  const pids = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const wire = await openWire(proxy.url)
      onTestFinished(wire.vanish)
      const { pid } = await wire.tool('s_whoami')
      await wire.listen()
      await wire.send('resources/subscribe', { uri: 'state://a' }).response
      // Longer than idleStop: a subscription keeps what it needs.
      await sleep(600)
      expect(lives(pid)).toBe(true)
      await wire.vanish()
      return pid as number
    }),
  )
  await until('their processes have ended', () => !pids.some(lives))
})

test('a session holds no more than its place in memory while its client is away', async () => {
  const proxy = await proxyFor({ mcpServers: { s: statefulEntry() } })
  const agent = new Agent({ connections: 4 })
  onTestFinished(() => agent.destroy())
  const capabilities = { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } }
  const initialize = async (): Promise<void> => {
    const params = { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'leaks', version: '1' } }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
    const response = await fetch(proxy.url, { method: 'POST', headers: JSON_HEADERS, body, dispatcher: agent })
    expect(response.headers.get('mcp-session-id')).toEqual(expect.any(String))
    await response.arrayBuffer()
  }
  const many = async (count: number) => {
    for (let at = 0; at < count; at += 20) await Promise.all(Array.from({ length: 20 }, initialize))
  }
  await many(200)
  const before = holdings()
  await many(SESSIONS)
  await untilReturned(before, SESSIONS * PER_SESSION)
})
