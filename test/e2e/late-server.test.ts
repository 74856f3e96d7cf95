import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { node, openProxy, type TestProxy } from '../harness.ts'
import { until } from './support/until.ts'
import { connectV1 } from './support/v1.ts'
import { connectV2 } from './support/v2.ts'

const MIRROR = node('test/fixtures/e2e/mirror-server.ts', 'stdio')

let folder: string
let signal: string
let proxy: TestProxy

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-proxy-late-'))
  signal = join(folder, 'go')
  proxy = await openProxy(
    {
      mcpServers: { early: MIRROR, late: { ...MIRROR, env: { MIRROR_WAIT: signal } } },
      limits: { firstListWait: 0 },
    },
    { settled: false },
  )
  await until('the early server is up', () => stateOf('early') === 'up')
  // Changes are gathered for 50 ms by a timer of this very process: the news of the early server is out after this.
  await sleep(100)
})

afterEach(async () => {
  await proxy.close()
  await rm(folder, { recursive: true, force: true })
})

const stateOf = (name: string) => proxy.kernel.upstreams.find((each) => each.name === name)?.state
const go = () => writeFile(signal, '')
const serversOf = (tools: readonly { readonly name: string }[]) => [
  ...new Set(tools.map(({ name }) => name.split('_')[0])),
]

/** A fetch that tells when the client's stream for messages outside of requests is open. */
function watchStream() {
  const watched = { open: false, fetch }
  watched.fetch = async (...args: Parameters<typeof fetch>) => {
    const response = await fetch(...args)
    if (args[1]?.method === 'GET' && response.ok) watched.open = true
    return response
  }
  return watched
}

test('SDK v1 hears of it on its GET stream', async () => {
  const stream = watchStream()
  const { client, close } = await connectV1(proxy.url, stream.fetch)
  let changed = 0
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changed++)
  await until('the stream is open', () => stream.open)
  expect(serversOf((await client.listTools()).tools)).toEqual(['early'])
  expect(stateOf('late')).toBe('connecting')
  expect(changed).toBe(0)
  await go()
  await until('list_changed', () => changed > 0)
  expect(serversOf((await client.listTools()).tools)).toEqual(['early', 'late'])
  await close()
})

test('SDK 2.x of the session-based revisions gets the new list by itself', async () => {
  const stream = watchStream()
  let heard: readonly { readonly name: string }[] | null = null
  const client = await connectV2(proxy.url, 'legacy', {
    fetch: stream.fetch,
    listChanged: { tools: { onChanged: (_, tools) => void (heard = tools) } },
  })
  await until('the stream is open', () => stream.open)
  expect(serversOf((await client.listTools()).tools)).toEqual(['early'])
  await go()
  expect(serversOf(await until('the new list', () => heard))).toEqual(['early', 'late'])
  await client.close()
})

test('SDK 2.x of 2026-07-28 gets the new list by itself, over subscriptions/listen', async () => {
  let heard: readonly { readonly name: string }[] | null = null
  const client = await connectV2(
    proxy.url,
    { pin: '2026-07-28' },
    {
      listChanged: { tools: { onChanged: (_, tools) => void (heard = tools) } },
    },
  )
  expect(client.autoOpenedSubscription?.honoredFilter).toEqual({ toolsListChanged: true })
  expect(serversOf((await client.listTools()).tools)).toEqual(['early'])
  await go()
  expect(serversOf(await until('the new list', () => heard))).toEqual(['early', 'late'])
  await client.close()
})

test('a subscription hears only of what it asked for, and ends in order with the proxy', async () => {
  const client = await connectV2(proxy.url, 'auto')
  const heard: string[] = []
  client.setNotificationHandler('notifications/tools/list_changed', () => void heard.push('tools'))
  client.setNotificationHandler('notifications/prompts/list_changed', () => void heard.push('prompts'))
  const prompts = await client.listen({ promptsListChanged: true })
  expect(prompts.honoredFilter).toEqual({ promptsListChanged: true })
  const tools = await client.listen({ toolsListChanged: true })
  await go()
  await until('list_changed', () => heard.length > 0)
  expect(heard).toEqual(['tools'])
  await proxy.kernel.close()
  expect(await Promise.all([prompts.closed, tools.closed])).toEqual(['graceful', 'graceful'])
  await client.close()
})

test('a call for a server that is not there yet waits as long as it may, then is refused', async () => {
  const client = await connectV2(proxy.url, 'auto')
  await expect(client.callTool({ name: 'late_seen', arguments: {} })).rejects.toMatchObject({ code: -32602 })
  await go()
  await until('the late server is up', () => stateOf('late') === 'up')
  expect(await client.callTool({ name: 'late_seen', arguments: {} })).toMatchObject({ structuredContent: { held: 0 } })
  await client.close()
})
