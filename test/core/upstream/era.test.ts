import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { RpcError } from '../../../core/errors.ts'
import { probe } from '../../../core/upstream/era.ts'
import { openInstance, type Instance, type InstanceOptions } from '../../../core/upstream/instance.ts'
import type { Connection } from '../../../core/transport.ts'
import { createEras, type Era } from '../../../core/upstream/verdict.ts'
import sse from '../../../plugins/transport-sse/index.ts'
import stdio from '../../../plugins/transport-stdio/index.ts'
import streamable from '../../../plugins/transport-streamable/index.ts'
import { hello, inside } from '../../fixtures/core/inside.ts'
import { openStore, openUpstream } from '../../fixtures/core/upstream.ts'
import { serveModern } from '../../fixtures/modern-server.ts'
import { memoryLogger, transportContext } from '../../fixtures/transport/context.ts'
import { adapterOf, fixture } from '../../fixtures/transport/start.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closing.splice(0).toReversed()) await close()
})

interface Said {
  readonly status?: number
  /** An event stream of these words. */
  readonly stream?: string
  readonly headers?: Record<string, string>
  /** Ms it takes. */
  readonly after?: number
  /** Instead of the request's. */
  readonly id?: null
  readonly body?: string
  readonly result?: object
  readonly error?: { readonly code: number; readonly message?: string; readonly data?: object }
}
const HELLO = { result: hello({}) }
const DISCOVERY = { result: { supportedVersions: ['2026-07-28'], capabilities: {} } }
const UNREAD = { jsonrpc: '2.0', id: null, error: { code: -32600, message: 'no' } }
const refusal = (code: number, data?: object): Said => ({ error: { code, message: 'no', ...(data && { data }) } })

/** A server over HTTP that says these things, by method; `undefined`: nothing, ever. */
async function serve(answers: Record<string, Said | undefined>) {
  const asked: string[] = []
  /** The session that each request belongs to. */
  const sessions: (string | string[] | undefined)[] = []
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    const { id, method = request.method } = text === '' ? {} : JSON.parse(text)
    asked.push(method)
    sessions.push(request.headers['mcp-session-id'])
    if (id === undefined) return void response.writeHead(method === 'GET' ? 405 : 202).end()
    const said = answers[method]
    if (said === undefined) return
    const { status = 200, body, stream, headers, after = 0, ...message } = said
    await new Promise((resolve) => setTimeout(resolve, after))
    const type = stream === undefined ? 'application/json' : 'text/event-stream'
    response.writeHead(status, { 'content-type': type, ...headers })
    response.end(body ?? stream ?? JSON.stringify({ jsonrpc: '2.0', id, ...message }))
  }
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, asked, sessions }
}

/** Connects as an upstream does. */
async function open(
  entry: object,
  { kept, fixed, connectTimeout = 10_000 }: { kept?: Era; fixed?: Era; connectTimeout?: number } = {},
) {
  const { logger, lines } = memoryLogger()
  const adapter = await adapterOf('command' in entry ? stdio() : streamable())
  const verdict = kept && { era: kept, at: Date.now() }
  const eras = createEras({ fixed: fixed ?? adapter.era, kept: verdict, logger, onverdict: () => {} })
  const options: InstanceOptions = {
    adapter,
    entry,
    name: 'x',
    logger,
    eras,
    tools: [],
    capabilities: {},
    connectTimeout,
    requestTimeout: 5000,
    requestCeiling: 60_000,
    signal: new AbortController().signal,
    context: transportContext({ logger }).context,
    onevent: () => {},
    onsilence: () => {},
    onstate: () => {},
    peerOf: () => undefined,
  }
  const opening = openInstance(options).then((instance: Instance) => {
    closing.push(instance.close)
    return instance
  })
  return { opening, eras, lines }
}

/** Begins a session, as the face of the older era does. */
function beginOn(connection: Connection) {
  return async (signal: AbortSignal) => {
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } }
    const response = await connection.request(
      { jsonrpc: '2.0', id: 1, method: 'initialize', params },
      { party: '', signal, onmessage: () => {} },
    )
    if ('error' in response) throw new RpcError(response.error.code, response.error.message)
    return 'begun'
  }
}

