import { afterEach, describe, expect, it, vi } from 'vitest'
import { isConnectionError, type RpcError } from '../../../core/errors.ts'
import { SHARED_CAPABILITIES } from '../../../core/upstream/capabilities.ts'
import { ownCall } from '../../../core/upstream/lists.ts'
import { version } from '../../../core/version.ts'
import { serialise } from '../../../core/wire/serialise.ts'
import { success, type JsonObject } from '../../../core/wire/jsonrpc.ts'
import type { Behaviour } from '../../fixtures/modern-server.ts'
import {
  callWith,
  openModern,
  said,
  toolWith,
  WIRES,
  type HeardCall,
  type ModernFixture,
} from '../../fixtures/core/modern.ts'

const never = new AbortController().signal
const opened: ModernFixture[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((each) => each.close()))))

async function open(
  wire: (typeof WIRES)[number],
  behaviour: Behaviour = {},
  options: Parameters<typeof openModern>[2] = {},
) {
  const made = await openModern(wire, behaviour, options)
  opened.push(made)
  const about = await made.face.start(never)
  const call = (name: string, args: JsonObject = {}, more: Partial<HeardCall> = {}) =>
    made.face.call(toolWith(name, args, more))
  return { ...made, about, call }
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('should have been rejected'),
    (error: unknown) => error as RpcError,
  )

