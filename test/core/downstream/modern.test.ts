import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { definePlugin } from '../../../core/index.ts'
import { JSON_HEADERS, messagesOf, openLegacy, openProxy, postModern, servers, type TestProxy } from '../../harness.ts'

const VERSION = 'io.modelcontextprotocol/protocolVersion'
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'
const INFO = 'io.modelcontextprotocol/serverInfo'

let proxy: TestProxy
let inFlight = 0
const counting = definePlugin({
  name: 'test-counting',
  setup: () => ({
    async middleware(call, next) {
      inFlight++
      try {
        return await next(call)
      } finally {
        inFlight--
      }
    },
  }),
})
beforeAll(async () => {
  proxy = await openProxy({
    plugins: ['transport-stdio', 'storage-fs', counting],
    mcpServers: {
      good: servers.fault('echo'),
      everything: { ...servers.everything, args: [...servers.everything.args, 'stdio'] },
    },
  })
})
afterAll(() => proxy.close())

/** A request that is right but for what is given. */
function post(body: unknown, headers: Record<string, string | undefined> = {}): Promise<Response> {
  const all = { ...JSON_HEADERS, 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list', ...headers }
  const kept = Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined)
  return fetch(proxy.url, { method: 'POST', headers: kept, body: JSON.stringify(body) })
}

const META = { [VERSION]: '2026-07-28', [CAPABILITIES]: {} }
const request = (method: string, params: object = {}, _meta: object = META) => ({
  jsonrpc: '2.0',
  id: 'me',
  method,
  params: { ...params, _meta },
})

async function expectError(response: Response, status: number, code: number) {
  const body = (await response.json()) as { id: unknown; error: { code: number; message: string; data?: unknown } }
  expect([response.status, body.error.code]).toEqual([status, code])
  return body
}

describe('the envelope', () => {
  it('is required: 400 -32602 without version or capabilities, or with wrong types', async () => {
    for (const meta of [
      {},
      { [CAPABILITIES]: {} },
      { [VERSION]: '2026-07-28' },
      { ...META, [VERSION]: 7 },
      { ...META, [CAPABILITIES]: [] },
      { ...META, [CAPABILITIES]: 'x' },
    ]) {
      const { id } = await expectError(await post(request('tools/list', {}, meta)), 400, -32602)
      expect(id).toBe('me')
    }
    await expectError(await post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }), 400, -32602)
  })

  it('needs no clientInfo', async () => {
    expect((await post(request('tools/list'))).status).toBe(200)
  })

  it('of a version not served is 400 -32022 with those that are', async () => {
    for (const version of ['2099-01-01', '2025-11-25', 'x']) {
      const meta = { ...META, [VERSION]: version }
      const { error } = await expectError(
        await post(request('tools/list', {}, meta), { 'mcp-protocol-version': version }),
        400,
        -32022,
      )
      expect(error.data).toEqual({ supported: ['2026-07-28'], requested: version })
    }
  })
})

