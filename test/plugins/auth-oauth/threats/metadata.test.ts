import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openOAuth, ORIGIN, type OAuthProxy, type OAuthProxyOptions } from '../../../fixtures/oauth/proxy.ts'
import { openWire, statusOf } from '../../../fixtures/oauth/wire.ts'

const RESOURCE = '/.well-known/oauth-protected-resource'
const SERVER = '/.well-known/oauth-authorization-server'
const OPENID = '/.well-known/openid-configuration'

/** What the document of the protected resource has to be, and nothing else (RFC 9728 §2). */
const resourceAt = (issuer: string, path: string, name = 'MCP Proxy Server') => ({
  resource: `${issuer}${path}`,
  authorization_servers: [issuer],
  scopes_supported: ['mcp:use'],
  bearer_methods_supported: ['header'],
  resource_name: name,
})

/** That of the authorization server (RFC 8414 §2): everything at the root, whatever the prefix of the endpoint. */
const serverAt = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  registration_endpoint: `${issuer}/register`,
  revocation_endpoint: `${issuer}/revoke`,
  scopes_supported: ['mcp:use', 'offline_access'],
  response_types_supported: ['code'],
  response_modes_supported: ['query'],
  grant_types_supported: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_methods_supported: ['none', 'client_secret_post', 'client_secret_basic'],
  revocation_endpoint_auth_methods_supported: ['none', 'client_secret_post', 'client_secret_basic'],
  code_challenge_methods_supported: ['S256'],
  authorization_response_iss_parameter_supported: true,
  client_id_metadata_document_supported: true,
})

interface Case {
  readonly name: string
  readonly options: OAuthProxyOptions
  readonly mcpPath: string
  readonly server: readonly string[]
  /** Where nothing may be: other resources, other prefixes. */
  readonly nothing: readonly string[]
}

const cases: readonly Case[] = [
  {
    name: 'without a prefix',
    options: {},
    mcpPath: '/mcp',
    server: [SERVER, `${SERVER}/mcp`, OPENID, `${OPENID}/mcp`, `/mcp${OPENID}`],
    nothing: [`${RESOURCE}/team/a/mcp`, `${SERVER}/team/a`, `${OPENID}/team/a`, `/team/a/mcp${OPENID}`],
  },
  {
    name: 'with a prefix',
    options: { env: { MCP_PATH_PREFIX: 'team/a' } },
    mcpPath: '/team/a/mcp',
    server: [
      SERVER,
      `${SERVER}/team/a`,
      `${SERVER}/team/a/mcp`,
      OPENID,
      `${OPENID}/team/a`,
      `${OPENID}/team/a/mcp`,
      `/team/a/mcp${OPENID}`,
    ],
    nothing: [
      `${RESOURCE}/mcp`,
      `${RESOURCE}/team/a`,
      `${RESOURCE}/team/mcp`,
      `${SERVER}/mcp`,
      `${SERVER}/team`,
      `${OPENID}/mcp`,
      `/mcp${OPENID}`,
    ],
  },
]

