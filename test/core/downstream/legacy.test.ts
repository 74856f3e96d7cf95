import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { definePlugin } from '../../../core/index.ts'
import { openKernel, ORIGIN } from '../../fixtures/core/kernel.ts'
import { JSON_HEADERS, openLegacy, openProxy, servers, type TestProxy } from '../../harness.ts'

const MCP = `${ORIGIN}/mcp`

/** Everybody is who the header says. */
const byHeader = definePlugin({
  name: 'test-auth',
  setup: () => ({
    auth: {
      authenticate({ headers }) {
        const id = headers.get('x-user')
        const client = headers.get('x-client')
        return id === null ? undefined : { id, roles: [], ...(client && { client }) }
      },
      challenge: () => ({ 'www-authenticate': 'Bearer' }),
    },
  }),
})

/** A fetch that always sends these headers. */
function as(fetcher: typeof fetch, headers: Record<string, string>): typeof fetch {
  return (input, init) => fetcher(input, { ...init, headers: { ...(init?.headers as object), ...headers } })
}

describe('a session', () => {
  let proxy: TestProxy
  beforeAll(async () => void (proxy = await openProxy({ mcpServers: { good: servers.fault('echo') } })))
  afterAll(() => proxy.close())

  const initialize = (protocolVersion: unknown) =>
    fetch(proxy.url, {
      method: 'POST',
      headers: JSON_HEADERS,
      body: JSON.stringify({ jsonrpc: '2.0', id: 'first', method: 'initialize', params: { protocolVersion } }),
    })

  it.each(['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'])('speaks %s when asked to', async (version) => {
    const response = await initialize(version)
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({
      id: 'first',
      result: { protocolVersion: version, serverInfo: { name: 'mcp-proxy-server' }, capabilities: { tools: {} } },
    })
    expect(response.headers.get('mcp-session-id')).toMatch(/^[\x21-\x7E]{20,1024}$/)
  })

  it('offers the newest it knows for a revision it does not know, and refuses none at all', async () => {
    expect(await (await initialize('1999-01-01')).json()).toMatchObject({ result: { protocolVersion: '2025-11-25' } })
    for (const version of [undefined, 7, null]) {
      const response = await initialize(version)
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ id: 'first', error: { code: -32602 } })
      expect(response.headers.get('mcp-session-id')).toBeNull()
    }
  })

  it('is needed: without 400, with an unknown or tampered id 404 -32001', async () => {
    const { sessionId } = await openLegacy(proxy.url)
    const post = (headers: Record<string, string>) =>
      fetch(proxy.url, {
        method: 'POST',
        headers: { ...JSON_HEADERS, ...headers },
        body: JSON.stringify({ jsonrpc: '2.0', id: 5, method: 'ping' }),
      })
    const missing = await post({})
    expect(missing.status).toBe(400)
    expect(await missing.json()).toMatchObject({ id: 5, error: { code: -32600 } })
    const flip = (at: number) => sessionId.slice(0, at) + (sessionId[at] === 'A' ? 'B' : 'A') + sessionId.slice(at + 1)
    const bad = [
      'unknown',
      sessionId + 'A',
      sessionId.slice(0, -4),
      flip(3),
      flip(20),
      flip(sessionId.length - 4),
      'x'.repeat(4000),
    ]
    for (const id of bad) {
      const unknown = await post({ 'mcp-session-id': id })
      expect(unknown.status).toBe(404)
      expect(await unknown.json()).toMatchObject({ id: 5, error: { code: -32001 } })
    }
    for (const method of ['GET', 'DELETE']) {
      expect((await fetch(proxy.url, { method })).status).toBe(400)
      expect((await fetch(proxy.url, { method, headers: { 'mcp-session-id': 'unknown' } })).status).toBe(404)
    }
    expect((await post({ 'mcp-session-id': sessionId })).status).toBe(200)
  })

  it('ends with DELETE: 404 afterwards, and its stream is closed', async () => {
    const wire = await openLegacy(proxy.url)
    const headers = { 'mcp-session-id': wire.sessionId }
    const stream = await fetch(proxy.url, { headers: { ...headers, accept: 'text/event-stream' } })
    expect((await fetch(proxy.url, { method: 'DELETE', headers })).status).toBe(204)
    await stream.text()
    expect((await wire.post({ jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(404)
    expect((await fetch(proxy.url, { method: 'DELETE', headers })).status).toBe(404)
  })

  it('refuses an MCP-Protocol-Version that is not served, takes any that is', async () => {
    const wire = await openLegacy(proxy.url)
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
    for (const version of ['1999-01-01', 'latest', '']) {
      const response = await wire.post(ping, { 'mcp-protocol-version': version })
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ error: { code: -32600 } })
    }
    expect((await wire.post(ping, { 'mcp-protocol-version': '2025-11-25' })).status).toBe(200)
  })

  it('answers GET with an event stream, and 406 to who takes none', async () => {
    const { sessionId } = await openLegacy(proxy.url)
    const get = (accept: string) => fetch(proxy.url, { headers: { 'mcp-session-id': sessionId, accept } })
    expect((await get('application/json')).status).toBe(406)
    const first = await get('text/event-stream')
    expect([first.status, first.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    // A second stream takes over, since the first is often dead without anyone knowing.
    const second = await get('text/event-stream')
    await first.text()
    await second.body?.cancel()
  })

  it('answers requests without streams to a client that takes JSON only', async () => {
    const wire = await openLegacy(proxy.url)
    const params = { name: 'good_progress', arguments: {}, _meta: { progressToken: 1 } }
    const response = await wire.post(
      { jsonrpc: '2.0', id: 1, method: 'tools/call', params },
      { accept: 'application/json' },
    )
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toMatchObject({ result: { content: [{ text: '3 steps' }] } })
  })

  it('knows no method that is none, and takes notifications and responses without a word', async () => {
    const wire = await openLegacy(proxy.url)
    for (const method of ['nothing', 'server/discover', 'constructor', '__proto__', 'tools/list ']) {
      expect(await wire.request(method)).toMatchObject({ error: { code: -32601 } })
    }
    for (const body of [
      { jsonrpc: '2.0', method: 'notifications/unheard-of' },
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 99 } },
      { jsonrpc: '2.0', method: 'notifications/cancelled' },
      { jsonrpc: '2.0', id: 99, result: {} },
      { jsonrpc: '2.0', id: 99, error: { code: 1, message: 'no' } },
    ]) {
      const response = await wire.post(body)
      expect([response.status, await response.text()]).toEqual([202, ''])
    }
  })

  it('refuses an id that is in use, and cancels by notification', async () => {
    const wire = await openLegacy(proxy.url)
    const other = await openLegacy(proxy.url)
    const sleep = { name: 'good_sleep', arguments: { ms: 20_000 } }
    const sleeping = wire.request('tools/call', sleep, 'one')
    await vi.waitFor(async () => {
      expect(await wire.request('tools/list', {}, 'one')).toMatchObject({ error: { code: -32600 } })
    })
    // The same id of another session is another request.
    await other.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'one' } })
    expect(await other.request('tools/list', {}, 'one')).toMatchObject({ result: {} })
    await wire.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'one' } })
    expect(await sleeping).toMatchObject({ id: 'one', error: { message: 'Request cancelled' } })
    expect(await wire.request('tools/list', {}, 'one')).toMatchObject({ result: {} })
  })
})

