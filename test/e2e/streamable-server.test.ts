import { afterEach, expect, test } from 'vitest'
import { openProxy, servers, type TestProxy } from '../harness.ts'
import { startEverything, type EverythingServer } from './support/everything.ts'
import { until } from './support/until.ts'
import { connectV1, type Json, type V1Client } from './support/v1.ts'

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function start(port?: number): Promise<EverythingServer> {
  const server = await startEverything(port)
  ends.push(server.kill)
  return server
}

async function open(mcpServers: Parameters<typeof openProxy>[0]['mcpServers'] & {}) {
  const proxy = await openProxy({ mcpServers })
  ends.push(proxy.close)
  const client = await connectV1(proxy.url)
  ends.push(client.close)
  return { proxy, client }
}

const echo = (client: V1Client, server: string, message: string) =>
  client.ask('tools/call', { name: `${server}_echo`, arguments: { message } })
const echoed = (message: string) => ({ content: [{ type: 'text', text: `Echo: ${message}` }] })
const stateOf = (proxy: TestProxy, name: string) => proxy.kernel.upstreams.find((each) => each.name === name)

test('alone: lists, calls, progress, resources, prompts and completion', async () => {
  const { url } = await start()
  const { proxy, client } = await open({ remote: { url } })
  expect(proxy.kernel.upstreams).toMatchObject([{ name: 'remote', transport: 'streamable-http', state: 'up' }])

  const { tools } = (await client.ask('tools/list')) as { tools: Json[] }
  expect(tools.length).toBe(stateOf(proxy, 'remote')?.tools)
  expect(tools.map(({ name }) => name)).toContain('remote_get-structured-content')
  expect(await echo(client, 'remote', 'hello ☃')).toEqual(echoed('hello ☃'))

  const heard: unknown[] = []
  const params = { name: 'remote_trigger-long-running-operation', arguments: { duration: 0.2, steps: 4 } }
  await client.ask('tools/call', params, { onprogress: (progress) => void heard.push(progress) })
  expect(heard).toEqual([1, 2, 3, 4].map((progress) => ({ progress, total: 4 })))

  const uri = 'demo://resource/dynamic/text/7'
  expect(await client.ask('resources/read', { uri })).toMatchObject({ contents: [{ uri, mimeType: 'text/plain' }] })
  expect(await client.ask('prompts/get', { name: 'remote_simple-prompt' })).toMatchObject({
    messages: [{ role: 'user' }],
  })
  const ref = { type: 'ref/prompt', name: 'remote_completable-prompt' }
  const argument = { name: 'department', value: 'E' }
  expect(await client.ask('completion/complete', { ref, argument })).toMatchObject({
    completion: { values: ['Engineering'] },
  })
})

test('together with the same server over stdio, each under its own name', async () => {
  const { url } = await start()
  const { client } = await open({ remote: { url }, local: servers.everything })
  const { tools } = (await client.ask('tools/list')) as { tools: (Json & { name: string })[] }
  const of = (server: string) =>
    tools
      .filter(({ name }) => name.startsWith(`${server}_`))
      .map((tool) => ({ ...tool, name: tool.name.slice(server.length) }))
  expect(of('remote').length).toBeGreaterThan(10)
  expect(of('remote')).toEqual(of('local'))
  const [one, two] = await Promise.all([echo(client, 'remote', 'one'), echo(client, 'local', 'two')])
  expect(one).toEqual(echoed('one'))
  expect(two).toEqual(echoed('two'))
})

test('killed in the middle of a call: a clear error, no harm to others, and it comes back by itself', async () => {
  const server = await start()
  const { proxy, client } = await open({ remote: { url: server.url }, local: servers.everything })

  const params = { name: 'remote_trigger-long-running-operation', arguments: { duration: 3600, steps: 72_000 } }
  let killed: Promise<void> | undefined
  const slow = client
    .ask('tools/call', params, { onprogress: () => void (killed ??= server.kill()) })
    .catch((error: unknown) => error)
  await until('the call is under way', () => killed !== undefined)
  await killed

  await expect(echo(client, 'remote', 'anybody?')).rejects.toMatchObject({
    code: -32603,
    message: expect.stringMatching(/server "remote" could not be reached$/),
  })
  expect(proxy.log()).toMatch(/warn \[remote\] tools\/call failed: .*nobody listens there/)
  expect(await echo(client, 'local', 'still here')).toEqual(echoed('still here'))

  await start(server.port)
  // Until then the proxy tried to pick the stream up again, as the server had offered.
  expect(await slow).toMatchObject({
    code: -32603,
    message: expect.stringMatching(/server "remote" /),
  })
  const again = () => echo(client, 'remote', 'back').catch(() => undefined)
  expect(await until('the server answers again', again)).toEqual(echoed('back'))
  expect(stateOf(proxy, 'remote')).toMatchObject({ state: 'up' })
})

test('not there at the start: the others serve, and it joins once it is there', async () => {
  const server = await start()
  await server.kill()
  const { proxy, client } = await open({ remote: { url: server.url }, local: servers.everything })
  expect(stateOf(proxy, 'remote')).toMatchObject({
    state: 'down',
    reason: expect.stringContaining('nobody listens there'),
  })
  expect(await echo(client, 'local', 'alone')).toEqual(echoed('alone'))

  await start(server.port)
  await until('the server is up', () => stateOf(proxy, 'remote')?.state === 'up')
  expect(await echo(client, 'remote', 'here I am')).toEqual(echoed('here I am'))
})
