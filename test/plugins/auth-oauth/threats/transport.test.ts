import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openOAuth, ORIGIN, type OAuthProxy, type OAuthProxyOptions } from '../../../fixtures/oauth/proxy.ts'
import { modernRequest } from '../../../fixtures/oauth/tools.ts'
import { openWire, statusOf, type Wire } from '../../../fixtures/oauth/wire.ts'

const HOST = 'mcp.example.com'
const FORM = 'content-type: application/x-www-form-urlencoded'
const EVIL = 'https://evil.example'

/** One answer as it came over the wire. */
interface Reply {
  readonly status: number
  /** Values of a header, in order. */
  header(name: string): string[]
  readonly body: string
  readonly raw: string
}

/** A proxy behind `https://mcp.example.com` on a real port. */
interface Site extends OAuthProxy {
  readonly wire: Wire
  /** One request, its target and header lines exactly as given; a Host is added where there is none. */
  ask(target: string, lines?: readonly string[], method?: string, body?: string): Promise<Reply>
  end(): Promise<void>
}

async function openSite(options: OAuthProxyOptions = {}): Promise<Site> {
  const proxy = await openOAuth(options)
  const wire = await openWire(proxy)
  return Object.assign(proxy, {
    wire,
    async ask(target: string, lines: readonly string[] = [], method = 'GET', body?: string) {
      const hasHost = lines.some((line) => /^host:/i.test(line))
      const all = [
        `${method} ${target} HTTP/1.1`,
        ...(hasHost ? [] : [`host: ${HOST}`]),
        'connection: close',
        ...lines,
        ...(body === undefined ? [] : [`content-length: ${Buffer.byteLength(body)}`]),
      ]
      return replyOf(await wire.say(`${all.join('\r\n')}\r\n\r\n${body ?? ''}`))
    },
    async end() {
      await wire.close()
      await proxy.close()
    },
  })
}

function replyOf(raw: string): Reply {
  const [head = '', ...rest] = raw.split('\r\n\r\n')
  const lines = head.split('\r\n').slice(1)
  const header = (name: string) =>
    lines.flatMap((line) => {
      const [key = '', value = ''] = line.split(/:\s*(.*)/s)
      return key.toLowerCase() === name ? [value] : []
    })
  const text = rest.join('\r\n\r\n')
  const body = header('transfer-encoding').includes('chunked') ? unchunked(text) : text
  return { status: statusOf(raw), header, body, raw }
}

function unchunked(text: string): string {
  const [, size = '0', rest = ''] = /^([\da-f]+)\r\n(.*)$/s.exec(text) ?? []
  const length = parseInt(size, 16)
  return length === 0 ? '' : rest.slice(0, length) + unchunked(rest.slice(length + 2))
}

/** How many answers there are in what came. */
const answersIn = (raw: string) => raw.match(/HTTP\/1\.1 \d{3}/g)?.length ?? 0

const RESOURCE = '/.well-known/oauth-protected-resource/mcp'
const SERVER = '/.well-known/oauth-authorization-server'
const PAGES = ['/authorize', '/consent', '/auth/callback?state=x']
const PROGRAMS = ['/token', '/register', '/revoke']
const DOCUMENTS = [RESOURCE, '/.well-known/oauth-protected-resource', SERVER, '/.well-known/openid-configuration']
const EVERYWHERE = ['/mcp', '/mcp/', ...PAGES, ...PROGRAMS, ...DOCUMENTS, '/nothing', '/']

let site: Site
let token: string
beforeAll(async () => {
  site = await openSite({ options: { accessTokenLife: 86_400_000 } }) // for all the time that passes below
  token = (await site.tokens()).tokens.access_token
})
beforeEach(() => site.pass(120_000)) // what the limits by address take is given back
afterAll(() => site.end())

/** `tools/list` at a target, with a good token. */
function listTools(target: string, lines: readonly string[] = [`authorization: Bearer ${token}`]): Promise<Reply> {
  const { headers, body } = modernRequest('tools/list')
  const all = [...Object.entries(headers).map((pair) => pair.join(': ')), ...lines]
  return site.ask(target, all, 'POST', body)
}