const http = (url: string) => ({ type: 'http', url })

describe('over HTTP', () => {
  it.each<[string, Said]>([
    ['names the version', DISCOVERY],
    ['names it besides others', { result: { supportedVersions: ['2025-11-25', '2026-07-28'], capabilities: {} } }],
  ])('a server that %s is modern', async (_, said) => {
    const { url, asked } = await serve({ 'server/discover': said })
    const { opening, eras } = await open(http(url))
    expect((await opening).face.era).toBe('modern')
    expect(asked).toEqual(['server/discover'])
    expect(eras.verdict).toEqual({ era: 'modern', at: expect.any(Number) })
  })

  it.each([{}, { id: null }])('a server that refuses the version, but names it, is asked once more %j', async (id) => {
    const answers: Record<string, Said> = {
      'server/discover': { status: 400, ...refusal(-32022, { supported: ['2026-07-28'] }), ...id },
    }
    const { url, asked } = await serve(answers)
    const { opening } = await open(http(url))
    await expect(opening).rejects.toMatchObject({ code: -32022 })
    expect(asked).toEqual(['server/discover', 'server/discover'])
  })

  it.each<[string, Said]>([
    ['names an older version only', { status: 400, ...refusal(-32022, { supported: ['2025-11-25'] }) }],
    ['discovers an older version only', { result: { supportedVersions: ['2025-06-18'] } }],
    ['answers with something else', { result: { tools: [] } }],
    ['does not know the method', refusal(-32601)],
    ['does not know the method, with 404', { status: 404, ...refusal(-32601) }],
    ['misses parameters', refusal(-32602)],
    ['finds the request invalid', { status: 400, ...refusal(-32600) }],
    ['misses a session', { status: 404, ...refusal(-32001) }],
    ['misses a session id', { status: 400, ...refusal(-32000) }],
    ['refuses what it cannot read, in a stream', { stream: `data: ${JSON.stringify(UNREAD)}\n\n` }],
    ['answers 400', { status: 400, body: '' }],
    ['answers 404', { status: 404, body: 'nothing here' }],
    ['answers 405', { status: 405, body: '' }],
    ['answers 406', { status: 406, body: '' }],
  ])('a server that %s is a legacy one', async (_, said) => {
    const { url, asked } = await serve({ 'server/discover': said, initialize: HELLO })
    const { opening, eras, lines } = await open(http(url))
    expect((await opening).face.era).toBe('legacy')
    expect(asked.slice(0, 3)).toEqual(['server/discover', 'initialize', 'notifications/initialized'])
    expect(eras.verdict?.era).toBe('legacy')
    expect(lines.filter((line) => line.startsWith('debug: speaks the legacy era: '))).toHaveLength(1)
  })

  it.each<[string, Said]>([
    ['without an answer', { status: 202, body: '' }],
    ['with a stream that ends without an answer', { stream: ': ok\n\n' }],
  ])('a server that takes the request %s is a legacy one for now', async (_, said) => {
    const { url } = await serve({ 'server/discover': said, initialize: HELLO })
    const { opening, eras } = await open(http(url))
    expect((await opening).face.era).toBe('legacy')
    expect(eras).toMatchObject({ known: 'legacy', verdict: undefined })
  })

  it.each([-32020, -32021])('a server that answers %i is a modern one: nothing older knows that', async (code) => {
    const { url, asked } = await serve({ 'server/discover': { status: 400, ...refusal(code) } })
    const { opening, eras } = await open(http(url))
    await expect(opening).rejects.toMatchObject({ code })
    expect(asked).toEqual(['server/discover', 'server/discover'])
    expect(eras.verdict).toBeUndefined()
  })

  it.each([-32600, -32601, -32602])('a server’s own %i counts under whatever status', async (code) => {
    for (const status of [401, 403, 408, 429, 500, 503]) {
      const { url } = await serve({ 'server/discover': { status, ...refusal(code) }, initialize: HELLO })
      const { opening, eras } = await open(http(url))
      expect((await opening).face.era).toBe('legacy')
      expect(eras.verdict?.era).toBe('legacy')
    }
  })

  it('a session that is begun with the refusal is ended, and is nobody’s', async () => {
    const headers = { 'mcp-session-id': 'stray' }
    const { url, asked, sessions } = await serve({
      'server/discover': { status: 400, headers, ...refusal(-32000) },
      initialize: HELLO,
    })
    await (
      await open(http(url))
    ).opening
    await vi.waitFor(() => expect(asked).toContain('DELETE'))
    expect(sessions[asked.indexOf('DELETE')]).toBe('stray')
    expect(sessions[asked.indexOf('notifications/initialized')]).toBeUndefined()
  })

  it('a server of a revision to come is refused with its versions', async () => {
    const { url, asked } = await serve({ 'server/discover': refusal(-32022, { supported: ['2031-01-01'] }) })
    await expect((await open(http(url))).opening).rejects.toThrow(
      /server "x" speaks .*2031-01-01.*proxy speaks 2026-07-28/,
    )
    expect(asked).toEqual(['server/discover'])
  })

  it.each([401, 403, 408, 429, 500, 503])('status %i says nothing about the era: the connect fails', async (status) => {
    for (const said of [
      { status, body: '' },
      { status, ...refusal(-32000) },
      { status, ...refusal(-32601), id: null },
    ] as const) {
      const { url, asked } = await serve({ 'server/discover': said, initialize: HELLO })
      const { opening, eras } = await open(http(url))
      const message = expect.stringContaining('"protocol"')
      await expect(opening).rejects.toMatchObject({ name: 'ConnectionError', status, message })
      expect(asked).toEqual(['server/discover'])
      expect(eras.verdict).toBeUndefined()
    }
  })

  it('nor does a short silence', async () => {
    const { url, asked } = await serve({ initialize: HELLO })
    await expect((await open(http(url), { connectTimeout: 200 })).opening).rejects.toThrow('no answer within 0.2 s')
    expect(asked).toEqual(['server/discover'])
  })

  it.each([
    [undefined, HELLO, 'legacy', undefined],
    [undefined, { status: 500, body: '' }, 'failed', undefined],
    [{ ...DISCOVERY, after: 300 }, undefined, 'modern', true],
    [{ ...DISCOVERY, after: 300 }, { status: 400, body: '' }, 'modern', true],
    [{ ...refusal(-32601), after: 300 }, { ...HELLO, after: 400 }, 'legacy', undefined],
  ] as const)('a long silence is met with a session: %j and %j', async (discovery, initialize, era, isSpoilt) => {
    const { url } = await serve({ 'server/discover': discovery, initialize })
    const adapter = await adapterOf(streamable())
    const connection = await adapter.connect(http(url), transportContext().context)
    closing.push(connection.close)
    const begin = beginOn(connection)
    const probing = probe({ connection, name: 'x', signal: new AbortController().signal, begin, patience: 200 })
    const found = await probing.catch(() => ({ era: 'failed', isSpoilt: undefined }))
    expect(found).toMatchObject({ era })
    expect(found.isSpoilt).toBe(isSpoilt)
  })

  it('nor a server that is not there', async () => {
    const { url, close } = await serveModern()
    await close()
    const { opening, eras } = await open(http(url))
    await expect(opening).rejects.toThrow('refused')
    expect(eras.verdict).toBeUndefined()
  })

  it('a server of HTTP+SSE is not asked', async () => {
    expect((await adapterOf(sse())).era).toBe('legacy')
  })
})