describe.each(cases)('T99 documents, $name', ({ options, mcpPath, server, nothing }) => {
  let proxy: OAuthProxy
  beforeAll(async () => void (proxy = await openOAuth(options)))
  afterAll(() => proxy.close())

  const resource = [RESOURCE, `${RESOURCE}${mcpPath}`, `${RESOURCE}${mcpPath}/`]
  const documents: [string, object][] = [
    ...resource.map((path): [string, object] => [path, resourceAt(ORIGIN, mcpPath)]),
    ...server.map((path): [string, object] => [path, serverAt(ORIGIN)]),
  ]
  const ask = (path: string, init: RequestInit = {}) => proxy.fetch(`${ORIGIN}${path}`, { redirect: 'manual', ...init })

  test.each(documents)('T99 %s: exactly this, for anybody, for five minutes', async (path, document) => {
    const response = await ask(path)
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'application/json',
      'cache-control': 'public, max-age=300',
      'access-control-allow-origin': '*',
      'access-control-expose-headers': expect.any(String),
    })
    const text = await response.text()
    expect(JSON.parse(text)).toEqual(document)
    expect(text).not.toContain('null')
  })

  test.each(documents)('T99 %s: the query changes nothing', async (path, document) => {
    const response = await ask(`${path}?resource=https://evil.example/mcp&issuer=https://evil.example`)
    expect([response.status, await response.json()]).toEqual([200, document])
  })

  test.each(documents)('T99 %s: HEAD is GET without a body', async (path) => {
    const wire = await openWire(proxy)
    try {
      const say = (method: string) =>
        wire.say(`${method} ${path} HTTP/1.1\r\nhost: mcp.example.com\r\nconnection: close\r\n\r\n`)
      const [get, head] = [await say('GET'), await say('HEAD')]
      expect([statusOf(get), statusOf(head)]).toEqual([200, 200])
      expect(head.split('\r\n\r\n')[1]).toBe('')
      for (const line of [
        'content-type: application/json',
        'cache-control: public, max-age=300',
        'access-control-allow-origin: *',
      ]) {
        expect(get).toContain(line)
        expect(head).toContain(line)
      }
    } finally {
      await wire.close()
    }
  })

  test.each(documents)('T99 %s: 405 to everything else', async (path) => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const response = await ask(path, { method })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(await response.json()).toEqual({ error: expect.any(String), error_description: expect.any(String) })
    }
    const asked = await ask(path, { method: 'OPTIONS', headers: { origin: 'https://evil.example' } })
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([204, '*'])
  })

  test.each([
    `${RESOURCE}/mcp/x`,
    `${RESOURCE}/other`,
    `${RESOURCE}/evil/mcp`,
    `${RESOURCE}/`.repeat(2),
    `${RESOURCE}//mcp`,
    `${RESOURCE}/MCP`,
    `${RESOURCE}/mcp%2f`,
    `${RESOURCE}/mcp//`,
    `${RESOURCE}x`,
    `${RESOURCE}/authorize`,
    `${SERVER}/other`,
    `${SERVER}/mcp/x`,
    `${SERVER}//mcp`,
    `${OPENID}/other`,
    `${OPENID}/mcp/x`,
    `/other/mcp${OPENID}`,
    `/mcp${SERVER}`,
    `/mcp${RESOURCE}`,
    '/.well-known',
    '/.well-known/',
    '/.well-known/oauth-protected-resource.json',
    '/.well-known/jwks.json',
    '/.well-known/webfinger',
    ...nothing,
  ])('T101 %s: 404, nothing answers for another resource', async (path) => {
    for (const method of ['GET', 'HEAD', 'POST']) {
      const response = await ask(path, { method })
      expect([method, response.status]).toEqual([method, 404])
      expect(response.headers.get('location')).toBeNull()
      expect(await response.text()).not.toContain(mcpPath)
    }
  })

  test('T101 every variant with a slash more: the same document, never a redirect, never another resource', async () => {
    for (const [path, document] of documents.filter(([text]) => !text.endsWith('/'))) {
      const response = await ask(`${path}/`)
      expect([response.status, response.headers.get('location')]).toEqual([200, null])
      expect(await response.json()).toEqual(document)
    }
  })

  test('T101 the challenge leads to the document, the document to the server, the server to its endpoints', async () => {
    for (const slash of ['', '/']) {
      const refused = await ask(`${mcpPath}${slash}`, { method: 'POST' })
      const challenge = refused.headers.get('www-authenticate') ?? ''
      const [, url = ''] = /^Bearer resource_metadata="([^"]+)", scope="mcp:use"$/.exec(challenge) ?? []
      expect(url).toBe(`${ORIGIN}${RESOURCE}${mcpPath}`)
      const found = (await (await proxy.fetch(url)).json()) as ReturnType<typeof resourceAt>
      expect(found.resource).toBe(`${ORIGIN}${mcpPath}`)
      const [issuer = ''] = found.authorization_servers
      const described = (await (await proxy.fetch(`${issuer}${SERVER}`)).json()) as ReturnType<typeof serverAt>
      expect(described.issuer).toBe(issuer)
      for (const endpoint of [
        described.token_endpoint,
        described.registration_endpoint,
        described.revocation_endpoint,
      ]) {
        expect((await proxy.fetch(endpoint, { method: 'POST' })).status).not.toBe(404)
      }
      expect((await proxy.fetch(described.authorization_endpoint)).status).toBe(400)
    }
  })
})

