import { describe, expect, it } from 'vitest'
import type { Config } from '../../../core/config/define.ts'
import { resolveConfig } from '../../../core/config/resolve.ts'
import { createGuard } from '../../../core/http/guard.ts'
import { send } from '../../fixtures/core/http.ts'
import { ORIGIN } from '../../fixtures/core/kernel.ts'
import { JSON_HEADERS, openProxy } from '../../harness.ts'

function check(config: Config, headers: Record<string, string>): number | undefined {
  const guard = createGuard(resolveConfig(config, { env: {} }))
  return guard.check(new Request(`${ORIGIN}/mcp`, { headers }))?.status
}

describe('the Host check', () => {
  it.each([
    ['localhost'],
    ['localhost:8080'],
    ['LOCALHOST:1'],
    ['127.0.0.1'],
    ['127.0.0.1:8080'],
    ['[::1]'],
    ['[::1]:8080'],
    ['mcp.example.com'],
    ['mcp.example.com:443'],
    ['inner.example.com'],
    ['inner.example.com:8443'],
  ])('lets %s pass', (host) => {
    const config = { baseUrl: 'https://mcp.example.com', allowedHosts: ['inner.example.com'] }
    expect(check(config, { host })).toBeUndefined()
  })

  it.each([
    ['evil.example.com'],
    ['evil.example.com:8080'],
    ['localhost.evil.example.com'],
    ['evil.example.com#localhost'],
    ['127.0.0.1.evil.example.com'],
    ['127.0.0.2'],
    ['::1'],
    ['[::1].evil.example.com'],
    ['localhost:8080:8080'],
    ['localhost@evil.example.com'],
    ['mcp.example.com'],
    [''],
  ])('refuses "%s" with 421', (host) => {
    expect(check({}, { host })).toBe(421)
  })

  it('holds on the wire, and tells what to do without repeating the name', async () => {
    const proxy = await openProxy({})
    try {
      const answer = await send(proxy.url, { method: 'POST', headers: { ...JSON_HEADERS, host: 'evil.example.com' } })
      expect(answer.status).toBe(421)
      expect(JSON.parse(answer.text)).toMatchObject({ error: 'misdirected_request' })
      expect(answer.text).toContain('MCP_ALLOWED_HOSTS')
      expect(answer.text).not.toContain('evil')
    } finally {
      await proxy.close()
    }
  })
})

describe('the Origin check', () => {
  it.each([
    ['http://localhost:6274'],
    ['https://localhost'],
    ['http://127.0.0.1:3000'],
    ['http://[::1]:3000'],
    ['https://claude.ai'],
    ['https://claude.com'],
    ['HTTPS://Claude.ai'],
    ['https://app.example.com'],
    ['https://mcp.example.com'],
  ])('lets %s pass', (origin) => {
    const config = { baseUrl: 'https://mcp.example.com', allowedOrigins: ['https://app.example.com'] }
    expect(check(config, { host: 'localhost', origin })).toBeUndefined()
  })

  it.each([
    ['null'],
    ['https://evil.example.com'],
    ['https://claude.ai.evil.example.com'],
    ['http://claude.ai'],
    ['https://claude.ai:8443'],
    ['https://localhost.evil.example.com'],
    ['https://evil.example.com/localhost'],
    ['localhost'],
    ['file://'],
    [''],
  ])('refuses "%s" with 403', (origin) => {
    expect(check({}, { host: 'localhost', origin })).toBe(403)
  })

  it('lets clients that are no web page pass', () => {
    expect(check({}, { host: 'localhost' })).toBeUndefined()
  })

  it.each([
    ['https://evil.example.com', undefined],
    ['http://a.example', undefined],
    ['vscode-webview://1a2b', undefined],
    ['https://claude.ai', undefined],
    // Any page can have no origin: it need only put itself into a sandboxed frame.
    ['null', 403],
    ['NULL', 403],
  ])('with "*" lets pages of every origin pass, not those of none: %s', (origin, status) => {
    expect(check({ allowedOrigins: ['*'] }, { host: 'localhost', origin })).toBe(status)
    expect(check({ allowedOrigins: ['https://a.example', '*'] }, { host: 'localhost', origin })).toBe(status)
  })

  it('with "*" still looks at the host, first', () => {
    const headers = { host: 'evil.example.com', origin: 'https://evil.example.com' }
    expect(check({ allowedOrigins: ['*'] }, headers)).toBe(421)
  })
})