describe('over a pipe', () => {
  const program = (...args: string[]) => ({ command: process.execPath, args: [fixture('../era-server.ts'), ...args] })

  async function log() {
    const folder = await mkdtemp(join(tmpdir(), 'era-'))
    closing.push(() => rm(folder, { recursive: true }))
    const path = join(folder, 'log')
    return { path, read: async () => (await readFile(path, 'utf8')).trim().split('\n') }
  }

  it.each([
    ['modern', 'modern', ['server/discover']],
    ['dual', 'modern', ['server/discover']],
    ['legacy', 'legacy', ['server/discover', 'initialize', 'notifications/initialized']],
    // Once in each of two processes.
    ['answers, then exits', 'legacy', ['server/discover', 'initialize', 'notifications/initialized']],
    ['exits', 'legacy', ['server/discover', 'initialize', 'notifications/initialized']],
  ] as const)('a program that is %s', async (mode, era, heard) => {
    const { path, read } = await log()
    const { opening, eras } = await open(program(mode, '0', path))
    expect((await opening).face.era).toBe(era)
    await vi.waitFor(async () => expect(await read()).toEqual(heard))
    expect(eras.verdict?.era).toBe(era)
    // The next one is not asked.
    const again = await open(program(mode, '0', path), { kept: era })
    expect((await again.opening).face.era).toBe(era)
    expect((await read()).slice(heard.length)[0]).toBe(era === 'modern' ? 'server/discover' : 'initialize')
  })

  it('a slow program of both eras is connected anew for the newer one: the session it was asked for is in the way', async () => {
    const { path, read } = await log()
    const { opening, eras } = await open(program('dual', '3300', path), { connectTimeout: 20_000 })
    const { face } = await opening
    expect(face.era).toBe('modern')
    await face.ping(new AbortController().signal)
    expect(eras.verdict?.era).toBe('modern')
    const heard = await read()
    expect(heard.slice(0, 2)).toEqual(['server/discover', 'initialize'])
    expect(heard.slice(-2)).toEqual(['server/discover', 'server/discover'])
  }, 20_000)

  it.each([
    ['exits', 'legacy'],
    ['dual', 'modern'],
  ])(
    'a slow program that is %s: what was found out is known to the next attempt',
    async (mode, era) => {
      const { opening, eras } = await open(program(mode, '3600'), { connectTimeout: 7100 })
      await expect(opening).rejects.toThrow('no answer within')
      expect(eras.known).toBe(era)
    },
    20_000,
  )

  it('a program that never runs fails as it does', async () => {
    const { opening, eras, lines } = await open({ command: process.execPath, args: ['-e', 'process.exit(7)'] })
    await expect(opening).rejects.toThrow('exited with code 7')
    expect(lines.filter((line) => line.includes('started again'))).toHaveLength(1)
    // It has shown nothing.
    expect(eras.known).toBeUndefined()
  })

  it.each([
    ['silent', '0', 'legacy', false],
    ['modern', '500', 'modern', true, false],
    ['dual', '500', 'modern', true, true],
    ['legacy', '500', 'legacy', true],
    ['late', '0', 'legacy', false],
  ] as const)('a program that is %s and starts after %s ms', async (mode, delay, era, lasts, isSpoilt?: boolean) => {
    const { logger, lines } = memoryLogger()
    const connection = await (
      await adapterOf(stdio())
    ).connect(program(mode, delay), transportContext({ logger }).context)
    closing.push(connection.close)
    const begin = beginOn(connection)
    const signal = new AbortController().signal
    const found = await probe({ connection, name: 'x', signal, begin, patience: 150 })
    expect(found).toMatchObject({ era, lasts })
    expect(found.isSpoilt).toBe(isSpoilt)
    expect(found.begun).toBe(era === 'legacy' ? 'begun' : undefined)
    if (mode !== 'late') return
    // The late answer belongs to nobody and ends nothing.
    await vi.waitFor(() => expect(lines.join()).toContain('a response to no open request'), 5000)
    const ping = { jsonrpc: '2.0', id: 2, method: 'ping' } as const
    expect(await connection.request(ping, { party: '', onmessage: () => {} })).toMatchObject({ id: 2 })
  })
})

