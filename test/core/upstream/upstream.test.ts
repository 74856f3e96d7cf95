import { afterEach, describe, expect, it, vi } from 'vitest'
import { success } from '../../../core/wire/jsonrpc.ts'
import { hello as helloOf, inside } from '../../fixtures/core/inside.ts'
import { messagesOf, openLegacy, openProxy, servers, type TestProxy } from '../../harness.ts'

const hello = helloOf()
const opened: TestProxy[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((proxy) => proxy.close()))))

async function open(fake: ReturnType<typeof inside>, settings: object = {}): Promise<TestProxy> {
  const plugins = [fake.plugin, 'transport-stdio', 'storage-fs']
  const mcpServers = { in: { type: 'inside', ...settings }, healthy: servers.fault('echo') } as never
  const proxy = await openProxy({ plugins, mcpServers })
  opened.push(proxy)
  return proxy
}

const statusOf = (proxy: TestProxy) => proxy.kernel.upstreams.find(({ name }) => name === 'in')
const toolsOf = async (proxy: TestProxy): Promise<string[]> =>
  (await (await openLegacy(proxy.url)).request('tools/list')).result.tools
    .map(({ name }: { name: string }) => name)
    .filter((name: string) => name.startsWith('in_'))

describe('an upstream', () => {
  it('whose list changes while its lists are first read is read again', async () => {
    const names = ['a']
    const fake = inside(({ id, method }, server) => {
      if (method === 'initialize') return hello
      if (method === 'tools/list') {
        const tools = names.map((name) => ({ name }))
        if (names.length === 1) {
          names.push('b')
          queueMicrotask(() => server.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }))
        }
        return { tools }
      }
      setTimeout(() => server.say(success(id, { prompts: [] })), 100)
      return undefined
    })
    const proxy = await open(fake)
    await vi.waitFor(async () => expect(await toolsOf(proxy)).toEqual(['in_a', 'in_b']), 5000)
  })

  it('that floods with list changes is read one at a time', async () => {
    let reading = 0
    let most = 0
    let reads = 0
    const fake = inside(({ id, method }, server) => {
      if (method === 'initialize') return hello
      if (method !== 'tools/list') return { prompts: [] }
      most = Math.max(most, ++reading)
      reads++
      setTimeout(() => {
        reading--
        server.say(success(id, { tools: [{ name: `r${reads}` }] }))
      }, 5)
      return undefined
    })
    const proxy = await open(fake)
    for (let count = 0; count < 500; count++) {
      fake.server.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
    }
    await vi.waitFor(async () => expect(await toolsOf(proxy)).toEqual([`in_r${reads}`]))
    expect(most).toBe(1)
    expect(reads).toBeLessThan(10)
  })

  it('that sends notifications nobody knows, or methods of Object.prototype, goes on', async () => {
    const fake = inside(({ method }) => (method === 'initialize' ? hello : { tools: [{ name: 'a' }], prompts: [] }))
    const proxy = await open(fake)
    for (const method of ['constructor', '__proto__', 'toString', 'notifications/odd', 'notifications/progress']) {
      fake.server.say({ jsonrpc: '2.0', method, params: {} })
    }
    fake.server.say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'hello log' } })
    await vi.waitFor(() => expect(proxy.log()).toContain('hello log'))
    expect(await toolsOf(proxy)).toEqual(['in_a'])
    expect(proxy.lines.filter(({ level, tag }) => tag === 'in' && level !== 'debug')).toEqual([])
    expect(proxy.log()).toContain('debug [in] ')
  })

  it('gets its ping answered, and questions refused that belong to no call: nobody knows whom to ask', async () => {
    const fake = inside(({ method }) => (method === 'initialize' ? hello : { tools: [], prompts: [] }))
    await open(fake)
    for (const [id, method] of [
      ['q1', 'ping'],
      ['q2', 'roots/list'],
      ['q3', 'sampling/createMessage'],
    ] as const) {
      fake.server.say({ jsonrpc: '2.0', id, method, params: {} })
    }
    const answers = () => fake.server.heard.filter((message) => !('method' in message))
    await vi.waitFor(() => expect(answers()).toHaveLength(3))
    expect(answers()).toMatchObject([
      { id: 'q1', result: {} },
      { id: 'q2', error: { code: -32601 } },
      { id: 'q3', error: { code: -32601 } },
    ])
    // Clients that share it can be asked in the course of their calls; roots it would take for everybody's.
    expect(fake.server.heard[0]).toMatchObject({
      method: 'initialize',
      params: { capabilities: { sampling: {}, elicitation: {} } },
    })
    expect(fake.server.heard[0]).not.toHaveProperty('params.capabilities.roots')
  })

  it.each([
    ['a version that is none', { ...hello, protocolVersion: 7 }, 'protocol version 7'],
    ['an unknown version', { ...hello, protocolVersion: '1999-01-01' }, 'protocol version "1999-01-01"'],
    ['nothing', {}, 'protocol version'],
  ])('that answers initialize with %s is down', async (_, result, reason) => {
    const proxy = await open(inside(({ method }) => (method === 'initialize' ? result : {})))
    expect(statusOf(proxy)).toMatchObject({ state: 'down', reason: expect.stringContaining(reason) })
  })

  it('whose connection ends early is connected again after a pause, and says why meanwhile; old lists stay', async () => {
    const fake = inside(({ method }) => (method === 'initialize' ? hello : { tools: [{ name: 'a' }], prompts: [] }))
    const proxy = await open(fake)
    fake.server.drop(new Error('the cable was cut'))
    await vi.waitFor(() => expect(statusOf(proxy)).toMatchObject({ state: 'down', reason: 'the cable was cut' }))
    expect(await toolsOf(proxy)).toEqual(['in_a'])
    const wire = await openLegacy(proxy.url)
    const answer = await wire.request('tools/call', { name: 'in_a' })
    expect(answer.error.message).toBe('server "in" is down; the log of the proxy says why')
    await vi.waitFor(() => expect(statusOf(proxy)).toMatchObject({ state: 'up', tools: 1 }), 5000)
    expect(fake.server.connects).toBe(2)
  })

  it('whose progress has a token nobody gave out disturbs nobody', async () => {
    const fake = inside(({ id, method }, server) => {
      if (method === 'initialize') return hello
      if (method !== 'tools/call') return { tools: [{ name: 'a' }], prompts: [] }
      for (const progressToken of ['foreign', 10_000, null]) {
        server.say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress: 1 } })
      }
      server.say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: id, progress: 2 } })
      return { content: [] }
    })
    const proxy = await open(fake)
    const wire = await openLegacy(proxy.url)
    const params = { name: 'in_a', _meta: { progressToken: 'mine' } }
    const response = await wire.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
    expect(await messagesOf(response)).toEqual([
      { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'mine', progress: 2 } },
      { jsonrpc: '2.0', id: 1, result: { content: [] } },
    ])
  })

  it('offers only the tools that include and exclude leave', async () => {
    const tools = ['read', 'read_all', 'write'].map((name) => ({ name }))
    const fake = inside(({ method }) => (method === 'initialize' ? hello : { tools, prompts: [] }))
    const proxy = await open(fake, { tools: { include: ['read*', 'write'], exclude: ['*_all'] } })
    expect(await toolsOf(proxy)).toEqual(['in_read', 'in_write'])
    const wire = await openLegacy(proxy.url)
    expect(await wire.request('tools/call', { name: 'in_read_all' })).toMatchObject({ error: { code: -32602 } })
    expect(statusOf(proxy)).toMatchObject({ tools: 2 })
  })
})