describe('names of the host', () => {
  const foreign = [
    'evil.example',
    'evil.example:443',
    'mcp.example.com.evil.example',
    'evil.example.mcp.example.com',
    'xmcp.example.com',
    'mcp.example.com.',
    'mcp.example.com@evil.example',
    'evil.example#mcp.example.com',
    'evil.example?mcp.example.com',
    'evil.example/mcp.example.com',
    'mcp.example.com, evil.example',
    'mcp.example.com evil.example',
    'mcp.example.com:443:443',
    'mcp.example.com:evil',
    'localhost.evil.example',
    '127.0.0.1.nip.io',
    '127.0.0.2',
    '2130706433',
    '0.0.0.0',
    '[::]',
    '[::ffff:127.0.0.1]',
    '169.254.169.254',
    '*',
    'null',
    '',
  ]

  test.each(foreign)('T99 Host "%s": 421 everywhere, and the name is not repeated', async (host) => {
    for (const path of EVERYWHERE) {
      for (const method of ['GET', 'POST']) {
        const { status, body, header, raw } = await site.ask(path, [`host: ${host}`], method)
        expect([path, method, status]).toEqual([path, method, 421])
        expect(JSON.parse(body)).toMatchObject({ error: 'misdirected_request' })
        expect(raw).not.toContain('evil')
        expect(header('www-authenticate')).toEqual([])
        expect(header('access-control-allow-origin')).toEqual([])
      }
    }
  })

  test('T99 Host of another name with a good token: 421', async () => {
    expect((await listTools('/mcp')).status).toBe(200)
    const answer = await listTools('/mcp', [`authorization: Bearer ${token}`, 'host: evil.example'])
    expect(answer.status).toBe(421)
  })

  test.each([
    ['two names, ours first', [`host: ${HOST}`, 'host: evil.example']],
    ['two names, ours last', ['host: evil.example', `host: ${HOST}`]],
    ['our name twice', [`host: ${HOST}`, `host: ${HOST}`]],
  ])('T99 %s: refused', async (_, lines) => {
    for (const path of ['/mcp', SERVER, '/authorize'])
      expect([400, 421]).toContain((await site.ask(path, lines)).status)
  })

  test('T99 no Host at all: 400', async () => {
    expect(statusOf(await site.wire.say(`GET ${SERVER} HTTP/1.1\r\nconnection: close\r\n\r\n`))).toBe(400)
  })

  test.each([HOST, `${HOST}:443`, HOST.toUpperCase(), 'localhost', 'localhost:1', '127.0.0.1:65535', '[::1]:8080'])(
    'T99 Host %s is ours, and every document is the same under it',
    async (host) => {
      for (const path of DOCUMENTS) {
        const [usual, here] = [await site.ask(path), await site.ask(path, [`host: ${host}`])]
        expect([here.status, here.body]).toEqual([200, usual.body])
        expect(here.body).not.toMatch(/localhost|127\.0\.0\.1|::1|:443|MCP\.EXAMPLE/)
      }
      const [challenge] = (await site.ask('/mcp', [`host: ${host}`])).header('www-authenticate')
      expect(challenge).toBe(`Bearer resource_metadata="${ORIGIN}${RESOURCE}", scope="mcp:use"`)
    },
  )

  test('T99 the health check answers under every name and tells nothing', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const { status, body } = await site.ask(path, ['host: evil.example'])
      expect([200, 503]).toContain(status)
      expect(Object.keys(JSON.parse(body)).sort()).toEqual(['status', 'upstreams'])
    }
  })

  test('T99 a name before the path changes nothing', async () => {
    for (const target of [`http://evil.example${SERVER}`, `https://evil.example:8443${SERVER}`]) {
      const { status, body, raw } = await site.ask(target)
      expect([status, JSON.parse(body).issuer]).toEqual([200, ORIGIN])
      expect(raw).not.toContain('evil')
    }
    expect((await site.ask(`http://${HOST}${SERVER}`, ['host: evil.example'])).status).toBe(421)
  })

  test('T99 names the operator has added are served, the documents the same', async () => {
    const own = await openSite({ config: { allowedHosts: ['inner.example.com'] } })
    try {
      const inner = await own.ask(SERVER, ['host: inner.example.com:8443'])
      expect([inner.status, inner.body]).toEqual([200, (await own.ask(SERVER)).body])
      expect((await own.ask(SERVER, ['host: x.inner.example.com'])).status).toBe(421)
    } finally {
      await own.end()
    }
  })
})

