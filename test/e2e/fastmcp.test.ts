import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openProxy, ROOT, servers, type TestProxy } from '../harness.ts'
import { freePort } from './support/port.ts'
import { until } from './support/until.ts'

const script = join(ROOT, 'test/fixtures/e2e/fastmcp_server.py')
const uvx = (...args: string[]) => ['--from', 'fastmcp==4.1.2', 'fastmcp', 'run', script, '--no-banner', ...args]
const env = { UV_PYTHON_DOWNLOADS: 'never', FASTMCP_CHECK_FOR_UPDATES: 'off' }

const started: ChildProcess[] = []
let proxy: TestProxy
let client: Client

/** Runs the server on a port of its own; ends with the test. */
async function start(transport: 'sse' | 'http'): Promise<string> {
  const port = await freePort()
  const args = uvx('--transport', transport, '--host', '127.0.0.1', '--port', String(port))
  started.push(spawn('uvx', args, { env: { ...process.env, ...env }, detached: true, stdio: 'ignore' }))
  const path = transport === 'sse' ? 'sse' : 'mcp'
  const url = `http://127.0.0.1:${port}/${path}`
  await until(`FastMCP over ${transport}`, () => answers(url), 120_000)
  return url
}

/** Any HTTP answer will do: an event stream is left at once. */
async function answers(url: string): Promise<boolean> {
  const stop = new AbortController()
  try {
    return (await fetch(url, { headers: { accept: 'text/event-stream' }, signal: stop.signal })).status > 0
  } catch {
    return false
  } finally {
    stop.abort()
  }
}

beforeAll(async () => {
  const [sse, http] = await Promise.all([start('sse'), start('http')])
  proxy = await openProxy({
    plugins: ['transport-stdio', 'transport-streamable', 'transport-sse', 'storage-fs'],
    mcpServers: {
      // It speaks both eras, but its "elicit" only the older one.
      stdio: { command: 'uvx', args: uvx('--transport', 'stdio'), env, protocol: 'legacy' },
      http: { type: 'http', url: http, protocol: 'legacy' },
      sse: { type: 'sse', url: sse },
      // No type: Streamable HTTP is tried first, then what the URL really speaks.
      found: { url: sse },
      everything: servers.everything,
      program: { command: 'uvx', args: uvx('--transport', 'stdio'), env },
      modern: { type: 'http', url: http },
    },
  })
  client = new Client({ name: 'asked', version: '1' }, { capabilities: { sampling: {}, elicitation: {} } })
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { colour: 'green' } }))
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => ({
    model: 'test',
    role: 'assistant',
    content: { type: 'text', text: `sampled ${params.messages.length}` },
  }))
  await client.connect(new StreamableHTTPClientTransport(new URL(proxy.url)))
}, 240_000)

afterAll(async () => {
  await client?.close()
  await proxy?.close()
  for (const { pid } of started) if (pid !== undefined) process.kill(-pid, 'SIGKILL')
})

const textOf = async (name: string, args: Record<string, unknown> = {}, steps: number[] = []) => {
  const onprogress = ({ progress }: { progress: number }) => void steps.push(progress)
  const result = await client.callTool({ name, arguments: args }, undefined, { onprogress })
  return (result.content as { text: string }[])[0]?.text
}

test('every server is up', () => {
  expect(proxy.kernel.upstreams.map(({ name, state, tools }) => [name, state, tools])).toEqual([
    ['stdio', 'up', 3],
    ['http', 'up', 3],
    ['sse', 'up', 3],
    ['found', 'up', 3],
    ['everything', 'up', expect.any(Number)],
    ['program', 'up', 3],
    ['modern', 'up', 3],
  ])
})

test('of those that are asked, the ones that speak 2026-07-28 are spoken to in it', () => {
  const era = (server: string) =>
    proxy.lines
      .find(({ tag, text }) => tag === server && text.startsWith('speaks the ') && text.includes(' era: '))
      ?.text.split(' ')[2]
  expect(['found', 'everything', 'program', 'modern'].map(era)).toEqual(['legacy', 'legacy', 'modern', 'modern'])
})

describe.each(['stdio', 'http', 'sse', 'found', 'program', 'modern'])('a FastMCP server (%s)', (name) => {
  test('computes', async () => expect(await textOf(`${name}_add`, { a: 20, b: 22 })).toBe('42'))

  test('reports progress', async () => {
    const steps: number[] = []
    expect(await textOf(`${name}_count`, { to: 5 }, steps)).toBe('counted to 5')
    expect(steps).toEqual([1, 2, 3, 4, 5])
  })

  test('asks the user, where it can', async () => {
    const isModern = name === 'program' || name === 'modern'
    expect(await textOf(`${name}_ask`)).toMatch(isModern ? 'unavailable on 2026-07-28' : /^green$/)
  })

  test('gives prompts', async () => {
    const { messages } = await client.getPrompt({ name: `${name}_review`, arguments: { code: 'x = 1' } })
    expect(messages[0]?.content).toMatchObject({ type: 'text', text: 'Review this: x = 1' })
  })
})

test('a resource that several servers list is the first one’s', async () => {
  const { contents } = await client.readResource({ uri: 'data://greeting' })
  expect(contents).toMatchObject([{ text: 'hello from python' }])
  expect(proxy.log()).toContain('server "http" also lists data://greeting, which server "stdio" owns')
})

test('server-everything samples the client’s model', async () => {
  const text = await textOf('everything_trigger-sampling-request', { prompt: 'say something', maxTokens: 10 })
  expect(text).toContain('sampled 1')
})

test('server-everything asks the user', async () => {
  expect(await textOf('everything_trigger-elicitation-request')).toMatch(/green|accept|provided/i)
})
