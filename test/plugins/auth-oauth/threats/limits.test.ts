import { afterEach, describe, expect, test } from 'vitest'
import { openOAuth, ORIGIN, type OAuthProxy, type OAuthProxyOptions } from '../../../fixtures/oauth/proxy.ts'
import { modernRequest } from '../../../fixtures/oauth/tools.ts'

/** More than any limit: so many requests in a row that are not held back mean that there is none. */
const FLOOD = 700
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const HTML = { accept: 'text/html' }

let proxy: OAuthProxy
afterEach(() => proxy.close())

const open = async (given: OAuthProxyOptions = {}) => void (proxy = await openOAuth(given))

/** A request from an address. */
function from(address: string, path: string, init: RequestInit = {}): Promise<Response> {
  return proxy.kernel.fetch(Object.assign(new Request(ORIGIN + path, init), { ip: address }))
}

/** Asks until it is held back; resolves that answer. */
async function flood(ask: () => Promise<Response>): Promise<Response> {
  for (let sent = 0; sent < FLOOD; sent++) {
    const response = await ask()
    if (response.status === 429) return response
    await response.arrayBuffer()
  }
  throw new Error(`${FLOOD} requests were answered`)
}

/** How long to wait, in seconds. */
function waitOf(response: Response): number {
  const wait = response.headers.get('retry-after') ?? ''
  expect(wait).toMatch(/^[1-9]\d{0,3}$/)
  return Number(wait)
}

/** What a flood may be made of, at each endpoint: requests that cost little to send. */
const API: [string, RequestInit][] = [
  ['/register', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }],
  ['/token', { method: 'POST', headers: FORM, body: 'grant_type=refresh_token&client_id=x' }],
  ['/revoke', { method: 'POST', headers: FORM, body: 'token=x&client_id=x' }],
]
const PAGES: [string, RequestInit][] = [
  ['/authorize?client_id=x', { headers: HTML }],
  ['/consent?authorization=x', { headers: HTML }],
  ['/auth/callback?state=x', { headers: HTML }],
  ['/consent', { method: 'POST', headers: { ...HTML, ...FORM }, body: 'action=approve' }],
]