describe('what a proxy before us may say', () => {
  const forwarded = [
    'x-forwarded-host: evil.example',
    'x-forwarded-proto: http',
    'x-forwarded-port: 8080',
    'x-forwarded-prefix: /evil',
    'x-forwarded-server: evil.example',
    'x-forwarded-scheme: http',
    'x-original-host: evil.example',
    'x-host: evil.example',
    'x-real-ip: 10.9.8.7',
    'forwarded: for=10.9.8.7;host=evil.example;proto=http',
    'x-original-url: /evil',
    'x-rewrite-url: /evil',
    'x-http-method-override: DELETE',
    'x-forwarded-for: 10.9.8.7',
    'base-url: https://evil.example',
  ]

  test.each([[[]], [['127.0.0.1']]])(
    'T99 forwarding headers change no document, challenge or redirect (trusted proxies: %j)',
    async (trustedProxies) => {
      const own = await openSite({ config: { trustedProxies } })
      try {
        for (const lines of [...forwarded.map((line) => [line]), forwarded]) {
          for (const path of DOCUMENTS) {
            const { status, body, raw } = await own.ask(path, lines)
            expect([status, body]).toEqual([200, (await own.ask(path)).body])
            expect(raw).not.toContain('evil')
          }
          const refused = await own.ask('/mcp', lines, 'POST')
          expect(refused.header('www-authenticate')).toEqual([
            `Bearer resource_metadata="${ORIGIN}${RESOURCE}", scope="mcp:use"`,
          ])
        }
        const client = await own.register()
        const authorized = await own.ask(own.request(client).url, forwarded)
        expect(authorized.header('location')).toEqual([expect.stringMatching(/^\/consent\?/)])
        const silent = await own.ask(own.request(client, { prompt: 'none' }).url, forwarded)
        expect(new URL(silent.header('location')[0] ?? '').searchParams.get('iss')).toBe(ORIGIN)
        expect(authorized.raw + silent.raw).not.toContain('evil')
      } finally {
        await own.end()
      }
    },
  )

  test('T99 X-Forwarded-Host does not make up for the name of the host, nor spoil it', async () => {
    const lines = [`x-forwarded-host: ${HOST}`, `forwarded: host=${HOST}`]
    expect((await site.ask(SERVER, [...lines, 'host: evil.example'])).status).toBe(421)
  })

  /** How many of 80 requests in a row were held back, each with another `X-Forwarded-For`. */
  async function heldBack(own: Site, from: (index: number) => string): Promise<number> {
    own.pass(600_000)
    const replies: Reply[] = []
    for (let index = 0; index < 80; index++) {
      replies.push(
        await own.ask('/register', [`x-forwarded-for: ${from(index)}`, 'content-type: text/plain'], 'POST', 'x'),
      )
    }
    const held = replies.filter(({ status }) => status === 429)
    for (const { header, body } of held) {
      expect(header('retry-after')).toEqual([expect.stringMatching(/^[1-9]\d*$/)])
      expect(JSON.parse(body)).toMatchObject({ error: 'temporarily_unavailable' })
    }
    expect(replies.filter(({ status }) => status !== 429).map(({ status }) => status)).toEqual(
      Array.from({ length: 80 - held.length }, () => 400),
    )
    return held.length
  }

  test('T99 who asks too often is told so, whatever addresses they make up', async () => {
    const own = await openSite()
    try {
      expect(await heldBack(own, (index) => `203.0.113.${index}`)).toBeGreaterThan(0)
      expect(await heldBack(own, (index) => `203.0.113.${index}, 198.51.100.${index}`)).toBeGreaterThan(0)
      expect(await heldBack(own, (index) => `2001:db8:${index}::1`)).toBeGreaterThan(0)
    } finally {
      await own.end()
    }
  })

  test('T99 behind a trusted proxy each address counts by itself; what the client has put before it does not', async () => {
    const own = await openSite({ config: { trustedProxies: ['127.0.0.1'] } })
    try {
      expect(await heldBack(own, (index) => `203.0.113.${index}`)).toBe(0)
      expect(await heldBack(own, (index) => `203.0.113.${index}, 198.51.100.1`)).toBeGreaterThan(0)
      expect(await heldBack(own, (index) => `203.0.113.${index}, 127.0.0.1, 198.51.100.2`)).toBeGreaterThan(0)
      expect(await heldBack(own, (index) => `made-up-${index}`)).toBeGreaterThan(0)
      // One household has a whole /64 of them.
      expect(await heldBack(own, (index) => `2001:db8:1:2::${index}`)).toBeGreaterThan(0)
      expect(await heldBack(own, (index) => `2001:db8:1:${index}::1`)).toBe(0)
    } finally {
      await own.end()
    }
  })
})

