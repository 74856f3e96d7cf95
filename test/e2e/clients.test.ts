import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client as ClientV2, VersionNegotiationMode } from '@modelcontextprotocol/client'
import type { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openProxy, servers, type TestProxy } from '../harness.ts'
import { inspect } from './support/inspector.ts'
import { connectV1 } from './support/v1.ts'
import { connectV2 } from './support/v2.ts'

let proxy: TestProxy
let home: string

beforeAll(async () => {
  proxy = await openProxy({ mcpServers: { everything: servers.everything } })
  home = await mkdtemp(join(tmpdir(), 'mcp-proxy-inspector-'))
})

afterAll(async () => {
  await proxy?.close()
  await rm(home, { recursive: true, force: true })
})

/** What every client library can do, seen alike. */
interface Steps {
  readonly version: string | undefined
  readonly era: 'legacy' | 'modern'
  tools(): Promise<readonly string[]>
  call(name: string, args: Record<string, unknown>, onprogress?: (progress: unknown) => void): Promise<unknown>
  read(uri: string): Promise<unknown>
  prompt(name: string, args: Record<string, string>): Promise<unknown>
  ping?(): Promise<unknown>
  close(): Promise<void>
}

const SDKS: readonly [string, () => Promise<Steps>][] = [
  ['SDK v1', stepsOfV1],
  ['SDK 2.x by default', () => stepsOfV2('legacy')],
  ['SDK 2.x that negotiates', () => stepsOfV2('auto')],
  ['SDK 2.x pinned to 2026-07-28', () => stepsOfV2({ pin: '2026-07-28' })],
]

async function stepsOfV1(): Promise<Steps> {
  const { client } = await connectV1(proxy.url)
  return {
    version: (client.transport as StreamableHTTPClientTransport).protocolVersion,
    era: 'legacy',
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: (name, args, onprogress) =>
      client.callTool({ name, arguments: args }, undefined, { ...(onprogress && { onprogress }) }),
    read: (uri) => client.readResource({ uri }),
    prompt: (name, args) => client.getPrompt({ name, arguments: args }),
    ping: () => client.ping(),
    close: () => client.close(),
  }
}

async function stepsOfV2(mode: VersionNegotiationMode): Promise<Steps> {
  const client: ClientV2 = await connectV2(proxy.url, mode)
  const era = client.getProtocolEra() ?? 'legacy'
  return {
    version: client.getNegotiatedProtocolVersion(),
    era,
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: (name, args, onprogress) => client.callTool({ name, arguments: args }, { ...(onprogress && { onprogress }) }),
    read: (uri) => client.readResource({ uri }),
    prompt: (name, args) => client.getPrompt({ name, arguments: args }),
    ...(era === 'legacy' && { ping: () => client.ping() }),
    close: () => client.close(),
  }
}

describe.each(SDKS)('%s', (name, connect) => {
  let steps: Steps
  beforeAll(async () => void (steps = await connect()))
  afterAll(() => steps?.close())

  test('speaks the revision it wants', () => {
    const modern = /negotiates|pinned/.test(name)
    expect(steps).toMatchObject(
      modern ? { era: 'modern', version: '2026-07-28' } : { era: 'legacy', version: '2025-11-25' },
    )
  })

  test('lists the tools', async () => {
    expect(await steps.tools()).toEqual(expect.arrayContaining(['everything_echo', 'everything_get-tiny-image']))
  })

  test('calls a tool, and checks its structured result against the listed schema', async () => {
    await steps.tools()
    expect(await steps.call('everything_get-structured-content', { location: 'Chicago' })).toMatchObject({
      structuredContent: { temperature: 36, conditions: 'Light rain / drizzle', humidity: 82 },
    })
  })

  test('calls a tool with progress', async () => {
    const heard: unknown[] = []
    const args = { duration: 0.2, steps: 4 }
    const result = await steps.call('everything_trigger-long-running-operation', args, (progress) =>
      heard.push(progress),
    )
    expect(heard).toMatchObject([1, 2, 3, 4].map((progress) => ({ progress, total: 4 })))
    expect(result).toMatchObject({ content: [{ text: expect.stringContaining('completed') }] })
  })

  test('reads a resource', async () => {
    const uri = 'demo://resource/dynamic/text/7'
    expect(await steps.read(uri)).toMatchObject({
      contents: [{ uri, text: expect.stringContaining('Resource 7') }],
    })
  })

  test('gets a prompt', async () => {
    expect(await steps.prompt('everything_args-prompt', { city: 'Bern' })).toMatchObject({
      messages: [{ role: 'user', content: { text: "What's weather in Bern?" } }],
    })
  })

  test('is told what is wrong', async () => {
    await expect(steps.call('everything_nope', {})).rejects.toMatchObject({
      code: -32602,
      message: expect.stringContaining('Unknown tool: everything_nope'),
    })
    await expect(steps.prompt('nope', {})).rejects.toMatchObject({ code: -32602 })
    await expect(steps.read('nope://nothing')).rejects.toMatchObject({
      message: expect.stringMatching(/nope:\/\/nothing/),
    })
  })

  test('is answered when it pings', async () => {
    // 2026-07-28 has no ping.
    expect(await steps.ping?.()).toEqual(steps.era === 'legacy' ? {} : undefined)
  })
})

describe.each(['legacy', 'auto', 'modern'])('the Inspector, %s', (era) => {
  const run = (...args: string[]) => inspect(proxy.url, home, '--protocol-era', era, ...args)

  test('lists the tools', async () => {
    const { code, output } = await run('--method', 'tools/list')
    expect(output).toMatchObject({ result: { tools: expect.arrayContaining([expect.anything()]) } })
    expect(JSON.stringify(output)).toContain('"everything_echo"')
    expect(code).toBe(0)
  })

  test('calls a tool', async () => {
    const args = ['--tool-name', 'everything_echo', '--tool-arg', 'message=hello ☃']
    const ran = await run('--method', 'tools/call', ...args)
    expect(ran).toMatchObject({
      code: 0,
      output: { result: { content: [{ type: 'text', text: 'Echo: hello ☃' }] } },
    })
    // Only 2026-07-28 results say who answered.
    expect(JSON.stringify(ran.output).includes('io.modelcontextprotocol/serverInfo')).toBe(era !== 'legacy')
  })

  test('calls a tool that makes progress', async () => {
    const args = ['--tool-name', 'everything_trigger-long-running-operation', '--tool-arg', 'duration=0.2', 'steps=2']
    expect(await run('--method', 'tools/call', ...args)).toMatchObject({
      code: 0,
      output: { result: { content: [{ text: expect.stringContaining('completed') }] } },
    })
  })

  test('reads a resource', async () => {
    const uri = 'demo://resource/dynamic/text/7'
    expect(await run('--method', 'resources/read', '--uri', uri)).toMatchObject({
      code: 0,
      output: { result: { contents: [{ uri, text: expect.stringContaining('Resource 7') }] } },
    })
  })

  test('gets a prompt', async () => {
    const args = ['--prompt-name', 'everything_args-prompt', '--prompt-args', 'city=Bern']
    expect(await run('--method', 'prompts/get', ...args)).toMatchObject({
      code: 0,
      output: { result: { messages: [{ content: { text: "What's weather in Bern?" } }] } },
    })
  })

  test('is told what is wrong', async () => {
    const { code, output } = await run('--method', 'prompts/get', '--prompt-name', 'everything_nope')
    expect(code).not.toBe(0)
    expect(JSON.stringify(output)).toContain('Unknown prompt: everything_nope')
  })
})
