import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { definePlugin, type Route } from '../../../core/index.ts'
import { converse, send } from '../../fixtures/core/http.ts'
import { openKernel, ORIGIN, type BareKernel } from '../../fixtures/core/kernel.ts'
import { openLegacy, openProxy, servers, type TestProxy } from '../../harness.ts'

describe('paths', () => {
  let proxy: TestProxy
  beforeAll(async () => void (proxy = await openProxy({})))
  afterAll(() => proxy.close())

  it('serves the endpoint with a trailing slash too, without redirect', async () => {
    const wire = await openLegacy(`${proxy.url}/`, '2025-11-25', (url, init) =>
      fetch(url, { ...init, redirect: 'error' }),
    )
    expect(wire.sessionId).not.toBe('')
    expect(await wire.request('ping')).toMatchObject({ result: {} })
  })

  it.each(['/nothing', '/', '/mcp/more', '/mcpx', '/authorize', '/healthz/x'])(
    'answers 404 at %s and repeats nothing of the URL',
    async (path) => {
      const response = await fetch(`${proxy.origin}${path}?code=SECRET#frag`)
      const text = await response.text()
      expect(response.status).toBe(404)
      expect(JSON.parse(text)).toMatchObject({ error: 'not_found' })
      expect(text).not.toContain('SECRET')
      expect(JSON.stringify([...response.headers])).not.toContain('SECRET')
      expect(proxy.log()).not.toContain('SECRET')
    },
  )

  it.each(['//evil.example.com/mcp', '/%2e%2e/mcp', '/mcp%00', '/%zz', '/..%2f..%2fetc'])(
    'survives the odd path %s',
    async (path) => {
      const { port } = new URL(proxy.origin)
      const answer = await send(`http://127.0.0.1:${port}`, {})
      expect(answer.status).toBe(404)
      const raw = await rawGet(Number(port), path)
      expect(raw).toMatch(/^HTTP\/1\.1 4\d\d /)
      expect(proxy.lines.filter(({ level }) => level === 'error')).toEqual([])
      expect((await fetch(`${proxy.origin}/healthz`)).status).toBe(200)
    },
  )

  it('answers 405 with Allow for other methods', async () => {
    for (const method of ['PUT', 'PATCH', 'HEAD']) {
      const response = await fetch(proxy.url, { method })
      expect([method, response.status, response.headers.get('allow')]).toEqual([
        method,
        405,
        'POST, GET, DELETE, OPTIONS',
      ])
      await response.text()
    }
    const health = await fetch(`${proxy.origin}/healthz`, { method: 'POST' })
    expect([health.status, health.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })
})

describe('pathPrefix', () => {
  it('moves the endpoint; the bare path is 404 then', async () => {
    const { fetch, close } = await openKernel({ pathPrefix: 'team' })
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }
    expect((await fetch(`${ORIGIN}/team/mcp`, init)).status).toBe(400)
    expect((await fetch(`${ORIGIN}/team/mcp/`, init)).status).toBe(400)
    expect((await fetch(`${ORIGIN}/mcp`, init)).status).toBe(404)
    expect((await fetch(`${ORIGIN}/mcp/`, init)).status).toBe(404)
    expect((await fetch(`${ORIGIN}/healthz`)).status).toBe(200)
    await close()
  })
})

describe('health', () => {
  it('is 200 at once, with counts and no names; readiness is 503 until every server has settled', async () => {
    const { kernel, fetch, close } = await openKernel({
      mcpServers: {
        quiet: { ...servers.fault('silent'), connectTimeout: 1500 },
        off: { ...servers.fault('echo'), disabled: true },
        wrong: { command: 'node', args: 'no list' as never },
      },
    })
    try {
      expect((await fetch(`${ORIGIN}/readyz`)).status).toBe(503)
      kernel.start()
      const health = await fetch(`${ORIGIN}/healthz`)
      expect(health.status).toBe(200)
      expect(await health.json()).toEqual({ status: 'ok', upstreams: { connecting: 1, disabled: 1, invalid: 1 } })
      const early = await fetch(`${ORIGIN}/readyz`)
      expect(early.status).toBe(503)
      expect(await early.json()).toMatchObject({ status: 'starting' })
      await kernel.ready
      const ready = await fetch(`${ORIGIN}/readyz`)
      expect(ready.status).toBe(200)
      expect(await ready.text()).not.toMatch(/quiet|off|wrong/)
      expect((await fetch(`${ORIGIN}/readyz`, { method: 'HEAD' })).status).toBe(200)
      expect((await fetch(`${ORIGIN}/healthz`, { headers: { host: 'probe.example.com' } })).status).toBe(200)
    } finally {
      await close()
    }
    expect((await fetch(`${ORIGIN}/healthz`)).status).toBe(503)
  })
})

describe('routes of plugins', () => {
  const plugin = definePlugin({
    name: 'test-routes',
    setup: () => ({
      routes: [
        { method: 'get', path: '/page/:id', handler: ({ url }) => new Response(new URL(url).pathname) },
        {
          path: '/broken',
          handler() {
            throw new Error('the secret is 42')
          },
        },
      ],
    }),
  })

  it('are served behind the same guard; what they throw is logged, not told', async () => {
    const { fetch, log, close } = await openKernel({ plugins: [plugin, 'storage-fs'] })
    expect(await (await fetch(`${ORIGIN}/page/7`)).text()).toBe('/page/7')
    expect((await fetch(`${ORIGIN}/page/7`, { method: 'POST' })).status).toBe(404)
    expect((await fetch(`${ORIGIN}/page/7`, { headers: { host: 'evil.example.com' } })).status).toBe(421)
    const broken = await fetch(`${ORIGIN}/broken`)
    expect(broken.status).toBe(500)
    expect(await broken.text()).not.toContain('42')
    expect(log()).toContain('the secret is 42')
    await close()
  })
})

describe('which web pages may use a route of a plugin', () => {
  const EVIL = 'https://evil.example.com'
  const KNOWN = 'https://claude.ai'
  const seen: string[] = []
  /** Answers everything, and says what it was asked. */
  const route = (path: string, more: Partial<Route> = {}): Route => ({
    path,
    ...more,
    handler({ method }) {
      seen.push(method)
      return new Response(`answer to ${method}`, { headers: { 'x-own': 'yes' } })
    },
  })
  const plugin = definePlugin({
    name: 'test-cors',
    setup: () => ({
      routes: [
        route('/default'),
        route('/known', { cors: 'known' }),
        route('/any', { cors: 'any' }),
        route('/none', { cors: 'none' }),
        route('/get/default', { method: 'get' }),
        route('/get/any', { method: 'GET', cors: 'any' }),
        route('/get/none', { method: 'GET', cors: 'none' }),
        route('/two/any', { method: 'GET', cors: 'any' }),
        route('/two/any', { method: 'POST', cors: 'any' }),
      ],
    }),
  })
  let proxy: BareKernel
  beforeAll(async () => void (proxy = await openKernel({ plugins: [plugin, 'storage-fs'] })))
  afterAll(() => proxy.close())

  /** What a page may read of an answer (`undefined`: not even that there is one), and what the handler was asked. */
  async function ask(path: string, origin: string | undefined, method = 'GET', headers: Record<string, string> = {}) {
    const response = await proxy.fetch(`${ORIGIN}${path}`, {
      method,
      headers: { ...headers, ...(origin !== undefined && { origin }) },
    })
    const readable = response.headers.get('access-control-allow-origin') ?? undefined
    return { status: response.status, readable, asked: seen.splice(0), text: await response.text(), response }
  }

  const preflight = (path: string, origin: string) =>
    ask(path, origin, 'OPTIONS', {
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,authorization',
    })

  it.each(['/default', '/known', '/get/default'])(
    '%s: the known ones, and the others reach no handler',
    async (path) => {
      expect(await ask(path, KNOWN)).toMatchObject({ status: 200, readable: KNOWN, asked: ['GET'] })
      expect(await ask(path, undefined)).toMatchObject({ status: 200, readable: undefined, asked: ['GET'] })
      for (const origin of [EVIL, 'null']) {
        expect(await ask(path, origin)).toMatchObject({ status: 403, readable: undefined, asked: [] })
        expect(await preflight(path, origin)).toMatchObject({ status: 403, readable: undefined, asked: [] })
      }
    },
  )

  it.each(['/any', '/get/any', '/two/any'])('%s: every one, without credentials', async (path) => {
    for (const origin of [KNOWN, EVIL, 'null', undefined]) {
      const answer = await ask(path, origin)
      expect(answer).toMatchObject({ status: 200, readable: '*', asked: ['GET'], text: 'answer to GET' })
      const { headers } = answer.response
      expect(headers.get('x-own')).toBe('yes')
      expect(headers.get('access-control-allow-credentials')).toBeNull()
      expect(headers.get('access-control-expose-headers')).toContain('www-authenticate')
      expect(headers.get('vary')).toBeNull()
    }
  })

  it.each(['/any', '/get/any', '/two/any'])('%s: a preflight is answered, and reaches no handler', async (path) => {
    for (const origin of [KNOWN, EVIL, 'null']) {
      const answer = await preflight(path, origin)
      expect(answer).toMatchObject({ status: 204, readable: '*', asked: [], text: '' })
      const { headers } = answer.response
      expect(headers.get('access-control-allow-headers')).toBe('content-type,authorization')
      expect(headers.get('access-control-allow-methods')).toBe('GET, HEAD, POST, OPTIONS')
      expect(headers.get('access-control-allow-credentials')).toBeNull()
    }
  })

  it.each(['/none', '/get/none'])('%s: none may read it, and the handler decides who may send', async (path) => {
    for (const origin of [KNOWN, EVIL, 'null', undefined]) {
      const answer = await ask(path, origin)
      expect(answer).toMatchObject({ status: 200, readable: undefined, asked: ['GET'] })
      expect([...answer.response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })

  it("none: a preflight is the handler's too, and nothing where it answers one method", async () => {
    const answer = await preflight('/none', EVIL)
    expect(answer).toMatchObject({ status: 200, readable: undefined, asked: ['OPTIONS'] })
    expect(answer.response.headers.get('access-control-allow-methods')).toBeNull()
    const other = await preflight('/get/none', EVIL)
    expect(other).toMatchObject({ status: 403, readable: undefined, asked: [] })
  })

  it.each(['/default', '/known', '/any', '/none', '/get/default', '/get/any', '/get/none', '/two/any'])(
    '%s: HEAD is answered like GET, without a body',
    async (path) => {
      const get = await ask(path, undefined)
      const head = await ask(path, undefined, 'HEAD')
      expect(head).toMatchObject({ status: get.status, readable: get.readable, asked: ['HEAD'], text: '' })
      expect(head.response.headers.get('x-own')).toBe('yes')
    },
  )

  it.each(['/default', '/known', '/any', '/none', '/get/any'])('%s: only under a name of ours', async (path) => {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const answer = await ask(path, undefined, method, { host: 'evil.example.com' })
      expect(answer).toMatchObject({ status: 421, readable: undefined, asked: [] })
    }
  })

  it('a route of one method answers no other', async () => {
    for (const path of ['/get/default', '/get/any', '/get/none']) {
      expect(await ask(path, undefined, 'POST')).toMatchObject({ status: 404, asked: [] })
    }
    expect(await ask('/two/any', EVIL, 'POST')).toMatchObject({ status: 200, readable: '*', asked: ['POST'] })
    expect(await ask('/two/any', undefined, 'PUT')).toMatchObject({ status: 404, asked: [] })
  })

  it('a route with a HEAD of its own keeps it', async () => {
    const own = definePlugin({
      name: 'test-head',
      setup: () => ({
        routes: [
          { method: 'GET', path: '/page', handler: () => new Response('page', { headers: { 'x-from': 'get' } }) },
          { method: 'HEAD', path: '/page', handler: () => new Response(null, { headers: { 'x-from': 'head' } }) },
        ],
      }),
    })
    const { fetch, close } = await openKernel({ plugins: [own, 'storage-fs'] })
    expect((await fetch(`${ORIGIN}/page`, { method: 'HEAD' })).headers.get('x-from')).toBe('head')
    expect((await fetch(`${ORIGIN}/page`)).headers.get('x-from')).toBe('get')
    await close()
  })

  it('the endpoint itself stays closed to pages that are not known', async () => {
    expect(await ask('/mcp', EVIL, 'POST')).toMatchObject({ status: 403, readable: undefined })
    expect(await preflight('/mcp', EVIL)).toMatchObject({ status: 403, readable: undefined })
    expect(await ask('/nothing', EVIL)).toMatchObject({ status: 403, readable: undefined })
  })

  it('holds over the network, where a preflight and a HEAD have no body', async () => {
    const { origin, close } = await openProxy({ plugins: [plugin, 'storage-fs'] })
    try {
      const opened = await send(`${origin}/any`, { method: 'OPTIONS', headers: { origin: EVIL } })
      expect([opened.status, opened.headers['access-control-allow-origin'], opened.text]).toEqual([204, '*', ''])
      for (const path of ['/any', '/get/any']) {
        const head = await send(`${origin}${path}`, { method: 'HEAD', headers: { origin: EVIL } })
        expect([head.status, head.headers['access-control-allow-origin'], head.text]).toEqual([200, '*', ''])
      }
      const closed = await send(`${origin}/none`, { headers: { origin: EVIL } })
      expect([closed.status, closed.headers['access-control-allow-origin']]).toEqual([200, undefined])
    } finally {
      await close()
    }
  })
})

/** A request line as it is: `fetch` and `node:http` would tidy the path. */
async function rawGet(port: number, path: string): Promise<string> {
  return converse(
    `http://127.0.0.1:${port}`,
    pieces(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`),
  )
}

async function* pieces(...all: string[]): AsyncGenerator<string> {
  yield* all
}