describe('origins', () => {
  const foreign = [
    EVIL,
    'http://mcp.example.com',
    'https://mcp.example.com:8443',
    'https://mcp.example.com.evil.example',
    'https://claude.ai.evil.example',
    'http://claude.ai',
    'null',
    'file://',
    'chrome-extension://abc',
    '',
  ]

  test.each(foreign)('T100 Origin "%s": 403 at the endpoint, whatever token it brings', async (origin) => {
    for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS', 'HEAD']) {
      const { status, header } = await site.ask('/mcp', [`origin: ${origin}`], method)
      expect([method, status]).toEqual([method, 403])
      expect(header('access-control-allow-origin')).toEqual([])
      expect(header('www-authenticate')).toEqual([])
    }
    expect((await listTools('/mcp', [`authorization: Bearer ${token}`, `origin: ${origin}`])).status).toBe(403)
  })

  test('T100 absent, or one that is known: let through', async () => {
    expect((await listTools('/mcp')).status).toBe(200)
    for (const origin of [ORIGIN, 'https://claude.ai', 'https://claude.com']) {
      expect((await listTools('/mcp', [`authorization: Bearer ${token}`, `origin: ${origin}`])).status).toBe(200)
      expect((await listTools('/mcp', [`origin: ${origin}`])).status).toBe(401)
    }
  })

  test('T100 a good origin beside a foreign one: 403', async () => {
    for (const origins of [
      ['https://claude.ai', EVIL],
      [EVIL, 'https://claude.ai'],
    ]) {
      expect(
        (
          await site.ask(
            '/mcp',
            origins.map((origin) => `origin: ${origin}`),
          )
        ).status,
      ).toBe(403)
    }
    expect((await site.ask('/mcp', [`origin: https://claude.ai, ${EVIL}`])).status).toBe(403)
    expect((await site.ask('/mcp', [`origin: https://claude.ai ${EVIL}`])).status).toBe(403)
  })

  test.each([...foreign, 'https://claude.ai', 'http://localhost:3000'])(
    'T100 a consent form from "%s": 403',
    async (origin) => {
      const browser = site.browser()
      const { fields } = await site.toConsent(browser, site.request(await site.register()).url)
      const cookie = [...browser.cookies].map((pair) => pair.join('=')).join('; ')
      const body = new URLSearchParams({ ...fields, action: 'approve' }).toString()
      const send = (lines: readonly string[]) =>
        site.ask('/consent', [FORM, `cookie: ${cookie}`, ...lines], 'POST', body)
      const before = site.source.asked.length
      const refused = await send([`origin: ${origin}`])
      expect([refused.status, refused.header('location')]).toEqual([403, []])
      expect((await send([`origin: ${ORIGIN}`, `origin: ${origin}`])).status).toBe(403)
      expect(site.source.asked).toHaveLength(before)
      expect((await send([])).status).toBe(303)
    },
  )

  test.each(foreign)('T100 Origin "%s" may use what needs no browser’s credentials', async (origin) => {
    for (const path of PROGRAMS) {
      const { status, header } = await site.ask(path, [FORM, `origin: ${origin}`], 'POST', 'x=y')
      expect([path, status]).toEqual([path, path === '/register' ? 400 : 401])
      expect(header('access-control-allow-origin')).toEqual(['*'])
    }
    for (const path of DOCUMENTS) expect((await site.ask(path, [`origin: ${origin}`])).status).toBe(200)
  })
})

