import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { node, openProxy, servers, type TestProxy } from '../harness.ts'
import { connectDirect, connectV1, type Json, type V1Client } from './support/v1.ts'

const LONG = 'trigger-long-running-operation'

let sandbox: string
let proxy: TestProxy
let client: V1Client
/** The same servers, asked without the proxy. */
let direct: Record<'everything' | 'files' | 'memory', V1Client>

beforeAll(async () => {
  sandbox = await realpath(await mkdtemp(join(tmpdir(), 'mcp-proxy-e2e-')))
  const files = node('node_modules/@modelcontextprotocol/server-filesystem/dist/index.js', sandbox)
  const memory = (name: string) => ({ ...servers.memory, env: { MEMORY_FILE_PATH: join(sandbox, name) } })
  proxy = await openProxy({ mcpServers: { everything: servers.everything, files, memory: memory('memory.jsonl') } })
  client = await connectV1(proxy.url)
  const [one, two, three] = await Promise.all([
    connectDirect(servers.everything),
    connectDirect(files),
    connectDirect(memory('direct.jsonl')),
  ])
  direct = { everything: one, files: two, memory: three }
})

afterAll(async () => {
  await client?.close()
  await Promise.all(Object.values(direct ?? {}).map((each) => each.close()))
  await proxy?.close()
  await rm(sandbox, { recursive: true, force: true })
})

const itemsOf = (result: Json, key: string) => result[key] as Json[]
const call = (name: string, args: Json = {}) => client.ask('tools/call', { name, arguments: args })

describe('lists', () => {
  test.each([
    ['tools/list', 'tools', ['everything', 'files', 'memory'] as const],
    ['prompts/list', 'prompts', ['everything'] as const],
  ])('%s has what every server lists, unchanged but for the name', async (method, key, owners) => {
    const merged = itemsOf(await client.ask(method), key)
    const expected: Json[] = []
    for (const owner of owners) {
      const own = itemsOf(await direct[owner].ask(method), key)
      expect(own.length).toBeGreaterThan(3)
      expected.push(...own.map((item) => ({ ...item, name: `${owner}_${String(item.name)}` })))
    }
    expect(merged).toEqual(expected)
  })

  test.each([
    ['resources/list', 'resources', ['everything', 'memory'] as const],
    ['resources/templates/list', 'resourceTemplates', ['everything'] as const],
  ])('%s has what every server lists, unchanged', async (method, key, owners) => {
    const own = await Promise.all(owners.map(async (owner) => itemsOf(await direct[owner].ask(method), key)))
    expect(own.flat().length).toBeGreaterThan(1)
    expect(itemsOf(await client.ask(method), key)).toEqual(own.flat())
  })
})

