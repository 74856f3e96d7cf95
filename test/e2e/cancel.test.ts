import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { VersionNegotiationMode } from '@modelcontextprotocol/client'
import { openMirrors, type Mirrors } from './support/mirror.ts'
import { until } from './support/until.ts'
import { connectV1, type V1Client } from './support/v1.ts'
import { connectV2 } from './support/v2.ts'

let mirrors: Mirrors
/** Looks at the server while others wait for it. */
let observer: V1Client
const clients: { close(): Promise<void> }[] = []

beforeAll(async () => {
  mirrors = await openMirrors()
  observer = await connectV1(mirrors.proxy.url)
})

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()))
  await observer?.close()
  await mirrors?.close()
})

interface Seen {
  readonly held: number
  readonly cancelled: readonly unknown[]
}

/** What the server has seen so far, by its own account. */
async function seenBy(client: V1Client, server: string): Promise<Seen> {
  return (await client.ask('tools/call', { name: `${server}_seen`, arguments: {} })).structuredContent as Seen
}

type Call = (name: string, signal: AbortSignal) => Promise<unknown>

async function callV1(): Promise<Call> {
  const { client } = await connectV1(mirrors.proxy.url)
  clients.push(client)
  return (name, signal) => client.callTool({ name, arguments: {} }, undefined, { signal })
}

function callV2(mode: VersionNegotiationMode): () => Promise<Call> {
  return async () => {
    const client = await connectV2(mirrors.proxy.url, mode)
    clients.push(client)
    return (name, signal) => client.callTool({ name, arguments: {} }, { signal })
  }
}

describe.each(['pipe', 'web'])('server "%s"', (server) => {
  const seen = () => seenBy(observer, server)
  let before: Seen
  beforeEach(async () => void (before = await seen()))

  test.each([
    ['SDK v1', callV1],
    ['SDK 2.x, session-based', callV2('legacy')],
    ['SDK 2.x, 2026-07-28', callV2({ pin: '2026-07-28' })],
  ])('hears that %s takes a call back', async (_, connect) => {
    const call = await connect()
    const stop = new AbortController()
    const held = call(`${server}_hold`, stop.signal)
    await until('the call is with the server', async () => (await seen()).held > before.held)
    expect((await seen()).cancelled).toEqual(before.cancelled)
    stop.abort()
    await expect(held).rejects.toThrow(/abort/i)
    await until('the server hears of it', async () => (await seen()).cancelled.length > before.cancelled.length)
    expect((await seen()).cancelled).toEqual([...before.cancelled, 'the client cancelled'])
  })
})

test('closing the proxy ends the calls that are open', async () => {
  const own = await openMirrors()
  const client = await connectV1(own.proxy.url)
  const held = client.ask('tools/call', { name: 'pipe_hold', arguments: {} })
  const failure = held.catch((error: unknown) => error)
  await until('the call is with the server', async () => (await seenBy(client, 'pipe')).held > 0)
  await own.close()
  expect(await failure).toMatchObject({ code: -32603 })
  await client.close()
})