describe('paths', () => {
  test('T101 the endpoint with and without a trailing slash: both asked for a token, both served, neither redirected', async () => {
    for (const path of ['/mcp', '/mcp/']) {
      for (const method of ['GET', 'POST', 'DELETE', 'HEAD', 'PUT']) {
        const { status, header } = await site.ask(path, [], method)
        expect([path, method, status]).toEqual([path, method, 401])
        expect(header('location')).toEqual([])
        expect(header('www-authenticate')).toHaveLength(1)
      }
      const served = await listTools(path)
      expect([served.status, served.header('location')]).toEqual([200, []])
    }
  })

  const others = [
    '//mcp',
    '///mcp',
    '/mcp//',
    '/mcp%2f',
    '/mcp%2F',
    '/%2fmcp',
    '/MCP',
    '/Mcp',
    '/mcp/..;/',
    '/mcp;x',
    '/mcp;/',
    '/;/mcp',
    '/mcp.',
    '/mcp.json',
    '/mcp%00',
    '/mcp%20',
    '/mcp%0a',
    '/mcp%3f',
    '/mcp%23',
    '/mcp%5c',
    '/mcp%252f',
    '/mcp/x',
    '/mcpx',
    '/xmcp',
    '/x/mcp',
    '/prefix/../mcp',
    '/prefix/%2e%2e/mcp',
    '/prefix/.%2E/mcp',
    '/./mcp',
    '/%2e/mcp',
    '/mcp/.',
    '/mcp/./',
    '/mcp/%2e',
    '/mcp/x/..',
    '/mcp/../mcp',
    '/healthz/../mcp',
    '/mcp/../healthz',
    '/.well-known/../mcp',
    '/prefix\\..\\mcp',
    '/mcp\\',
    '\\mcp',
    '/\\mcp',
    '/..\\mcp',
    '/evil.example/mcp',
    '//evil.example/mcp',
    '/mcp/..',
  ]

  test.each(others)('T101 %s: not the endpoint, with a token or without', async (path) => {
    for (const lines of [[], [`authorization: Bearer ${token}`]]) {
      const { status, header, raw } = await listTools(path, lines)
      expect(status).toBe(path.startsWith('\\') ? 400 : 404)
      expect(header('location')).toEqual([])
      expect(header('www-authenticate')).toEqual([])
      expect(raw).not.toMatch(/tools|evil/)
    }
  })

  test.each(['mcp', '', '*', '/%zz', '/mcp\u00e9', '/%c0%ae%c0%ae/mcp'])(
    'T101 a target "%s" that is no path of ours: refused, and nothing is served',
    async (target) => {
      const { status, raw } = await listTools(target)
      expect([400, 404]).toContain(status)
      expect(raw).not.toContain('"tools"')
    },
  )

  test('T101 letters that are written in numbers are the same letters, and asked for a token as well', async () => {
    for (const path of ['/%6dcp', '/%6D%63%70', '/mcp?x=/../', '/mcp?x=\\', '/mcp?/..']) {
      expect((await listTools(path, [])).status).toBe(401)
    }
  })

  test.each([
    '//authorize',
    '/AUTHORIZE',
    '/authorize/x',
    '/x/../authorize',
    '/authorize%2f',
    '/authorize;x',
    '/auth/../authorize',
  ])('T101 %s: no page of ours', async (path) => {
    const { status, header } = await site.ask(`${path}?${site.request(await site.register()).url.split('?')[1]}`)
    expect([status, header('location')]).toEqual([404, []])
  })

  test('T101 a query that looks like a path is a query', async () => {
    const client = await site.register()
    const authorized = await site.ask(`${site.request(client, { state: undefined }).url}&state=/../x\\y`)
    expect([authorized.status, authorized.header('location')]).toEqual([303, [expect.stringMatching(/^\/consent\?/)]])
  })

  test('T101 with a prefix: only there, and another one gives no hint', async () => {
    const own = await openSite({ config: { pathPrefix: 'kept/secret' } })
    try {
      const nothing = await own.ask('/nothing', [], 'POST')
      const without = (reply: Reply) => reply.raw.replace(/date: [^\r]*/i, '')
      for (const path of [
        '/mcp',
        '/mcp/',
        '/kept/mcp',
        '/secret/mcp',
        '/kept/secret',
        '/kept/secret/',
        '/kept/secrets/mcp',
        '/KEPT/SECRET/mcp',
        '/kept/secret/mcp/x',
        '/kept//secret/mcp',
        '//kept/secret/mcp',
        '/kept%2fsecret/mcp',
        '/kept/secret/../secret/mcp',
        '/x/../kept/secret/mcp',
        '/kept/secret/..;/secret/mcp',
        '/wrong/mcp',
        '/kept/secret/authorize',
        '/kept/secret/token',
      ]) {
        const reply = await own.ask(path, [], 'POST')
        expect(reply.status).toBe(404)
        expect(without(reply)).toBe(without(nothing))
      }
      for (const path of ['/kept/secret/mcp', '/kept/secret/mcp/']) {
        const { status, header } = await own.ask(path, [], 'POST')
        expect([status, header('location')]).toEqual([401, []])
        expect(header('www-authenticate')).toEqual([
          `Bearer resource_metadata="${ORIGIN}/.well-known/oauth-protected-resource/kept/secret/mcp", scope="mcp:use"`,
        ])
      }
    } finally {
      await own.end()
    }
  })
})