describe('headers that mirror the body', () => {
  const call = (name: unknown) => request('tools/call', { name, arguments: { text: 'hi' } })

  it.each([
    ['no version', { 'mcp-protocol-version': undefined }],
    ['another version', { 'mcp-protocol-version': '2025-11-25' }],
    ['no method', { 'mcp-method': undefined }],
    ['another method', { 'mcp-method': 'tools/call' }],
  ])('%s: 400 -32020', async (_, headers) => {
    await expectError(await post(request('tools/list'), headers), 400, -32020)
  })

  it.each([
    ['no name', { 'mcp-name': undefined }],
    ['another name', { 'mcp-name': 'good_sleep' }],
    ['another case', { 'mcp-name': 'GOOD_ECHO' }],
    ['another name in base64', { 'mcp-name': `=?base64?${Buffer.from('good_sleep').toString('base64')}?=` }],
    ['broken base64', { 'mcp-name': '=?base64?%%%?=' }],
  ])('%s: 400 -32020', async (_, headers) => {
    await expectError(await post(call('good_echo'), { 'mcp-method': 'tools/call', ...headers }), 400, -32020)
  })

  it('may be base64 where the value is not ASCII, and where it is', async () => {
    const encode = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`
    const headers = (name: string) => ({ 'mcp-method': 'tools/call', 'mcp-name': encode(name) })
    expect((await post(call('good_echo'), headers('good_echo'))).status).toBe(200)
    const unknown = await post(call('grüße 😀'), headers('grüße 😀'))
    expect(await unknown.json()).toMatchObject({ error: { code: -32602, message: 'Unknown tool: grüße 😀' } })
  })

  it('mirror the URI of resources/read and the name of prompts/get', async () => {
    const uri = 'demo://nothing'
    const read = request('resources/read', { uri })
    await expectError(await post(read, { 'mcp-method': 'resources/read' }), 400, -32020)
    await expectError(await post(read, { 'mcp-method': 'resources/read', 'mcp-name': 'demo://other' }), 400, -32020)
    const prompt = request('prompts/get', { name: 'nothing' })
    await expectError(await post(prompt, { 'mcp-method': 'prompts/get' }), 400, -32020)
  })
})

describe('wrong shapes', () => {
  it('batches are 400, notifications 202, other methods 405 with Allow', async () => {
    await expectError(await post([request('tools/list')]), 400, -32600)
    const note = await post({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 1, _meta: META },
    })
    expect([note.status, await note.text()]).toEqual([202, ''])
    for (const method of ['GET', 'DELETE']) {
      const response = await fetch(proxy.url, { method, headers: { 'mcp-protocol-version': '2026-07-28' } })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST, OPTIONS'])
    }
  })

  it.each(['nothing', 'ping', 'logging/setLevel', 'resources/subscribe', 'initialize', 'constructor'])(
    'the method %s is 404 -32601',
    async (method) => {
      const response = await post(request(method, { protocolVersion: '2026-07-28' }), { 'mcp-method': method })
      const { id } = await expectError(response, 404, -32601)
      expect(id).toBe('me')
      expect(response.headers.get('mcp-session-id')).toBeNull()
    },
  )

  it('session ids mean nothing', async () => {
    expect((await post(request('tools/list'), { 'mcp-session-id': 'whatever' })).status).toBe(200)
  })

  it('both eras at once on one endpoint', async () => {
    const wire = await openLegacy(proxy.url)
    const [old, modern] = await Promise.all([wire.request('tools/list'), postModern(proxy.url, 'tools/list')])
    const { result } = (await modern.json()) as { result: { tools: unknown } }
    // The stateless era knows no tasks, which `execution` is about.
    expect(old.result.tools.some((tool: object) => 'execution' in tool)).toBe(true)
    expect(result.tools).toEqual(old.result.tools.map((tool: object) => ({ ...tool, execution: undefined })))
    for (const key of ['resultType', 'ttlMs', 'cacheScope']) expect(old.result).not.toHaveProperty(key)
  })
})

describe('results', () => {
  it('of server/discover say what is served', async () => {
    const { result } = (await (await postModern(proxy.url, 'server/discover')).json()) as any
    expect(result).toMatchObject({
      resultType: 'complete',
      supportedVersions: ['2026-07-28'],
      capabilities: { tools: { listChanged: true } },
      _meta: { [INFO]: { name: 'mcp-proxy-server' } },
    })
  })

  it.each(['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list'])(
    'of %s say how long they may be kept',
    async (method) => {
      const { result } = (await (await postModern(proxy.url, method)).json()) as any
      expect(result).toMatchObject({ resultType: 'complete', ttlMs: 0, cacheScope: 'private' })
      expect(result._meta[INFO].name).toBe('mcp-proxy-server')
    },
  )

  it('of calls are complete and carry no cache hints; progress has the token of the client', async () => {
    const params = { name: 'good_progress', arguments: { steps: 1 }, _meta: { progressToken: 'tok' } }
    const response = await postModern(proxy.url, 'tools/call', params)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const [progress, last] = await messagesOf(response)
    expect(progress.params).toEqual({ progressToken: 'tok', progress: 1, total: 1 })
    expect(last.result).toEqual({
      resultType: 'complete',
      content: [{ type: 'text', text: '1 steps' }],
      _meta: { [INFO]: expect.anything() },
    })
  })

  it('a missing resource is -32602 here and -32002 in a session', async () => {
    const uri = 'nobody://has/this'
    const modern = await (await postModern(proxy.url, 'resources/read', { uri })).json()
    expect(modern).toMatchObject({ error: { code: -32602 } })
    const wire = await openLegacy(proxy.url)
    const old = await wire.request('resources/read', { uri })
    expect([-32002, -32602]).toContain(old.error.code)
    expect(JSON.stringify(modern)).not.toContain('-32002')
  })
})

describe('closing the response stream', () => {
  it('cancels the call at the server', async () => {
    const abort = new AbortController()
    const asleep = call('good_sleep', { ms: 400 }, abort.signal)
    await vi.waitFor(() => expect(inFlight).toBe(1))
    abort.abort()
    await expect(asleep).rejects.toThrow()
    await vi.waitFor(() => expect(inFlight).toBe(0))
    // A server that was not told would answer the first call before the second.
    await (await call('good_sleep', { ms: 600 })).text()
    expect(proxy.log()).not.toContain('a response to no open request')
  })

  it('cancels also after progress came', async () => {
    const abort = new AbortController()
    const running = await call('everything_trigger-long-running-operation', { duration: 60, steps: 600 }, abort.signal)
    expect(running.headers.get('content-type')).toBe('text/event-stream')
    await running.body?.getReader().read()
    expect(inFlight).toBe(1)
    abort.abort()
    await vi.waitFor(() => expect(inFlight).toBe(0))
  })

  it('is no cancellation in a session', async () => {
    const wire = await openLegacy(proxy.url)
    const abort = new AbortController()
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'good_sleep', arguments: { ms: 400 } } }
    const headers = { ...JSON_HEADERS, 'mcp-session-id': wire.sessionId }
    const asleep = fetch(proxy.url, { method: 'POST', headers, body: JSON.stringify(body), signal: abort.signal })
    await vi.waitFor(() => expect(inFlight).toBe(1))
    abort.abort()
    await expect(asleep).rejects.toThrow()
    await (await call('good_sleep', { ms: 50 })).text()
    expect(inFlight).toBe(1)
    await vi.waitFor(() => expect(inFlight).toBe(0))
  })

  const call = (name: string, args: object, signal: AbortSignal | null = null) =>
    fetch(proxy.url, {
      method: 'POST',
      headers: { ...JSON_HEADERS, 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name },
      body: JSON.stringify(request('tools/call', { name, arguments: args }, { ...META, progressToken: 1 })),
      signal,
    })
})
