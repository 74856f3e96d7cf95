import { setTimeout as sleep } from 'node:timers/promises'
import { Client as V2Client, StreamableHTTPClientTransport as V2Transport } from '@modelcontextprotocol/client'
import { Client as V1Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as V1Transport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openProxy, servers, type TestProxy } from '../harness.ts'
import { openLine, type Line } from './support/cut.ts'

let proxy: TestProxy
let line: Line
beforeEach(async () => {
  proxy = await openProxy({ mcpServers: { everything: servers.everything } })
  line = await openLine(proxy.url)
})
afterEach(async () => {
  await line?.close()
  await proxy?.close()
})

const reconnectionOptions = {
  initialReconnectionDelay: 50,
  maxReconnectionDelay: 50,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 5,
}
const LONG = { name: 'everything_trigger-long-running-operation', arguments: { duration: 1.5, steps: 6 } }
const DONE = [{ type: 'text', text: expect.stringContaining('completed') }]

/** A `fetch` that remembers the GETs that went through. */
function counting() {
  const gets: { readonly lastEventId: string | null; readonly status: number }[] = []
  const fetcher: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    const lastEventId = new Headers(init?.headers).get('last-event-id')
    if (init?.method === 'GET') gets.push({ lastEventId, status: response.status })
    return response
  }
  return { gets, fetcher }
}

type Call = (params: typeof LONG, options: { onprogress: (progress: { progress: number }) => void }) => Promise<any>

async function openV1(fetcher: typeof fetch): Promise<{ call: Call; close(): Promise<void> }> {
  const client = new V1Client({ name: 'v1', version: '1' })
  await client.connect(new V1Transport(new URL(line.url), { fetch: fetcher, reconnectionOptions }))
  return { call: (params, options) => client.callTool(params, undefined, options), close: () => client.close() }
}

async function openV2(fetcher: typeof fetch): Promise<{ call: Call; close(): Promise<void> }> {
  const client = new V2Client({ name: 'v2', version: '2' })
  await client.connect(new V2Transport(new URL(line.url), { fetch: fetcher, reconnectionOptions }))
  return { call: (params, options) => client.callTool(params, options), close: () => client.close() }
}

test.each([
  ['1.x', openV1],
  ['2.x', openV2],
])('a client of the SDK %s gets all of a call whose connection is cut again and again, once', async (_, open) => {
  const { gets, fetcher } = counting()
  const { call, close } = await open(fetcher)
  const steps: number[] = []
  const onprogress = ({ progress }: { progress: number }): void => {
    steps.push(progress)
    // The standing stream is cut with it.
    if (progress === 1 || progress === 4) line.cut()
  }
  expect((await call(LONG, { onprogress })).content).toEqual(DONE)
  expect(steps).toEqual([1, 2, 3, 4, 5, 6])
  expect(gets.filter(({ lastEventId }) => lastEventId?.includes('.p')).length).toBeGreaterThanOrEqual(2)
  // Both streams have found their places: none takes over the other's again and again.
  await sleep(300)
  const settled = gets.length
  await sleep(500)
  expect(gets.slice(settled)).toEqual([])
  await close()
})