describe.each(WIRES)('a modern server over %s', (wire) => {
  it('says what it is', async () => {
    const { about, face } = await open(wire)
    expect(face.era).toBe('modern')
    expect(about).toEqual({
      protocolVersion: '2026-07-28',
      capabilities: expect.objectContaining({ tools: { listChanged: true } }),
      serverInfo: { name: 'modern-server', version: '1.0.0' },
      instructions: 'be modern',
    })
    await face.ping(never)
    await face.setLevel('debug', never)
  })

  it('gets an envelope of this hop; other keys of _meta stay', async () => {
    const { face } = await open(wire)
    const capabilities = {
      elicitation: { form: {} },
      sampling: {},
      extensions: { 'io.modelcontextprotocol/tasks': {} },
      experimental: { x: {} },
    }
    const _meta = { traceparent: '00-abc-01', 'com.example/vendor': { a: 1 } }
    const params = { name: 'meta', arguments: {}, _meta }
    const outcome = await face.call(
      callWith('tools/call', params, { client: { capabilities }, progress: true, logLevel: 'warning' }),
    )
    const { meta } = (outcome.result as any).structuredContent
    expect(meta).toEqual({
      ..._meta,
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} }, sampling: {} },
      'io.modelcontextprotocol/clientInfo': { name: 'mcp-proxy-server', version },
      'io.modelcontextprotocol/logLevel': 'warning',
      progressToken: expect.any(Number),
    })
  })

  it('is not told a token or a level that nobody wants', async () => {
    const { call } = await open(wire)
    const { meta } = ((await call('meta')).result as any).structuredContent
    expect(Object.keys(meta).toSorted()).toEqual(
      ['clientCapabilities', 'clientInfo', 'protocolVersion'].map((key) => `io.modelcontextprotocol/${key}`),
    )
  })

  it('tells each call its own progress, without our token', async () => {
    const { face } = await open(wire)
    const calls = ['one', 'two'].map((text) => toolWith('work', { text }, { progress: true, party: text }))
    await Promise.all(calls.map((call) => face.call(call)))
    expect(calls.map(({ heard }) => heard)).toEqual(
      ['one', 'two'].map((message) => [
        { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1, message } },
      ]),
    )
  })

  it('tells a call the log it asked for', async () => {
    const { face } = await open(wire)
    const call = toolWith('work', { text: 'hello' }, { logLevel: 'info' })
    await face.call(call)
    expect(call.heard).toMatchObject([{ method: 'notifications/message', params: { level: 'info', data: 'hello' } }])
  })

  it('gives results as they are', async () => {
    const { call } = await open(wire)
    const outcome = await call('odd', { ttlMs: 5, cacheScope: 'public', unknown: { kept: true } })
    expect(outcome).toMatchObject({
      kind: 'complete',
      result: { ttlMs: 5, cacheScope: 'public', unknown: { kept: true } },
    })
  })

  it('may need the client, and gets its answers verbatim', async () => {
    const { call } = await open(wire)
    expect(await call('need')).toEqual({
      kind: 'input_required',
      result: {
        inputRequests: { who: { method: 'elicitation/create', params: { message: 'who?' } } },
        requestState: 'state-1',
      },
    })
    for (const inputResponses of [{ who: { action: 'accept' } }, null, 7]) {
      const round = { inputResponses, requestState: 'state-1' }
      expect(said(await call('need', {}, { round }))).toEqual(round)
    }
  })

  it('passes its own errors', async () => {
    const { call } = await open(wire)
    expect(await errorOf(call('nothing'))).toMatchObject({ name: 'RpcError', code: -32602, message: /Unknown tool/ })
  })

  it('passes that the client lacks a capability', async () => {
    const { call } = await open(wire)
    expect(await errorOf(call('fail'))).toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { elicitation: {} } },
    })
  })

  it('notices that a client has cancelled', async () => {
    const { face, call } = await open(wire)
    const stop = new AbortController()
    const hanging = errorOf(face.call(toolWith('hang', {}, { signal: stop.signal })))
    // It has the call once it answers a later one.
    await call('echo')
    stop.abort()
    expect(await hanging).toMatchObject({ lost: false })
    await vi.waitFor(async () => expect(JSON.stringify(said(await call('heard')))).toContain('let go'))
    const cancels = said(await call('heard')).filter(({ method }: any) => method === 'notifications/cancelled')
    expect(cancels).toHaveLength(wire === 'http' ? 0 : 1)
  })

  it('that gives no sign of life fails the call, and is suspected', async () => {
    const { call, silences } = await open(wire, {}, { requestTimeout: 100 })
    expect(await errorOf(call('hang'))).toMatchObject({ code: -32603, message: expect.stringContaining('no answer') })
    expect(silences()).toBe(1)
    await vi.waitFor(async () => expect(JSON.stringify(said(await call('heard')))).toContain('let go'))
  })

  it('that asks is told that this era has no such thing, where there is a way', async () => {
    const { call, lines } = await open(wire)
    expect(said(await call('ask'))).toBe('asked')
    expect(said(await call('ask'))).toBe('asked')
    expect(lines.filter((line) => line.includes('roots/list'))).toHaveLength(1)
    const refusals = { http: [], stdio: [{ error: { code: -32601 } }, { error: { code: -32601 } }] }
    const answered = async () => said(await call('heard')).filter(({ id, method }: any) => id === 'q1' && !method)
    await vi.waitFor(async () => expect(await answered()).toMatchObject(refusals[wire]))
  })

  it('keeps the words of two clients apart', async () => {
    const { face } = await open(wire)
    const [alice, bob] = ['alice', 'bob'].map((party) =>
      toolWith('work', { text: party }, { party, progress: true, logLevel: 'info' }),
    )
    await Promise.all([face.call(alice!), face.call(bob!)])
    for (const [call, other] of [
      [alice!, 'bob'],
      [bob!, 'alice'],
    ] as const) {
      expect(call.heard.some(({ method }) => method === 'notifications/progress')).toBe(true)
      expect(JSON.stringify(call.heard)).not.toContain(other)
    }
  })
})