describe('what the documents depend on', () => {
  let proxy: OAuthProxy
  afterEach(() => proxy.close())

  const read = async (path: string, origin = ORIGIN) => (await proxy.fetch(`${origin}${path}`)).json()

  test('T99 without registration there is no endpoint for it', async () => {
    proxy = await openOAuth({ env: { MCP_DCR: 'off' } })
    const { registration_endpoint: _, ...rest } = serverAt(ORIGIN)
    for (const path of [SERVER, OPENID, `${SERVER}/mcp`]) expect(await read(path)).toEqual(rest)
    expect((await proxy.registerRaw({ redirect_uris: ['http://localhost/callback'] })).status).toBe(403)
  })

  test('T99 without metadata documents of clients they are not spoken of', async () => {
    proxy = await openOAuth({ options: { cimd: 'off' } })
    const { client_id_metadata_document_supported: _, ...rest } = serverAt(ORIGIN)
    for (const path of [SERVER, OPENID, `${SERVER}/mcp`]) expect(await read(path)).toEqual(rest)
  })

  test('T99 the name is the operator’s', async () => {
    proxy = await openOAuth({ options: { name: 'Our "Tools" <b>' } })
    expect(await read(`${RESOURCE}/mcp`)).toEqual(resourceAt(ORIGIN, '/mcp', 'Our "Tools" <b>'))
  })

  test.each([
    'https://mcp.example.com',
    'https://mcp.example.com/',
    'HTTPS://MCP.Example.COM:443/',
    'https://mcp.example.com:443',
  ])('T99 the base URL %s is one and the same', async (baseUrl) => {
    proxy = await openOAuth({ config: { baseUrl } })
    expect(await read(`${RESOURCE}/mcp`)).toEqual(resourceAt(ORIGIN, '/mcp'))
    expect(await read(SERVER)).toEqual(serverAt(ORIGIN))
  })

  test.each([
    ['https://mcp.example.com:8443', 'https://mcp.example.com:8443'],
    ['http://localhost:8080', 'http://localhost:8080'],
    ['http://127.0.0.1:8080/', 'http://127.0.0.1:8080'],
  ])('T99 the base URL %s: everything is at %s', async (baseUrl, origin) => {
    proxy = await openOAuth({ config: { baseUrl } })
    expect(await read(`${RESOURCE}/mcp`, origin)).toEqual(resourceAt(origin, '/mcp'))
    expect(await read(SERVER, origin)).toEqual(serverAt(origin))
    expect(await read(OPENID, 'https://other.example')).toEqual(serverAt(origin))
  })

  test.each(['team', '/team/', '//team//', 'team/'])('T101 the prefix "%s" is one and the same', async (pathPrefix) => {
    proxy = await openOAuth({ config: { pathPrefix } })
    expect(await read(`${RESOURCE}/team/mcp`)).toEqual(resourceAt(ORIGIN, '/team/mcp'))
    expect(await read(`${SERVER}/team`)).toEqual(serverAt(ORIGIN))
  })

  test('T99 a base URL with a path, or over plain http, is refused at start', async () => {
    for (const baseUrl of [
      'https://mcp.example.com/team',
      'http://mcp.example.com',
      'https://mcp.example.com/?x',
      'https://u:p@mcp.example.com',
    ]) {
      await expect(openOAuth({ config: { baseUrl } })).rejects.toMatchObject({ code: 'ERR_PROXY_CONFIG' })
    }
    proxy = await openOAuth()
  })
})
