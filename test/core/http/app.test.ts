import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { definePlugin } from '../../../core/index.ts'
import { converse, send } from '../../fixtures/core/http.ts'
import { openKernel, ORIGIN } from '../../fixtures/core/kernel.ts'
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