describe('headers over HTTP', () => {
  const headersOf = (outcome: { readonly result: object }) => (outcome.result as any).structuredContent.headers

  it('are those of the revision, once each, and no session’s', async () => {
    const { face, server } = await open('http')
    await face.call(callWith('resources/read', { uri: 'test://ä' }))
    const { headers } = server!.requests.at(-1)!
    expect(headers).toMatchObject({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'resources/read',
      'mcp-name': `=?base64?${Buffer.from('test://ä').toString('base64')}?=`,
    })
    expect(headers).not.toHaveProperty('mcp-session-id')
    for (const { message, headers: sent } of server!.requests) expect(sent['mcp-method']).toBe(message.method)
  })

  it('mirror what the tool declares, over what the client says; what it says besides is forwarded', async () => {
    const pages = [
      [
        {
          name: 'meta',
          inputSchema: {
            type: 'object',
            properties: {
              region: { type: 'string', 'x-mcp-header': 'Region' },
              zone: { type: 'string', 'x-mcp-header': 'Zone' },
            },
          },
        },
      ],
    ]
    const { face, call } = await open('http', { pages })
    await face.call(callWith('tools/list', {}))
    const headers = { 'mcp-param-region': 'lies', 'mcp-param-zone': 'lies', 'mcp-param-other': 'mine' }
    const sent = headersOf(await call('meta', { region: 'Köln' }, { headers }))
    expect(sent).toMatchObject({
      'mcp-param-region': '=?base64?S8O2bG4=?=',
      'mcp-param-other': 'mine',
      'mcp-name': 'meta',
    })
    expect(sent).not.toHaveProperty('mcp-param-zone')
  })

  it('are known of tools that another connection has read', async () => {
    const tools = [
      {
        name: 'region',
        inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
      },
    ]
    const { call, server } = await open('http', {}, { tools })
    expect(said(await call('region', { region: 'eu' }))).toBe('eu')
    expect(server!.requests.map(({ message }) => message.method)).not.toContain('tools/list')
  })

  it('are mended once when the tool has changed: its list is read again', async () => {
    const { face, call, server, events } = await open('http')
    for (const params of [{}, { cursor: '1' }]) await face.call(callWith('tools/list', params))
    expect(said(await call('region', { region: 'eu' }))).toBe('eu')
    expect(events).toEqual([])
    server!.rename('Zone')
    expect(said(await call('region', { region: 'eu' }))).toBe('eu')
    expect(events).toEqual([{ kind: 'tools' }])
    expect(server!.requests.at(-1)!.headers['mcp-param-zone']).toBe('eu')
  })

  it('are read again as the lists of the proxy are: there may be tools only for those who can be asked', async () => {
    const { face, call, server } = await open('http')
    await face.call(ownCall('tools/list', {}, never))
    server!.rename('Zone')
    await call('region', { region: 'eu' }).catch(() => {})
    const lists = server!.requests.filter(({ message }) => message.method === 'tools/list')
    expect(lists.length).toBeGreaterThan(1)
    for (const { message } of lists)
      expect(message.params!._meta['io.modelcontextprotocol/clientCapabilities']).toEqual(SHARED_CAPABILITIES)
  })

  it('do not come into a call over a pipe, or one that has begun: it is not sent twice', async () => {
    const piped = await open('stdio')
    const error = await errorOf(piped.call('refuse', { code: -32020 }))
    expect(error).toMatchObject({ code: -32603 })
    const heard = said(await piped.call('heard'))
    expect(heard.filter(({ method }: any) => method === 'tools/list')).toEqual([])
    expect(heard.filter(({ method }: any) => method === 'tools/call')).toHaveLength(2)
    expect(piped.events).toEqual([])

    const { face, call, server } = await open('http')
    await face.call(callWith('tools/list', {}))
    server!.rename('Zone')
    const args = { code: -32020 }
    expect(await errorOf(call('refuse', args, { progress: true }))).toMatchObject({ code: -32603 })
    expect(server!.requests.filter(({ message }) => message.method === 'tools/call')).toHaveLength(1)
    expect(server!.requests.filter(({ message }) => message.method === 'tools/list')).toHaveLength(1)
  })

  it('that cannot be mended fail the call as the proxy’s own fault', async () => {
    const refuse = () => Promise.reject(Object.assign(new Error('no'), { code: -32020 })) as never
    const { call, face, server, events } = await open('http', {
      answers: { 'tools/call': refuse, 'resources/read': refuse },
    })
    expect(await errorOf(call('echo'))).toMatchObject({ code: -32603, message: expect.stringContaining('server "x"') })
    expect(server!.requests.filter(({ message }) => message.method === 'tools/call')).toHaveLength(1)
    expect(events).toEqual([])
    expect(await errorOf(face.call(callWith('resources/read', { uri: 'a' })))).toMatchObject({ code: -32603 })
    expect(server!.requests.filter(({ message }) => message.method === 'resources/read')).toHaveLength(1)
  })

  it('need no tools whose declarations break the rules: they are left out, with one warning', async () => {
    const bad = {
      name: 'bad',
      inputSchema: { type: 'object', properties: { a: { type: 'object', 'x-mcp-header': 'A' } } },
    }
    const pages = [[{ name: 'good', inputSchema: { type: 'object' } }, bad]]
    const { face, lines } = await open('http', { pages })
    for (let time = 0; time < 2; time++) {
      const { result } = await face.call(callWith('tools/list', {}))
      expect((result as any).tools).toEqual([pages[0]![0]])
    }
    expect(lines.filter((line) => line.includes('"bad"'))).toHaveLength(1)
    const program = await open('stdio', { pages })
    const { result } = await program.face.call(callWith('tools/list', {}))
    expect((result as any).tools).toHaveLength(2)
  })
})

