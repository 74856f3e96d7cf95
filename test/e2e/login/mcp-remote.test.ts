import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dispose, folder } from '../../fixtures/cli/run.ts'
import { ROOT } from '../../harness.ts'
import { openLoginProxy, PLACES, type LoginProxy } from '../support/login-proxy.ts'

let proxy: LoginProxy
let home: string
beforeAll(async () => {
  proxy = await openLoginProxy()
  home = await folder()
})
afterAll(() => dispose())

/** The bridge that clients without OAuth of their own put before such a server; `visits`: who was sent to log in. */
async function connect(): Promise<{ client: Client; visits: readonly string[] }> {
  const script = join(ROOT, 'node_modules/mcp-remote/dist/proxy.js')
  const env = { PATH: process.env.PATH ?? '', HOME: home, MCP_REMOTE_CONFIG_DIR: home, BROWSER: 'true' }
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [script, proxy.url],
    env,
    stderr: 'pipe',
  })
  const visits: string[] = []
  let text = ''
  transport.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    const url = /(http:\/\/localhost:\d+\/authorize\?\S+)\s/.exec(text)?.[1]
    if (url === undefined || visits.includes(url)) return
    visits.push(url)
    // The person's part, and the way back to the bridge's own listener.
    void proxy.logIn(url).then(async (address) => (await fetch(address)).arrayBuffer())
  })
  const client = new Client({ name: 'a client without OAuth', version: '1' })
  await client.connect(transport, { timeout: 25_000 })
  return { client, visits }
}

describe.each(PLACES)('with people who log in at %s', (place) => {
  beforeAll(async () => {
    proxy = await openLoginProxy(place)
    home = await folder()
  })
  afterAll(async () => {
    await dispose()
    await proxy?.close()
  })

  test('mcp-remote logs in once, works, and needs nobody the next time', async () => {
    const first = await connect()
    const call = { name: 'everything_echo', arguments: { message: 'through mcp-remote' } }
    const echoed = { content: [{ type: 'text', text: 'Echo: through mcp-remote' }] }
    expect(await first.client.callTool(call)).toMatchObject(echoed)
    expect(first.visits).toHaveLength(1)
    await first.client.close()

    const second = await connect()
    expect(await second.client.callTool(call)).toMatchObject(echoed)
    expect(second.visits).toEqual([])
    await second.client.close()
  })
})