describe('the host alone', () => {
  it('is looked at whatever the origin', () => {
    const guard = createGuard(resolveConfig({}, { env: {} }))
    const status = (headers: Record<string, string>) =>
      guard.checkHost(new Request(`${ORIGIN}/page`, { headers }))?.status
    expect(status({ host: 'localhost', origin: 'https://evil.example.com' })).toBeUndefined()
    expect(status({ host: 'localhost', origin: 'null' })).toBeUndefined()
    expect(status({ host: 'evil.example.com' })).toBe(421)
    expect(status({ host: 'evil.example.com', origin: 'https://claude.ai' })).toBe(421)
  })
})

describe('CORS', () => {
  const origin = 'https://claude.ai'

  it('adds to an answer and takes nothing away', async () => {
    const guard = createGuard(resolveConfig({}, { env: {} }))
    const request = new Request(`${ORIGIN}/page`, { headers: { origin } })
    const answer = () => {
      const headers = new Headers({ vary: 'Accept', 'x-own': '1' })
      for (const cookie of ['a=1', 'b=2']) headers.append('set-cookie', cookie)
      return new Response('body', { status: 418, headers })
    }
    const plain = answer()
    expect(guard.expose(new Request(`${ORIGIN}/page`), plain)).toBe(plain)
    const all = [guard.expose(request, answer()), guard.open(answer())]
    for (const response of all) {
      expect([response.status, await response.text()]).toEqual([418, 'body'])
      expect(response.headers.get('x-own')).toBe('1')
      expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
      expect(response.headers.get('access-control-allow-credentials')).toBeNull()
      const readable = response.headers.get('access-control-expose-headers')?.split(', ')
      expect(readable).toEqual(['mcp-session-id', 'www-authenticate', 'retry-after', 'x-request-id'])
    }
    expect(all.map(({ headers }) => headers.get('access-control-allow-origin'))).toEqual([origin, '*'])
    // What does not depend on the page may be kept for all of them.
    expect(all.map(({ headers }) => headers.get('vary'))).toEqual(['Accept, Origin', 'Accept'])
  })

  it('keeps an answer without a body without one', () => {
    const guard = createGuard(resolveConfig({}, { env: {} }))
    const request = new Request(`${ORIGIN}/page`, { headers: { origin } })
    for (const status of [204, 304]) {
      for (const response of [
        guard.expose(request, new Response(null, { status })),
        guard.open(new Response(null, { status })),
      ]) {
        expect([response.status, response.body]).toEqual([status, null])
      }
    }
  })

  it('with "*" tells each page of its own name, to be read with what it may send', async () => {
    const guard = createGuard(resolveConfig({ allowedOrigins: ['*'] }, { env: {} }))
    const request = new Request(`${ORIGIN}/mcp`, { headers: { origin: 'https://a.example' } })
    const response = guard.expose(request, guard.preflight(request, 'POST'))
    expect(response.headers.get('access-control-allow-origin')).toBe('https://a.example')
    expect(response.headers.get('vary')).toBe('Origin')
  })

  it('answers a preflight with what an allowed page asks for, without asking who it is', async () => {
    const proxy = await openProxy({})
    try {
      const response = await fetch(proxy.url, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type,mcp-protocol-version,mcp-session-id',
        },
      })
      expect(response.status).toBe(204)
      expect(response.headers.get('access-control-allow-origin')).toBe(origin)
      expect(response.headers.get('access-control-allow-methods')).toContain('POST')
      expect(response.headers.get('access-control-allow-headers')).toBe(
        'content-type,mcp-protocol-version,mcp-session-id',
      )
      expect(response.headers.get('vary')).toContain('Origin')
      const evil = await fetch(proxy.url, { method: 'OPTIONS', headers: { origin: 'https://evil.example.com' } })
      expect(evil.status).toBe(403)
      expect(evil.headers.get('access-control-allow-origin')).toBeNull()
    } finally {
      await proxy.close()
    }
  })

  it('lets an allowed page read the answer and the session id, and leaves other answers alone', async () => {
    const proxy = await openProxy({})
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25' },
    })
    try {
      const page = await fetch(proxy.url, { method: 'POST', headers: { ...JSON_HEADERS, origin }, body })
      expect(page.status).toBe(200)
      expect(page.headers.get('access-control-allow-origin')).toBe(origin)
      expect(page.headers.get('access-control-expose-headers')).toContain('mcp-session-id')
      expect(page.headers.get('mcp-session-id')).toBeTruthy()
      const other = await fetch(proxy.url, { method: 'POST', headers: JSON_HEADERS, body })
      expect(other.headers.get('access-control-allow-origin')).toBeNull()
    } finally {
      await proxy.close()
    }
  })
})