describe('whose session it is', () => {
  it('matters: somebody else, or another client of the same user, gets 404', async () => {
    const { fetch, close } = await openKernel({ plugins: [byHeader, 'storage-fs'] })
    const anna = { 'x-user': 'anna', 'x-client': 'c1' }
    const wire = await openLegacy(MCP, '2025-11-25', as(fetch, anna))
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
    expect((await wire.post(ping)).status).toBe(200)
    const headers = { ...JSON_HEADERS, 'mcp-session-id': wire.sessionId }
    for (const thief of [
      { 'x-user': 'bert', 'x-client': 'c1' },
      { 'x-user': 'anna', 'x-client': 'c2' },
      { 'x-user': 'anna' },
    ]) {
      for (const [method, body] of [
        ['POST', JSON.stringify(ping)],
        ['GET', null],
        ['DELETE', null],
      ] as const) {
        const response = await fetch(MCP, { method, headers: { ...headers, ...thief }, body })
        expect(response.status).toBe(404)
      }
    }
    expect((await wire.post(ping)).status).toBe(200)
    await close()
  })

  it('is asked before anything else: 401 with the challenge', async () => {
    const { fetch, close } = await openKernel({ plugins: [byHeader, 'storage-fs'] })
    const response = await fetch(MCP, { method: 'POST', headers: JSON_HEADERS, body: '{' })
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    expect((await fetch(MCP, { method: 'OPTIONS' })).status).toBe(204)
    await close()
  })

  it('an error of the provider is no way in', async () => {
    const broken = definePlugin({
      name: 'test-broken',
      setup: () => ({
        auth: {
          authenticate() {
            throw new Error('the database at 10.0.0.1 is down')
          },
        },
      }),
    })
    const { fetch, log, close } = await openKernel({ plugins: [broken, 'storage-fs'] })
    const response = await fetch(MCP, { method: 'POST', headers: JSON_HEADERS, body: '{}' })
    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain('10.0.0.1')
    expect(log()).toContain('10.0.0.1')
    await close()
  })
})

describe('a restart', () => {
  it('keeps sessions, except those that were ended', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-test-'))
    const plugins = [byHeader, 'storage-fs']
    const anna = { 'x-user': 'anna' }
    const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })
    const before = await openKernel({ dataDir, plugins })
    const kept = await openLegacy(MCP, '2025-03-26', as(before.fetch, anna))
    const ended = await openLegacy(MCP, '2025-11-25', as(before.fetch, anna))
    await before.fetch(MCP, { method: 'DELETE', headers: { ...anna, 'mcp-session-id': ended.sessionId } })
    await before.close()

    const after = await openKernel({ dataDir, plugins })
    const post = (id: string, user: Record<string, string>, body = ping) =>
      after.fetch(MCP, { method: 'POST', headers: { ...JSON_HEADERS, ...user, 'mcp-session-id': id }, body })
    expect((await post(ended.sessionId, anna)).status).toBe(404)
    expect((await post(kept.sessionId, { 'x-user': 'bert' })).status).toBe(404)
    expect((await post(kept.sessionId, anna)).status).toBe(200)
    // The revision is remembered too: batches belong to 2025-03-26 alone.
    expect((await post(kept.sessionId, anna, `[${ping}]`)).status).toBe(200)
    await after.close()

    const stranger = await openKernel({ plugins })
    const foreign = await stranger.fetch(MCP, {
      method: 'POST',
      headers: { ...JSON_HEADERS, ...anna, 'mcp-session-id': kept.sessionId },
      body: ping,
    })
    expect(foreign.status).toBe(404)
    await stranger.close()
    await rm(dataDir, { recursive: true, force: true })
  })
})