describe('CORS', () => {
  const origins = [EVIL, 'null', ORIGIN, 'https://claude.ai']
  const corsOf = ({ header }: Reply) => ({
    origin: header('access-control-allow-origin'),
    credentials: header('access-control-allow-credentials'),
  })
  const anybody = { origin: ['*'], credentials: [] }
  const nobody = { origin: [], credentials: [] }

  test.each(origins)(
    'T102 a page of %s may read documents, tokens and registrations, without credentials',
    async (origin) => {
      for (const path of DOCUMENTS) {
        for (const method of ['GET', 'HEAD', 'POST'])
          expect(corsOf(await site.ask(path, [`origin: ${origin}`], method))).toEqual(anybody)
      }
      for (const path of PROGRAMS) {
        const answers = [
          await site.ask(path, [FORM, `origin: ${origin}`], 'POST', 'client_id=x'),
          await site.ask(path, ['content-type: application/json', `origin: ${origin}`], 'POST', '{'),
          await site.ask(path, [`origin: ${origin}`]),
        ]
        for (const answer of answers) expect(corsOf(answer)).toEqual(anybody)
      }
    },
  )

  test.each(origins)('T102 a page of %s that asks first: 204', async (origin) => {
    for (const [path, method] of [
      ...DOCUMENTS.map((path) => [path, 'GET']),
      ...PROGRAMS.map((path) => [path, 'POST']),
    ]) {
      const asked = await site.ask(
        path ?? '',
        [
          `origin: ${origin}`,
          `access-control-request-method: ${method}`,
          'access-control-request-headers: authorization, content-type, mcp-protocol-version',
        ],
        'OPTIONS',
      )
      expect([asked.status, asked.body]).toEqual([204, ''])
      expect(corsOf(asked)).toEqual(anybody)
      expect(asked.header('access-control-allow-methods').join().split(', ')).toContain(method)
      const allowed = asked.header('access-control-allow-headers').join().split(/,\s*/)
      expect(allowed).toEqual(['authorization', 'content-type', 'mcp-protocol-version'])
    }
  })

  test.each(origins)('T102 a page of %s may read no page of ours, nor ask whether it may', async (origin) => {
    const client = await site.register()
    for (const path of [...PAGES, site.request(client).url, site.request(client, { prompt: 'none' }).url]) {
      for (const method of ['GET', 'HEAD', 'POST', 'PUT']) {
        expect(corsOf(await site.ask(path, [FORM, `origin: ${origin}`], method, 'x=y'))).toEqual(nobody)
      }
      const asked = await site.ask(path, [`origin: ${origin}`, 'access-control-request-method: POST'], 'OPTIONS')
      expect(asked.status).toBe(405)
      expect(corsOf(asked)).toEqual(nobody)
      expect(asked.header('access-control-allow-methods')).toEqual([])
    }
  })

  test('T102 the endpoint: an allowed page reads the challenge and what it needs, never with credentials', async () => {
    for (const origin of [ORIGIN, 'https://claude.ai', 'https://claude.com']) {
      const refused = await site.ask('/mcp', [`origin: ${origin}`], 'POST')
      expect(refused.status).toBe(401)
      expect(['*', origin]).toContain(refused.header('access-control-allow-origin').join())
      expect(refused.header('access-control-allow-credentials')).toEqual([])
      const exposed = refused.header('access-control-expose-headers').join().toLowerCase().split(/,\s*/)
      expect(exposed).toEqual(expect.arrayContaining(['www-authenticate', 'mcp-session-id', 'retry-after']))
      const served = await listTools('/mcp', [`authorization: Bearer ${token}`, `origin: ${origin}`])
      expect(served.header('access-control-allow-credentials')).toEqual([])
      expect(['*', origin]).toContain(served.header('access-control-allow-origin').join())
      const wanted =
        'authorization, content-type, accept, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name, last-event-id'
      const asked = await site.ask(
        '/mcp',
        [`origin: ${origin}`, 'access-control-request-method: POST', `access-control-request-headers: ${wanted}`],
        'OPTIONS',
      )
      expect(asked.status).toBe(204)
      expect(asked.header('access-control-allow-headers').join().split(/,\s*/)).toEqual(wanted.split(', '))
      expect(asked.header('access-control-allow-methods').join().split(/,\s*/)).toEqual(
        expect.arrayContaining(['POST', 'GET', 'DELETE']),
      )
      expect(asked.header('access-control-allow-credentials')).toEqual([])
    }
  })

  test('T102 with every origin allowed: never with credentials, and not for pages of none', async () => {
    const own = await openSite({ config: { allowedOrigins: ['*'] } })
    try {
      const allowed = await own.ask('/mcp', [`origin: ${EVIL}`], 'POST')
      expect(allowed.status).toBe(401)
      expect(allowed.header('access-control-allow-credentials')).toEqual([])
      expect((await own.ask('/mcp', ['origin: null'], 'POST')).status).toBe(403)
      // The pages are still nobody's.
      for (const path of PAGES) expect(corsOf(await own.ask(path, [`origin: ${EVIL}`]))).toEqual(nobody)
      expect((await own.ask('/consent', [FORM, `origin: ${EVIL}`], 'POST', 'x=y')).status).toBe(403)
    } finally {
      await own.end()
    }
  })
})