describe('T103', () => {
  test.each(API)(
    'T103 flood of %s → 429 as JSON with Retry-After; after that time it is answered again',
    async (path, init) => {
      await open()
      const response = await flood(() => from('203.0.113.1', path, init))
      expect(response.headers.get('content-type')).toBe('application/json')
      expect(response.headers.get('cache-control')).toBe('no-store')
      // Any web page may ask these: it has to be able to read this too.
      expect(response.headers.get('access-control-allow-origin')).toBe('*')
      expect(response.headers.get('access-control-expose-headers')).toContain('retry-after')
      // Not `server_error` and not `invalid_client`: clients would throw their tokens or their registration away.
      expect(await response.json()).toEqual({
        error: 'temporarily_unavailable',
        error_description: 'Too many requests; try again later.',
      })
      expect((await from('203.0.113.1', path, init)).status).toBe(429)
      expect((await from('203.0.113.2', path, init)).status).not.toBe(429)
      proxy.pass(waitOf(response) * 1000)
      expect((await from('203.0.113.1', path, init)).status).not.toBe(429)
    },
  )

  test.each(PAGES)('T103 flood of the page %s → 429 with Retry-After, to programs as JSON', async (path, init) => {
    await open()
    const response = await flood(() => from('203.0.113.1', path, init))
    expect(response.headers.get('content-type')).toMatch(/^text\/html/)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('location')).toBeNull()
    expect(waitOf(response)).toBeGreaterThan(0)
    expect(await response.text()).toContain('Too many requests')
    const headers = { ...(init.headers as object), accept: 'application/json' }
    const program = await from('203.0.113.1', path, { ...init, headers })
    expect([program.status, waitOf(program) > 0]).toEqual([429, true])
    expect(await program.json()).toMatchObject({ error: 'temporarily_unavailable' })
    proxy.pass(waitOf(response) * 1000)
    expect((await from('203.0.113.1', path, init)).status).not.toBe(429)
  })

  test('T103 address that is held back at every endpoint → the endpoint for MCP, metadata and health check do not know it', async () => {
    await open()
    const { tokens } = await proxy.tokens()
    for (const [path, init] of [...API, ...PAGES]) await flood(() => from('203.0.113.1', path, init))
    const { headers, ...init } = modernRequest('tools/list')
    const authorized = { ...init, headers: { ...headers, authorization: `Bearer ${tokens.access_token}` } }
    const statuses = new Set<number>()
    for (let sent = 0; sent < FLOOD; sent++) statuses.add((await from('203.0.113.1', '/mcp', authorized)).status)
    expect([...statuses]).toEqual([200])
    for (const path of [
      '/.well-known/oauth-protected-resource/mcp',
      '/.well-known/oauth-authorization-server',
      '/healthz',
    ])
      expect((await from('203.0.113.1', path)).status).toBe(200)
  })

  test('T103 flood of the endpoint for MCP with no token or a bad one → 401 each time; others at the same address, and other logins, go on', async () => {
    await open()
    const logins = [await proxy.tokens(), await proxy.tokens()]
    const { headers, ...init } = modernRequest('tools/list')
    const ask = (authorization?: string) =>
      from('203.0.113.1', '/mcp', { ...init, headers: { ...headers, ...(authorization && { authorization }) } })
    const statuses = new Set<number>()
    for (let sent = 0; sent < FLOOD; sent++) {
      statuses.add((await ask()).status)
      statuses.add((await ask('Bearer x')).status)
    }
    expect([...statuses]).toEqual([401])
    for (const { tokens } of logins) expect((await ask(`Bearer ${tokens.access_token}`)).status).toBe(200)
  })

  test('T103 refresh that is held back → the same refresh token works afterwards', async () => {
    await open()
    const { client, tokens } = await proxy.tokens()
    const fields = {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? '',
      client_id: client.client_id,
    }
    const refresh = () =>
      from('203.0.113.1', '/token', { method: 'POST', headers: FORM, body: new URLSearchParams(fields).toString() })
    const [, [path, init]] = API as [(typeof API)[0], (typeof API)[0]]
    await flood(() => from('203.0.113.1', path, init))
    const response = await refresh()
    expect(response.status).toBe(429)
    proxy.pass(waitOf(response) * 1000)
    expect((await refresh()).status).toBe(200)
  })

  test.each<[string, (sent: number) => Record<string, string>]>([
    ['X-Forwarded-For', (sent) => ({ 'x-forwarded-for': `198.51.100.${sent % 250}` })],
    ['Forwarded', (sent) => ({ forwarded: `for=198.51.100.${sent % 250}` })],
    ['X-Real-IP', (sent) => ({ 'x-real-ip': `198.51.100.${sent % 250}` })],
  ])('T103 flood under a new address in %s each time, peer not trusted → 429', async (_name, headersOf) => {
    await open()
    const [, [path, init]] = API as [(typeof API)[0], (typeof API)[0]]
    let sent = 0
    const response = await flood(() =>
      from('203.0.113.1', path, { ...init, headers: { ...FORM, ...headersOf(sent++) } }),
    )
    expect(waitOf(response)).toBeGreaterThan(0)
  })

  test('T103 flood through a trusted proxy → the client is held back, nobody else behind the proxy', async () => {
    await open({ config: { trustedProxies: ['203.0.113.1'] } })
    const [, [path, init]] = API as [(typeof API)[0], (typeof API)[0]]
    const through = (client: string) =>
      from('203.0.113.1', path, { ...init, headers: { ...FORM, 'x-forwarded-for': `10.9.9.9, ${client}` } })
    await flood(() => through('198.51.100.1'))
    expect((await through('198.51.100.2')).status).not.toBe(429)
    expect((await through('198.51.100.1')).status).toBe(429)
  })

  test('T103 flood from many addresses of one IPv6 network → 429', async () => {
    await open()
    const [, [path, init]] = API as [(typeof API)[0], (typeof API)[0]]
    let sent = 0
    await flood(() => from(`2001:db8:1:2:${(sent++).toString(16)}::1`, path, init))
    expect((await from('2001:db8:1:3::1', path, init)).status).not.toBe(429)
  })
})