describe('server-everything', () => {
  test.each<[string, Json]>([
    ['echo', { message: 'hello ☃' }],
    ['get-sum', { a: 2, b: 40 }],
    ['get-structured-content', { location: 'Chicago' }],
    ['get-tiny-image', {}],
    ['get-resource-links', { count: 4 }],
    ['get-resource-reference', { resourceType: 'Blob', resourceId: 3 }],
    ['get-annotated-message', { messageType: 'error', includeImage: true }],
  ])('%s answers as without the proxy', async (name, args) => {
    const result = await call(`everything_${name}`, args)
    const expected = await direct.everything.ask('tools/call', { name, arguments: args })
    expect(withoutTimes(result)).toEqual(withoutTimes(expected))
    expect(result.isError).toBeUndefined()
  })

  test('wrong arguments are answered by the server itself', async () => {
    const result = await call('everything_get-sum', { a: 'two', b: 40 })
    expect(result).toEqual(
      await direct.everything.ask('tools/call', { name: 'get-sum', arguments: { a: 'two', b: 40 } }),
    )
    expect(result.isError).toBe(true)
  })

  test('resources are read: listed, and by template as text and as blob', async () => {
    const [listed] = itemsOf(await client.ask('resources/list'), 'resources')
    for (const uri of [listed?.uri, 'demo://resource/dynamic/text/7', 'demo://resource/dynamic/blob/8']) {
      const result = await client.ask('resources/read', { uri })
      expect(itemsOf(result, 'contents')[0]).toMatchObject({ uri })
      expect(withoutTimes(result)).toEqual(withoutTimes(await direct.everything.ask('resources/read', { uri })))
    }
  })

  test.each<[string, Json | undefined]>([
    ['simple-prompt', undefined],
    ['args-prompt', { city: 'Zürich', state: 'ZH' }],
    ['resource-prompt', { resourceType: 'Text', resourceId: '5' }],
  ])('prompt %s', async (name, args) => {
    const params = { ...(args && { arguments: args }) }
    const result = await client.ask('prompts/get', { name: `everything_${name}`, ...params })
    expect(itemsOf(result, 'messages').length).toBeGreaterThan(0)
    expect(withoutTimes(result)).toEqual(withoutTimes(await direct.everything.ask('prompts/get', { name, ...params })))
  })

  test('completes a prompt argument, with the context of another', async () => {
    const ref = { type: 'ref/prompt', name: 'everything_completable-prompt' }
    const complete = (argument: Json, context?: Json) =>
      client.ask('completion/complete', { ref, argument, ...(context && { context }) })
    expect(await complete({ name: 'department', value: 'S' })).toMatchObject({
      completion: { values: ['Sales', 'Support'] },
    })
    const context = { arguments: { department: 'Sales' } }
    expect(await complete({ name: 'name', value: '' }, context)).toMatchObject({
      completion: { values: ['David', 'Eve', 'Frank'] },
    })
  })

  test('completes an argument of a resource template', async () => {
    const ref = { type: 'ref/resource', uri: 'demo://resource/dynamic/text/{resourceId}' }
    const result = await client.ask('completion/complete', { ref, argument: { name: 'resourceId', value: '12' } })
    expect(result).toMatchObject({ completion: { values: ['12'] } })
  })

  test('a call with progress', async () => {
    const heard: unknown[] = []
    const params = { name: `everything_${LONG}`, arguments: { duration: 0.2, steps: 4 } }
    const result = await client.ask('tools/call', params, { onprogress: (progress) => void heard.push(progress) })
    expect(heard).toEqual([1, 2, 3, 4].map((progress) => ({ progress, total: 4 })))
    expect(result.content).toMatchObject([{ text: expect.stringContaining('completed') }])
  })

  test('two clients at once: each hears of its own call only', async () => {
    const other = await connectV1(proxy.url)
    const run = async (who: V1Client, steps: number) => {
      const heard: unknown[] = []
      const params = { name: `everything_${LONG}`, arguments: { duration: 0.4, steps } }
      await who.ask('tools/call', params, { onprogress: (progress) => void heard.push(progress) })
      expect(heard).toEqual(Array.from({ length: steps }, (_, index) => ({ progress: index + 1, total: steps })))
    }
    try {
      // Fresh clients count their ids, and with them their progress tokens, from the same number.
      const third = await connectV1(proxy.url)
      await Promise.all([run(other, 3), run(third, 5)])
      await third.close()
    } finally {
      await other.close()
    }
  })

  test('a call that is taken back ends at once; the server goes on for others', async () => {
    const stop = new AbortController()
    const params = { name: `everything_${LONG}`, arguments: { duration: 3600, steps: 72_000 } }
    const slow = client.ask('tools/call', params, { signal: stop.signal, onprogress: () => stop.abort() })
    await expect(slow).rejects.toThrow(/abort/i)
    const { content } = await call('everything_echo', { message: 'still here' })
    expect(content).toEqual([{ type: 'text', text: 'Echo: still here' }])
  })
})

test('server-filesystem writes and reads a file of its folder, and none elsewhere', async () => {
  const path = join(sandbox, 'note.txt')
  const text = 'first line\nzweite Zeile ☃\n'
  await call('files_write_file', { path, content: text })
  expect(await readFile(path, 'utf8')).toBe(text)
  const read = await call('files_read_text_file', { path })
  expect(read).toEqual(await direct.files.ask('tools/call', { name: 'read_text_file', arguments: { path } }))
  expect(read).toMatchObject({ content: [{ type: 'text', text }] })
  const outside = await call('files_read_text_file', { path: '/etc/hostname' })
  expect(outside).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('Access denied') }] })
})

test('server-memory keeps entities from one client to the next', async () => {
  const entity = { name: 'Ada', entityType: 'person', observations: ['wrote the first program'] }
  await call('memory_create_entities', { entities: [entity] })
  const other = await connectV1(proxy.url)
  const graph = await other.ask('tools/call', { name: 'memory_read_graph', arguments: {} })
  const { contents } = await other.ask('resources/read', { uri: 'memory://knowledge-graph' })
  await other.close()
  expect(graph.structuredContent).toEqual({ entities: [entity], relations: [] })
  expect(contents).toMatchObject([{ uri: 'memory://knowledge-graph', text: expect.stringContaining('Ada') }])
})

/** Dynamic resources carry the time of day of their making. */
function withoutTimes(value: unknown): unknown {
  const text = JSON.stringify(value, (key, inner) =>
    key === 'blob' && typeof inner === 'string' ? Buffer.from(inner, 'base64').toString() : inner,
  )
  return JSON.parse(text.replaceAll(/\d{1,2}:\d\d:\d\d( [AP]M)?/g, '<time>'))
}