it.each([
  ['an unknown type', 'tools/call', { resultType: 'task' }, '"task"'],
  ['a type that is no text', 'tools/call', { resultType: { a: 1 } }, '{"a":1}'],
  ['a question without any', 'tools/call', { resultType: 'input_required' }, 'without a usable'],
  ['a question that is none', 'prompts/get', { resultType: 'input_required', inputRequests: { a: 1 } }, 'without'],
  ['a state that is no text', 'tools/call', { resultType: 'input_required', requestState: 7 }, 'without a usable'],
  ['a question where none may be', 'completion/complete', { resultType: 'input_required', requestState: 's' }, 'inp'],
] as const)('a result that is %s fails the call and names the server', async (_, method, result, words) => {
  const { face } = await open('http', { answers: { [method]: () => result } })
  const error = await errorOf(face.call(callWith(method, { name: 'a' })))
  expect(error).toMatchObject({ code: -32603, message: expect.stringContaining('server "x"') })
  expect(error.message).toContain(words)
})

it('a result without a type is complete', async () => {
  const { face } = await open('http', { answers: { 'tools/call': () => ({ resultType: undefined, content: [] }) } })
  expect(await face.call(toolWith('a'))).toEqual({ kind: 'complete', result: { content: [] } })
})

it('a stream that breaks is a failure, and is not resumed although its events had ids', async () => {
  const { face, server } = await open('http')
  const call = toolWith('stuck', {}, { progress: true })
  const hanging = errorOf(face.call(call))
  await vi.waitFor(() => expect(call.heard).toHaveLength(1))
  server!.cut()
  const error = await hanging
  expect(isConnectionError(error) && error).toMatchObject({ delivered: true, lost: false })
  expect(server!.gets).toEqual([])
})

describe('a server that has stopped speaking this era', () => {
  it('loses its instance: the call was not executed and may go to a new one', async () => {
    const refuse = () =>
      Promise.reject(Object.assign(new Error('no'), { code: -32022, data: { supported: ['2025-11-25'] } })) as never
    const { call, eras } = await open('http', { answers: { 'tools/call': refuse } })
    const error = await errorOf(call('echo'))
    expect(isConnectionError(error) && error).toMatchObject({ delivered: false, lost: true })
    expect(eras()).toBe(1)
  })

  it.each([
    ['names no versions', {}, false],
    ['names this one', { supported: ['2026-07-28'] }, false],
    ['has begun with the call', { supported: ['2025-11-25'] }, true],
  ])('is not one that %s: the error is the call’s own', async (_, data, progress) => {
    const { call, eras } = await open('http')
    const error = await errorOf(call('refuse', { code: -32022, data }, { progress }))
    expect(error).toMatchObject({ name: 'RpcError', code: -32603, message: expect.stringContaining('server "x"') })
    expect(eras()).toBe(0)
  })
})

it('leaves a large result its text', async () => {
  const { call } = await open('http')
  const outcome = await call('echo', { text: 'x'.repeat(20_000) })
  // The id comes last where the text is relayed as it came.
  expect(serialise(success(7, outcome.result as JsonObject))).toMatch(/^\{"jsonrpc":"2.0","result":.*"id":7\}$/)
})