describe('what is configured', () => {
  it('is spoken without asking', async () => {
    const { url, asked } = await serve({ 'server/discover': DISCOVERY, initialize: HELLO })
    expect((await (await open(http(url), { fixed: 'legacy' })).opening).face.era).toBe('legacy')
    expect(asked).not.toContain('server/discover')
    expect((await (await open(http(url), { fixed: 'modern' })).opening).face.era).toBe('modern')
  })

  it('is not doubted', async () => {
    const { url, asked } = await serve({ 'server/discover': refusal(-32601), initialize: HELLO })
    await expect((await open(http(url), { fixed: 'modern' })).opening).rejects.toThrow('check "protocol"')
    expect(asked).toEqual(['server/discover'])
  })
})

describe('what was found out', () => {
  it('and is wrong now is found out anew, once', async () => {
    const older = await serve({ 'server/discover': refusal(-32601), initialize: HELLO })
    const wasModern = await open(http(older.url), { kept: 'modern' })
    expect((await wasModern.opening).face.era).toBe('legacy')
    expect(wasModern.eras.verdict?.era).toBe('legacy')

    const newer = await serve({ 'server/discover': DISCOVERY, initialize: { status: 400, ...refusal(-32022) } })
    const wasLegacy = await open(http(newer.url), { kept: 'legacy' })
    expect((await wasLegacy.opening).face.era).toBe('modern')
    expect(newer.asked).toEqual(['initialize', 'server/discover'])

    const neither = await serve({ 'server/discover': refusal(-32601), initialize: refusal(-32601) })
    await expect((await open(http(neither.url), { kept: 'legacy' })).opening).rejects.toMatchObject({ code: -32601 })
    expect(neither.asked).toEqual(['initialize', 'server/discover', 'initialize'])
  })

  it('stays when the server is merely not there', async () => {
    const { url } = await serve({ 'server/discover': { status: 503, body: '' }, initialize: { status: 503, body: '' } })
    for (const kept of ['modern', 'legacy'] as const) {
      const { opening, eras } = await open(http(url), { kept })
      await expect(opening).rejects.toMatchObject({ status: 503 })
      expect(eras.known).toBe(kept)
    }
  })

  it('counts for a day, or an hour where nobody said so', () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const { logger } = memoryLogger()
    const onverdict = vi.fn<() => void>()
    const eras = createEras({ fixed: undefined, kept: undefined, logger, onverdict })
    expect(eras.known).toBeUndefined()
    eras.found('modern', 'it says so', true)
    expect(onverdict).toHaveBeenCalledTimes(1)
    vi.setSystemTime(Date.now() + 24 * 3_600_000 - 1)
    expect(eras.known).toBe('modern')
    vi.setSystemTime(Date.now() + 1)
    expect(eras).toMatchObject({ known: undefined, last: 'modern' })
    eras.found('legacy', 'it was silent', false)
    expect(eras).toMatchObject({ known: 'legacy', last: 'legacy', verdict: undefined })
    vi.setSystemTime(Date.now() + 3_600_000)
    expect(eras).toMatchObject({ known: undefined, last: 'legacy' })
    eras.found('modern', 'it says so', true)
    onverdict.mockClear()
    eras.doubt()
    eras.doubt()
    // What is kept for the next run is doubted too.
    expect(eras).toMatchObject({ known: undefined, verdict: undefined })
    expect(onverdict).toHaveBeenCalledTimes(1)
  })

  it('is kept for the next run, for as long as it counts', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const store = openStore()
    async function run(): Promise<readonly string[]> {
      const fake = inside(
        ({ method }) => {
          if (method === 'server/discover') throw new RpcError(-32601, 'no')
          return method === 'initialize' ? hello() : { tools: [], prompts: [] }
        },
        undefined,
        'either',
      )
      const { upstreams, server } = await openUpstream({ fake, store })
      upstreams.start()
      await upstreams.connected
      await upstreams.close()
      return server.connections.flatMap(({ asked }) => asked)
    }
    expect((await run())[0]).toBe('server/discover')
    expect((await run())[0]).toBe('initialize')
    vi.setSystemTime(Date.now() + 25 * 3_600_000)
    expect((await run())[0]).toBe('server/discover')
  })
})