describe('smuggling', () => {
  const smuggled = `GET /healthz HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`
  const head = (...lines: string[]) => [`POST /token HTTP/1.1`, `host: ${HOST}`, FORM, ...lines].join('\r\n')
  const after = `\r\n\r\n0\r\n\r\n${smuggled}`

  const shapes: [string, string][] = [
    ['length and chunks', `${head('content-length: 4', 'transfer-encoding: chunked')}${after}`],
    ['chunks and length', `${head('transfer-encoding: chunked', 'content-length: 4')}${after}`],
    ['length 0 and chunks', `${head('content-length: 0', 'transfer-encoding: chunked')}${after}`],
    ['an encoding that is none', `${head('transfer-encoding: xchunked')}${after}`],
    ['an encoding that is none, and a length', `${head('transfer-encoding: xchunked', 'content-length: 4')}${after}`],
    ['chunks, then something else', `${head('transfer-encoding: chunked, identity')}${after}`],
    [
      'chunks, then something else on a line of its own',
      `${head('transfer-encoding: chunked', 'transfer-encoding: identity')}${after}`,
    ],
    ['chunks twice', `${head('transfer-encoding: chunked', 'transfer-encoding: chunked')}${after}`],
    ['chunks twice in one', `${head('transfer-encoding: chunked, chunked')}${after}`],
    ['chunks in quotes', `${head('transfer-encoding: "chunked"')}${after}`],
    ['chunks after a vertical tab', `${head('transfer-encoding: \x0Bchunked')}${after}`],
    ['chunks with NUL', `${head('transfer-encoding: chunked\0')}${after}`],
    ['an empty encoding', `${head('transfer-encoding:', 'content-length: 4')}${after}`],
    ['a space before the colon', `${head('transfer-encoding : chunked')}${after}`],
    ['a tab before the colon', `${head('transfer-encoding\t: chunked')}${after}`],
    ['a folded header', `${head('x: y', ' transfer-encoding: chunked', 'content-length: 4')}${after}`],
    ['a folded value', `${head('transfer-encoding:', ' chunked', 'content-length: 4')}${after}`],
    ['a first header that is folded', `POST /token HTTP/1.1\r\n transfer-encoding: chunked\r\nhost: ${HOST}${after}`],
    ['two lengths', `${head('content-length: 4', 'content-length: 5')}${after}`],
    ['the same length twice', `${head('content-length: 4', 'content-length: 4')}${after}`],
    ['two lengths in one', `${head('content-length: 4, 5')}${after}`],
    ['the same length twice in one', `${head('content-length: 4, 4')}${after}`],
    ['a length with a sign', `${head('content-length: +4')}${after}`],
    ['a negative length', `${head('content-length: -1')}${after}`],
    ['a hexadecimal length', `${head('content-length: 0x4')}${after}`],
    ['a length with a space', `${head('content-length: 4 4')}${after}`],
    ['a length with an exponent', `${head('content-length: 1e1')}${after}`],
    ['a length with a point', `${head('content-length: 4.0')}${after}`],
    ['an empty length', `${head('content-length:')}${after}`],
    ['a length of 30 digits', `${head(`content-length: ${'9'.repeat(30)}`)}${after}`],
    ['a length of words', `${head('content-length: four')}${after}`],
    ['a chunk of no size', `${head('transfer-encoding: chunked')}\r\n\r\nx\r\n${smuggled}`],
    ['a chunk with a sign', `${head('transfer-encoding: chunked')}\r\n\r\n-1\r\n\r\n${smuggled}`],
    ['a chunk in the C way', `${head('transfer-encoding: chunked')}\r\n\r\n0x0\r\n\r\n${smuggled}`],
    ['a chunk of 20 digits', `${head('transfer-encoding: chunked')}\r\n\r\n${'f'.repeat(20)}\r\n\r\n${smuggled}`],
    [
      'a chunk that is longer than it says',
      `${head('transfer-encoding: chunked')}\r\n\r\n1\r\nxx\r\n0\r\n\r\n${smuggled}`,
    ],
    ['a chunk that ends in a line feed', `${head('transfer-encoding: chunked')}\r\n\r\n1\nx\n0\n\n${smuggled}`],
    ['an extension with a line feed', `${head('transfer-encoding: chunked')}\r\n\r\n0;x\n\r\n\r\n${smuggled}`],
    ['a bare carriage return in a value', `${head('x: y\rtransfer-encoding: chunked')}${after}`],
    ['a bare carriage return after a value', `${head('x: y\r')}${after}`],
    ['NUL in a value', `${head('x: y\0z')}${after}`],
    ['NUL in a name', `${head('x\0: y')}${after}`],
    ['a header without a colon', `${head('transfer-encoding')}${after}`],
    ['a header without a name', `${head(': chunked')}${after}`],
    ['a name with a space', `${head('x y: z')}${after}`],
    ['a name with letters of no ASCII', `${head('tr\u00e4nsfer-encoding: chunked')}${after}`],
    ['a method with a space before it', ` ${head('content-length: 0')}${after}`],
    ['a method of no ASCII', `P\u00d6ST /token HTTP/1.1\r\nhost: ${HOST}${after}`],
    ['a method that is none', `PWN /token HTTP/1.1\r\nhost: ${HOST}${after}`],
    ['a method in lower case', `post /token HTTP/1.1\r\nhost: ${HOST}${after}`],
    ['no version', `GET /token\r\nhost: ${HOST}${after}`],
    ['another version', `GET /token HTTP/3.7\r\nhost: ${HOST}${after}`],
    ['a version of letters', `GET /token HTTP/x.y\r\nhost: ${HOST}${after}`],
    ['HTTP/2 without saying so', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a line break in the target', `GET /token\r\n/x HTTP/1.1\r\nhost: ${HOST}${after}`],
    ['TLS where there is none', '\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03'],
  ]

  test.each(shapes)('T107 %s: 400, the connection is closed, and what follows is not read', async (_, request) => {
    const raw = await site.wire.say(request)
    expect(raw).toMatch(/^HTTP\/1\.1 400 /)
    expect(answersIn(raw)).toBe(1)
    expect(raw).not.toContain('"status"')
  })

  test('T107 headers of more than 16 kB: 431, and what follows is not read', async () => {
    const raw = await site.wire.say(`${head(`x: ${'y'.repeat(20_000)}`)}${after}`)
    expect([statusOf(raw), answersIn(raw)]).toEqual([431, 1])
  })

  test('T107 the parser is the strict one', () => {
    expect([...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ')).not.toContain('insecure-http-parser')
  })

  const last = `GET /readyz HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n\r\n`

  test.each([
    ['a page that is asked with a body', 'GET', '/authorize', 400],
    ['a form of another type', 'POST', '/consent', 400],
    ['a page with another method', 'PUT', '/consent', 405],
    ['a document with another method', 'POST', SERVER, 405],
    ['the token endpoint with a query', 'POST', '/token?x=y', 400],
    ['the token endpoint with another method', 'PUT', '/token', 405],
    ['registration of another type', 'POST', '/register', 400],
    ['the endpoint without a token', 'POST', '/mcp', 401],
    ['nothing', 'POST', '/nothing', 404],
    ['another path', 'POST', '/x/../mcp', 404],
    ['a document', 'GET', SERVER, 200],
    ['the health check', 'GET', '/healthz', 200],
  ])('T107 %s: a body that nobody reads is no request', async (_, method, path, status) => {
    for (const framed of [
      [`content-length: ${smuggled.length}`, '', smuggled],
      ['transfer-encoding: chunked', '', `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`],
    ]) {
      const first = [`${method} ${path} HTTP/1.1`, `host: ${HOST}`, 'content-type: text/plain', ...framed].join('\r\n')
      const raw = await site.wire.say(first + last)
      expect(raw.match(/HTTP\/1\.1 \d{3}/g)).toEqual([`HTTP/1.1 ${status}`, expect.stringMatching(/ (?:200|503)$/)])
    }
  })

  test('T107 a name of another host with a body: the next request is the next request', async () => {
    const first = `POST /mcp HTTP/1.1\r\nhost: evil.example\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`
    const raw = await site.wire.say(first + last)
    expect(raw.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 421', expect.stringMatching(/ (?:200|503)$/)])
  })
})
