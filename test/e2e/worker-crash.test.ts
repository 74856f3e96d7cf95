import { Client as V2Client, StreamableHTTPClientTransport as V2Transport } from '@modelcontextprotocol/client'
import { Client as V1Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as V1Transport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterEach, expect, test } from 'vitest'
import { freePort } from '../fixtures/cli/run.ts'
import { configured, endProxies, onlyGroup, READY, startProxy } from '../fixtures/cli/proxy.ts'
import { servers } from '../harness.ts'

afterEach(endProxies)

const LONG = { name: 'everything_trigger-long-running-operation', arguments: { duration: 600, steps: 600 } }

/** Comes back until the next worker listens. */
const reconnectionOptions = {
  initialReconnectionDelay: 500,
  maxReconnectionDelay: 500,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 60,
}

type Connected = { call(onprogress: () => void): Promise<unknown>; close(): Promise<void> }

async function openV1(url: URL): Promise<Connected> {
  const client = new V1Client({ name: 'v1', version: '1' })
  await client.connect(new V1Transport(url, { reconnectionOptions }))
  return { call: (onprogress) => client.callTool(LONG, undefined, { onprogress }), close: () => client.close() }
}

async function openV2(url: URL): Promise<Connected> {
  const client = new V2Client({ name: 'v2', version: '2' })
  await client.connect(new V2Transport(url, { reconnectionOptions }))
  return { call: (onprogress) => client.callTool(LONG, { onprogress }), close: () => client.close() }
}

test.each([
  ['1.x', openV1],
  ['2.x', openV2],
])('a call of the SDK %s that a crash of the worker cuts ends with an error, not with a time-out', async (_, open) => {
  const cwd = await configured({ everything: servers.everything })
  const proxy = startProxy(cwd, ['--port', String(await freePort())], { MCP_RESTART_DELAY: '0' })
  const [, url = ''] = await proxy.until(READY)
  const { call, close } = await open(new URL(url))
  let begun = (): void => {}
  const hasBegun = new Promise<void>((resolve) => (begun = resolve))
  const ended = call(begun).catch((error: unknown) => error)
  await hasBegun
  process.kill((await onlyGroup(cwd)).owner, 'SIGKILL')
  expect(String(await ended)).toContain('The connection was lost')
  await close()
})
