import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { OAuthError } from '../../../../plugins/auth-oauth/oauth-error.ts'
import { parametersOf } from '../../../../plugins/auth-oauth/parameters.ts'
import { grantScope, narrowScope, SCOPES } from '../../../../plugins/auth-oauth/scope.ts'
import { isResource, siteOf } from '../../../../plugins/auth-oauth/site.ts'
import { errorBack, handedBack, refusalPage } from '../../../fixtures/oauth/answers.ts'
import { sealNetwork, type SealedNetwork } from '../../../fixtures/oauth/network.ts'
import {
  CALLBACK,
  codeFields,
  openOAuth,
  ORIGIN,
  type OAuthProxy,
  type Registered,
  type Tokens,
} from '../../../fixtures/oauth/proxy.ts'

const STATE = 'client state'
const FORM = 'application/x-www-form-urlencoded'

let proxy: OAuthProxy
let client: Registered

beforeAll(async () => {
  proxy = await openOAuth()
  client = await proxy.register()
})
beforeEach(() => proxy.pass(120_000)) // what the limit by address takes is given back
afterEach(() => {
  if (proxy.source.asked.length > 0) throw new Error('somebody was asked before anybody had approved')
})
afterAll(() => proxy.close())

/** An /authorize request with some parameters changed; `undefined` leaves one out. */
const authorize = (more: Record<string, string | undefined> = {}, headers: Record<string, string> = {}) =>
  proxy.browser().get(proxy.request(client, more).url, headers)

/** One with text appended to its query, as it is. */
const authorizeRaw = (text: string, without: Record<string, undefined> = {}) =>
  proxy.browser().get(`${proxy.request(client, without).url}${text}`)

function post(body: RequestInit['body'], headers: Record<string, string> = {}, query = ''): Promise<Response> {
  return proxy.fetch(`${ORIGIN}/authorize${query}`, {
    method: 'POST',
    headers: { accept: 'text/html', ...headers },
    ...(body !== undefined && { body }),
  })
}

function toConsent(response: Response): void {
  expect(response.status).toBe(303)
  expect(response.headers.get('location')).toMatch(/^\/consent\?authorization=[\w-]{22}$/)
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(response.headers.get('referrer-policy')).toBe('no-referrer')
  expect(response.headers.get('access-control-allow-origin')).toBeNull()
}

describe('clients', () => {
  const unknown: [string, (known: string) => string][] = [
    ['a made-up id', () => 'mcp_AAAAAAAAAAAAAAAAAAAAAA'],
    ['the id in capitals', (known) => known.toUpperCase()],
    ['the id with a space after it', (known) => `${known} `],
    ['the id with a NUL after it', (known) => `${known}\0`],
    ['a prefix of the id', (known) => known.slice(0, -1)],
    ['a path', () => '../client'],
    ['another collection', () => 'x:authorization:1'],
    ['__proto__', () => '__proto__'],
    ['constructor', () => 'constructor'],
    ['a URL', () => 'https://evil.example/client.json'],
    ['10 kB', () => 'a'.repeat(10_000)],
  ]
  const places = [CALLBACK, 'https://claude.ai/api/mcp/auth_callback', 'https://evil.example/callback']

  test.each(unknown)('T12 unknown client_id (%s): a page, never a redirect', async (_, idOf) => {
    for (const redirect_uri of places) {
      const response = await authorize({ client_id: idOf(client.client_id), redirect_uri })
      const text = await refusalPage(response)
      expect(text).toContain('not known')
      expect(text).not.toContain('evil.example')
    }
  })

  test.each(unknown)('T12 unknown client_id (%s): JSON for programs, 400 too', async (_, idOf) => {
    const response = await authorize({ client_id: idOf(client.client_id) }, { accept: 'application/json' })
    expect(response.status).toBe(400)
    expect(response.headers.get('location')).toBeNull()
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toEqual({ error: 'invalid_client', error_description: expect.any(String) })
  })

  test.each([
    ['application/json, text/html', 'text/html'],
    ['*/*', 'text/html'],
    ['application/json', 'application/json'],
  ])('T12 unknown client_id with Accept %s: answered as %s', async (accept, type) => {
    const response = await authorize({ client_id: 'mcp_unknown' }, { accept })
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toContain(type)
  })

  test('T12 no client_id, or an empty one: a page, never a redirect', async () => {
    await refusalPage(await authorize({ client_id: undefined }))
    await refusalPage(await authorize({ client_id: '' }))
  })

  test('T12 an unknown client is told first, whatever else is wrong', async () => {
    const wrong = {
      response_type: 'token',
      code_challenge: undefined,
      resource: 'https://evil.example',
      prompt: 'none',
    }
    await refusalPage(await authorize({ ...wrong, client_id: 'mcp_unknown' }))
    await refusalPage(await authorize({ ...wrong, redirect_uri: 'https://evil.example/callback' }))
    errorBack(await authorize(wrong), CALLBACK, 'unsupported_response_type', STATE)
  })

  test('T12 a client whose registration has expired is unknown', async () => {
    vi.useFakeTimers({ toFake: ['Date'] }) // the store has a clock of its own
    const late = await openOAuth()
    try {
      const forgotten = await late.register()
      toConsent(await late.browser().get(late.request(forgotten).url))
      vi.setSystemTime(Date.now() + 25 * 3_600_000)
      await refusalPage(await late.browser().get(late.request(forgotten).url))
    } finally {
      vi.useRealTimers()
      await late.close()
    }
  })
})

describe('duplicate parameters', () => {
  const names = [
    'client_id',
    'redirect_uri',
    'response_type',
    'state',
    'scope',
    'code_challenge',
    'code_challenge_method',
    'prompt',
    'response_mode',
    'request',
    'nonce',
    '__proto__',
  ]

  /** The query of a request with this parameter in it once, and one more way to write it. */
  function twice(name: string, again: string): string {
    const query = new URLSearchParams(proxy.request(client).url.split('?')[1])
    if (!query.has(name)) query.set(name, 'x')
    return `${query.toString()}&${again.replace('VALUE', encodeURIComponent(query.get(name) ?? ''))}`
  }
  const coded = (name: string) => `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`

  test.each(names)('T18 %s twice: a page, never a redirect', async (name) => {
    for (const again of [`${name}=VALUE`, `${name}=other`, `${name}=`, name, `${coded(name)}=VALUE`]) {
      await refusalPage(await proxy.browser().get(`/authorize?${twice(name, again)}`))
      await refusalPage(await post(twice(name, again), { 'content-type': FORM }))
    }
  })

  test('T18 an evil second redirect_uri is never used', async () => {
    for (const text of ['&redirect_uri=https://evil.example/', '&redirect%5Furi=https://evil.example/']) {
      expect(await refusalPage(await authorizeRaw(text))).not.toContain('evil.example')
    }
    const first = await authorizeRaw(
      `&redirect_uri=https://evil.example/&redirect_uri=${encodeURIComponent(CALLBACK)}`,
      { redirect_uri: undefined },
    )
    expect(await refusalPage(first)).not.toContain('evil.example')
  })

  test('T18 resource may come several times, each the one there is', async () => {
    toConsent(await authorizeRaw(`&resource=${ORIGIN}/mcp`))
    toConsent(await authorizeRaw(`&resource=${ORIGIN}/mcp/&resource=&resource=HTTPS://MCP.EXAMPLE.COM:443/mcp`))
    const response = await authorizeRaw('&resource=https://other.example/mcp')
    errorBack(response, CALLBACK, 'invalid_target', STATE)
  })
})

describe('PKCE', () => {
  const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'

  test.each<[string, Record<string, string | undefined>]>([
    ['no challenge', { code_challenge: undefined }],
    ['neither challenge nor method', { code_challenge: undefined, code_challenge_method: undefined }],
    ['an empty challenge', { code_challenge: '' }],
    ['method plain', { code_challenge_method: 'plain' }],
    ['no method, which would be plain', { code_challenge_method: undefined }],
    ['an empty method', { code_challenge_method: '' }],
    ['method s256', { code_challenge_method: 's256' }],
    ['method S512', { code_challenge_method: 'S512' }],
    ['method S256 and more', { code_challenge_method: 'S256 plain' }],
    ['42 characters', { code_challenge: challenge.slice(1) }],
    ['44 characters', { code_challenge: `${challenge}A` }],
    ['padding', { code_challenge: `${challenge}=` }],
    ['padding within 43', { code_challenge: `${challenge.slice(1)}=` }],
    ['base64 of the other alphabet', { code_challenge: challenge.replace('-', '+') }],
    ['a line break after it', { code_challenge: `${challenge}\n` }],
    ['a line break within 43', { code_challenge: `${challenge.slice(1)}\n` }],
    ['letters that are no ASCII', { code_challenge: `${challenge.slice(1)}é` }],
    ['an array', { code_challenge: undefined, 'code_challenge[]': challenge }],
  ])('T19 %s: invalid_request to the client', async (_, more) => {
    errorBack(await authorize(more), CALLBACK, 'invalid_request', STATE)
  })

  test('T19 43 characters with S256 are taken', async () => {
    toConsent(await authorize({ code_challenge: challenge }))
  })
})

describe('resource', () => {
  const right = [
    `${ORIGIN}/mcp`,
    `${ORIGIN}/mcp/`,
    `${ORIGIN}:443/mcp`,
    'HTTPS://mcp.example.com/mcp',
    'https://MCP.Example.COM/mcp',
    'HTTPS://MCP.EXAMPLE.COM:443/mcp/',
    '',
  ]
  const wrong = [
    'https://evil.example/mcp',
    'https://mcp.example.com.evil.example/mcp',
    'https://evil.example/?https://mcp.example.com/mcp',
    'https://mcp.example.com@evil.example/mcp',
    'https://user@mcp.example.com/mcp',
    'https://user:password@mcp.example.com/mcp',
    'http://mcp.example.com/mcp',
    'HTTP://MCP.EXAMPLE.COM:443/mcp',
    'http://mcp.example.com:443/mcp',
    `${ORIGIN}:8443/mcp`,
    ORIGIN,
    `${ORIGIN}/`,
    `${ORIGIN}/mcp/evil`,
    `${ORIGIN}/mcp//`,
    `${ORIGIN}//mcp`,
    `${ORIGIN}/MCP`,
    `${ORIGIN}/mcp?x=1`,
    `${ORIGIN}/mcp?`,
    `${ORIGIN}/mcp#x`,
    `${ORIGIN}/mcp#`,
    `${ORIGIN}/%2Fmcp`,
    `${ORIGIN}%2Fmcp`,
    `${ORIGIN}/mcp%2F`,
    `${ORIGIN}/%6dcp`,
    `${ORIGIN}/mcp;x`,
    `${ORIGIN}/mcp,${ORIGIN}/mcp`,
    `${ORIGIN}/mcp ${ORIGIN}/mcp`,
    'wss://mcp.example.com/mcp',
    'urn:mcp',
    '/mcp',
    '//mcp.example.com/mcp',
    'mcp',
    '__proto__',
    '\0',
  ]

  test.each(right)('T20 resource "%s" is this one', async (resource) => {
    toConsent(await authorize({ resource }))
  })

  test.each(wrong)('T20 resource "%s": invalid_target', async (resource) => {
    errorBack(await authorize({ resource }), CALLBACK, 'invalid_target', STATE)
  })

  test('T20 no resource: an older client means this one', async () => {
    toConsent(await authorize({ resource: undefined }))
  })

  test('T20 with a prefix only the path with the prefix is this one', async () => {
    const prefixed = await openOAuth({ config: { pathPrefix: 'team/a' } })
    try {
      const known = await prefixed.register()
      const ask = (resource: string) => prefixed.browser().get(prefixed.request(known, { resource }).url)
      toConsent(await ask(`${ORIGIN}/team/a/mcp`))
      toConsent(await ask(`${ORIGIN}/team/a/mcp/`))
      for (const resource of [`${ORIGIN}/mcp`, `${ORIGIN}/team/a`, `${ORIGIN}/team/mcp`, `${ORIGIN}/TEAM/A/mcp`]) {
        errorBack(await ask(resource), CALLBACK, 'invalid_target', STATE)
      }
    } finally {
      await prefixed.close()
    }
  })

  test('T20 whatever is taken as this resource is it for a URL parser too', () => {
    const site = siteOf({ baseUrl: ORIGIN, mcpPath: '/mcp' })
    const bits = fc.constantFrom(
      ...right,
      ...wrong,
      '..',
      '/',
      '\\',
      '?',
      '#',
      '@',
      ':',
      '%2e',
      'mcp',
      'evil.example',
      '\t',
    )
    const texts = fc.oneof(
      fc.array(bits, { maxLength: 4 }).map((all) => all.join('')),
      fc.webUrl(),
      fc.string(),
    )
    fc.assert(
      fc.property(texts, (text) => {
        if (!isResource(site, text)) return
        const { origin, pathname, search, hash, username, password } = new URL(text)
        expect([origin, pathname.replace(/\/$/, ''), search, hash, username, password]).toEqual([
          ORIGIN,
          '/mcp',
          '',
          '',
          '',
          '',
        ])
      }),
      { numRuns: 2000 },
    )
  })
})

describe('response type and mode', () => {
  test.each([
    ['token', 'unsupported_response_type'],
    ['id_token', 'unsupported_response_type'],
    ['code token', 'unsupported_response_type'],
    ['code id_token', 'unsupported_response_type'],
    ['code code', 'unsupported_response_type'],
    ['CODE', 'unsupported_response_type'],
    ['none', 'unsupported_response_type'],
    ['', 'invalid_request'],
    [undefined, 'invalid_request'],
  ])('T21 response_type %s: %s, in the query', async (response_type, error) => {
    const response = await authorize({ response_type })
    errorBack(response, CALLBACK, error, STATE)
    expect(response.headers.get('location')).not.toContain('#')
  })

  test.each(['fragment', 'form_post', 'web_message', 'query.jwt', 'jwt', 'QUERY'])(
    'T21 response_mode %s: invalid_request, in the query',
    async (response_mode) => {
      const response = await authorize({ response_mode })
      errorBack(response, CALLBACK, 'invalid_request', STATE)
      expect(response.headers.get('location')).not.toContain('#')
    },
  )

  test('T21 response_mode query is what there is', async () => {
    toConsent(await authorize({ response_mode: 'query' }))
    toConsent(await authorize({ response_mode: '' }))
  })
})

describe('request objects', () => {
  let network: SealedNetwork
  beforeEach(() => void (network = sealNetwork()))
  afterEach(() => network.open())

  test('T22 the seal holds', async () => {
    await expect(async () => fetch('http://127.0.0.1:9/')).rejects.toThrow('sealed')
    expect(network.tries).toEqual(['fetch'])
  })

  test.each([
    ['request', 'eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2V2aWwuZXhhbXBsZS8ifQ.', 'request_not_supported'],
    ['request', 'x', 'request_not_supported'],
    ['request_uri', 'http://169.254.169.254/latest/meta-data/', 'request_uri_not_supported'],
    ['request_uri', 'https://evil.example/request.jwt', 'request_uri_not_supported'],
    ['request_uri', 'urn:ietf:params:oauth:request_uri:1', 'request_uri_not_supported'],
    ['request_uri', 'file:///etc/passwd', 'request_uri_not_supported'],
  ])('T22 %s=%s: %s, nothing is fetched', async (name, value, error) => {
    errorBack(await authorize({ [name]: value }), CALLBACK, error, STATE)
    expect(network.tries).toEqual([])
  })
})

describe('state', () => {
  /** Sent as written in a query; what comes back, percent-decoded to bytes. An error redirect echoes like any other. */
  async function echo(written: string): Promise<{ bytes: Buffer | undefined; raw: string }> {
    const response = await authorizeRaw(`&prompt=none&state=${written}`, { state: undefined })
    expect(response.status).toBe(303)
    const location = response.headers.get('location') ?? ''
    const raw = /[?&]state=([^&]*)/.exec(location)?.[1]
    return { bytes: raw === undefined ? undefined : Buffer.from(decodeURIComponent(raw)), raw: raw ?? '' }
  }

  test('T23 absent or empty: none comes back', async () => {
    errorBack(await authorize({ state: undefined, prompt: 'none' }), CALLBACK, 'interaction_required')
    errorBack(await authorize({ state: '', prompt: 'none' }), CALLBACK, 'interaction_required')
  })

  test.each([
    ['%00', '\0'],
    ['a%00b', 'a\0b'],
    ['%F0%9F%98%80', '😀'],
    ['a+b', 'a b'],
    ['a%20b', 'a b'],
    ['a%2Bb', 'a+b'],
    ['%25', '%'],
    ['%2541', '%41'],
    ['a%26b%3Dc', 'a&b=c'],
    ['%23%3F%2F', '#?/'],
    ['eyJhIjoxfQ%3D%3D', 'eyJhIjoxfQ=='],
    ['a=b=c', 'a=b=c'],
    ['e%CC%81', 'e\u0301'],
    ['%C3%A9', 'é'],
    ['%0D%0ASet-Cookie:%20a=b', '\r\nSet-Cookie: a=b'],
    ['%3Cscript%3E%22%27', '<script>"\''],
    ['%EF%BB%BFx', '\uFEFFx'],
    ['%C2%A0', '\u00A0'],
    ['%20x%20', ' x '],
    ['__proto__', '__proto__'],
  ])('T23 state %s comes back to the byte', async (written, meant) => {
    const { bytes, raw } = await echo(written)
    expect(bytes).toEqual(Buffer.from(meant))
    // However the client decodes, as a form or as a URL.
    expect(new URLSearchParams(`state=${raw}`).get('state')).toBe(meant)
  })

  test.each(['%FF', '%C3%28', 'a%80', '%ED%A0%80', '%C0%AF', '%F0%9F%98'])(
    'T23 state %s is no text: refused, never handed back as something else',
    async (written) => {
      await refusalPage(await authorizeRaw(`&state=${written}`, { state: undefined }))
    },
  )

  test('T23 every state comes back to the byte, through the whole flow too', async () => {
    const texts = fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }).filter((text) => !text.includes('\uFFFD'))
    await fc.assert(
      fc.asyncProperty(texts, async (state) => {
        proxy.pass(1000)
        errorBack(await authorize({ state, prompt: 'none' }), CALLBACK, 'interaction_required', state)
      }),
      { numRuns: 300 },
    )
    const whole = await openOAuth()
    try {
      const state = '\0\t +%41&=é😀"<\\'
      const back = await whole.toClient(whole.browser(), whole.request(await whole.register(), { state }).url)
      expect(back.searchParams.getAll('state')).toEqual([state])
      expect(back.search).toContain(`state=${encodeURIComponent(state)}`)
    } finally {
      await whole.close()
    }
  })

  test('T23 2 KiB are enough, in bytes', async () => {
    toConsent(await authorize({ state: 'a'.repeat(2048) }))
    toConsent(await authorize({ state: 'é'.repeat(1024) }))
    for (const state of ['a'.repeat(2049), 'é'.repeat(1025), 'a'.repeat(10_000)]) {
      errorBack(await authorize({ state }), CALLBACK, 'invalid_request', state)
    }
  })
})

describe('scope', () => {
  const granted: [string, string][] = [
    ['', 'mcp:use'],
    ['mcp:use', 'mcp:use'],
    ['offline_access', 'mcp:use offline_access'],
    ['+offline_access', 'mcp:use offline_access'],
    ['%2Boffline_access', 'mcp:use offline_access'],
    ['mcp:use++offline_access', 'mcp:use offline_access'],
    ['%20%20mcp:use%20%20%20offline_access%20', 'mcp:use offline_access'],
    ['mcp:use%09offline_access', 'mcp:use offline_access'],
    ['offline_access+offline_access', 'mcp:use offline_access'],
    ['openid+profile+email', 'mcp:use'],
    ['admin+mcp:use+*', 'mcp:use'],
    ['MCP:USE+Offline_Access', 'mcp:use'],
    ['mcp:use:all+offline_access2', 'mcp:use'],
    ['mcp:use,offline_access', 'mcp:use'],
    ['__proto__+constructor', 'mcp:use'],
    ['a'.repeat(4000), 'mcp:use'],
  ]

  test.each(granted)('T24 scope "%s" is read as "%s"', async (written, scope) => {
    toConsent(await authorizeRaw(`&scope=${written}`, { scope: undefined }))
    expect(grantScope(new URLSearchParams(`scope=${written}`).get('scope') ?? '').join(' ')).toBe(scope)
  })

  test.each(granted)('T24 scope "%s": the token has "%s" and no more', async (written, scope) => {
    const whole = await openOAuth()
    try {
      const known = await whole.register()
      const { url, verifier } = whole.request(known, { scope: undefined })
      const back = await whole.toClient(whole.browser(), `${url}&scope=${written}`)
      const code = back.searchParams.get('code') ?? ''
      const tokens = (await (await whole.token(codeFields({ client: known, code, verifier }))).json()) as Tokens
      expect(tokens.scope).toBe(scope)
    } finally {
      await whole.close()
    }
  })

  test.each([
    ['a quote', '"mcp:use"'],
    ['a backslash', 'mcp\\use'],
    ['NUL', 'mcp:use\0'],
    ['a line break', 'mcp:use\noffline_access'],
    ['carriage return', 'mcp:use\roffline_access'],
    ['DEL', 'mcp:use\x7f'],
    ['letters that are no ASCII', 'mcp:usé'],
    ['a no-break space', 'mcp:use\u00A0offline_access'],
    ['5 kB', 'a '.repeat(2500)],
  ])('T24 scope with %s: invalid_scope', async (_, scope) => {
    errorBack(await authorize({ scope }), CALLBACK, 'invalid_scope', STATE)
  })

  /** What is granted of a text; `undefined` for one that is `invalid_scope`. */
  function grantedOf(text: string): readonly string[] | undefined {
    try {
      return grantScope(text)
    } catch (error) {
      if (error instanceof OAuthError && error.error === 'invalid_scope') return undefined
      throw error
    }
  }

  test('T24 no text whatever is granted what is not supported, or what was not asked for', () => {
    const words = fc.constantFrom(
      ...SCOPES,
      'mcp',
      'use',
      '+',
      ' ',
      '\t',
      'MCP:USE',
      'admin',
      '"',
      '\\',
      '\n',
      'offline',
    )
    const texts = fc.oneof(
      fc.array(words, { maxLength: 8 }).map((all) => all.join('')),
      fc.string({ unit: 'binary' }),
    )
    fc.assert(
      fc.property(texts, (text) => {
        // RFC 6749 §3.3, and the separators that are put up with.
        const isLegal = /^[\x21\x23-\x5B\x5D-\x7E \t]*$/.test(text)
        const scopes = grantedOf(text)
        expect(scopes === undefined).toBe(!isLegal)
        if (scopes === undefined) return
        expect(new Set([...SCOPES, ...scopes])).toEqual(new Set(SCOPES))
        expect(scopes.length).toBe(new Set(scopes).size)
        expect(scopes.includes('offline_access')).toBe(text.split(/[ \t+]/).includes('offline_access'))
      }),
      { numRuns: 2000 },
    )
  })

  test('T24 nothing narrows to more than was granted', () => {
    const texts = fc.array(fc.constantFrom(...SCOPES, 'admin', ''), { maxLength: 4 }).map((all) => all.join(' '))
    fc.assert(
      fc.property(texts, fc.subarray([...SCOPES]), (text, before) => {
        const wanted = text.split(' ').filter((scope) => scope !== '')
        fc.pre(wanted.every((scope) => before.includes(scope)))
        expect(new Set(narrowScope(text, before))).toEqual(new Set(wanted.length === 0 ? before : wanted))
      }),
    )
    fc.assert(
      fc.property(texts, fc.subarray([...SCOPES]), (text, before) => {
        fc.pre(text.split(' ').some((scope) => scope !== '' && !before.includes(scope)))
        expect(() => narrowScope(text, before)).toThrow(OAuthError)
      }),
    )
  })
})

describe('methods and bodies', () => {
  const fields = () => proxy.request(client).url.split('?')[1] ?? ''

  test('T26 a form is read like a query', async () => {
    toConsent(await post(fields(), { 'content-type': FORM }))
    toConsent(await post(fields(), { 'content-type': 'Application/X-WWW-Form-Urlencoded ; charset=UTF-8' }))
    errorBack(await post(`${fields()}&prompt=none`, { 'content-type': FORM }), CALLBACK, 'interaction_required', STATE)
  })

  test.each<[string, () => [RequestInit['body'], Record<string, string>]]>([
    [
      'JSON',
      () => [JSON.stringify(Object.fromEntries(new URLSearchParams(fields()))), { 'content-type': 'application/json' }],
    ],
    [
      'multipart',
      () => {
        const form = new FormData()
        for (const [name, value] of new URLSearchParams(fields())) form.append(name, value)
        return [form, {}]
      },
    ],
    ['plain text', () => [fields(), { 'content-type': 'text/plain' }]],
    ['no type', () => [Buffer.from(fields()), {}]],
    ['a type that only begins like a form', () => [fields(), { 'content-type': `${FORM}x` }]],
    ['two types', () => [fields(), { 'content-type': `application/json, ${FORM}` }]],
    ['no body', () => [undefined, {}]],
  ])('T26 POST with %s: a page', async (_, request) => {
    const [body, headers] = request()
    await refusalPage(await post(body, headers))
  })

  test('T26 POST: parameters in the query do not count', async () => {
    await refusalPage(await post('', { 'content-type': FORM }, `?${fields()}`))
    const mixed = await post('client_id=mcp_unknown', { 'content-type': FORM }, `?${fields()}`)
    await refusalPage(mixed)
  })

  test('T26 POST of more than 16 KiB: 413', async () => {
    await refusalPage(await post(`${fields()}&x=${'a'.repeat(16_384)}`, { 'content-type': FORM }), 413)
  })

  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND'])('T26 %s: 405 with Allow', async (method) => {
    const response = await proxy.fetch(`${ORIGIN}${proxy.request(client).url}`, { method })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('GET, POST')
    expect(response.headers.get('location')).toBeNull()
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
  })
})

describe('prompt', () => {
  test.each(['none', 'none login', 'consent none', ' none '])(
    'T27 prompt "%s": interaction_required, nothing is approved in silence',
    async (prompt) => {
      errorBack(await authorize({ prompt }), CALLBACK, 'interaction_required', STATE)
    },
  )

  test.each(['login', 'consent', 'select_account', 'consent login', '', 'nonesuch'])(
    'T27 prompt "%s": the consent page',
    async (prompt) => {
      toConsent(await authorize({ prompt }))
    },
  )

  test('T27 prompt=none after a login in the same browser: interaction_required still', async () => {
    const whole = await openOAuth()
    try {
      const browser = whole.browser()
      const known = await whole.register()
      expect((await whole.login(known, browser)).code).not.toBe('')
      const silent = await browser.get(whole.request(known, { prompt: 'none' }).url)
      errorBack(silent, CALLBACK, 'interaction_required', STATE)
      expect(whole.source.asked.filter(({ what }) => what === 'begin')).toHaveLength(1)
    } finally {
      await whole.close()
    }
  })
})

describe('what a request says of the answer', () => {
  test('T25 error and error_description of a request are in no answer', async () => {
    const planted = '&error=evil_error&error_description=%3Cscript%3Eevil_text&code=evil_code&iss=https://evil.example'
    toConsent(await authorizeRaw(planted))
    const refused = await authorizeRaw(`${planted}&prompt=none`)
    errorBack(refused, CALLBACK, 'interaction_required', STATE)
    expect(refused.headers.get('location')).not.toContain('evil')
    const page = await proxy.browser().get(`${proxy.request(client, { client_id: 'mcp_unknown' }).url}${planted}`)
    expect(await refusalPage(page)).not.toContain('evil')
  })

  test.each(['%0d%0aSet-Cookie:%20evil=1', '%0aLocation:%20https://evil.example', '%E5%98%8A%E5%98%8Dx:%201'])(
    'T25 line breaks (%s) reach no header',
    async (text) => {
      const response = await authorizeRaw(`&prompt=none&state=${text}&error_description=${text}`, { state: undefined })
      expect(handedBack(response, CALLBACK)['state']).toBe(decodeURIComponent(text))
      expect(response.headers.get('location')).not.toMatch(/[\r\n]/)
      expect(response.headers.getSetCookie()).toEqual([])
      expect([...response.headers.keys()].sort()).toEqual(['cache-control', 'location', 'referrer-policy'])
    },
  )
})

describe('parameters', () => {
  const names = fc.constantFrom(
    'state',
    'scope',
    'resource',
    '__proto__',
    'constructor',
    'hasOwnProperty',
    'toString',
    '',
  )
  const values = fc.oneof(
    fc.constantFrom('', ' ', '__proto__', '&', '=', '%'),
    fc.string({ unit: 'binary', maxLength: 8 }),
  )

  test('T18 each parameter at most once, resource apart; the rest is what was written', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(names, values), { maxLength: 6 }), (pairs) => {
        const search = new URLSearchParams(pairs)
        const counted: string[] = pairs.map(([name]) => name).filter((name) => name !== 'resource')
        fc.pre(counted.length === new Set(counted).size)
        const parameters = parametersOf(search)
        for (const [name, value] of pairs.filter(([name]) => name !== 'resource')) {
          expect(parameters.get(name)).toBe(value === '' ? undefined : value)
        }
        const resources = pairs.filter(([name, value]) => name === 'resource' && value !== '').map(([, value]) => value)
        expect(parameters.all('resource')).toEqual(resources)
        for (const name of ['__proto__', 'constructor', 'valueOf', 'toString'].filter(
          (name) => !counted.includes(name),
        )) {
          expect(parameters.get(name)).toBeUndefined()
        }
      }),
      { numRuns: 1000 },
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(names, values), { minLength: 2, maxLength: 6 }), (pairs) => {
        const counted = pairs.map(([name]) => name).filter((name) => name !== 'resource')
        fc.pre(counted.length !== new Set(counted).size)
        expect(() => parametersOf(new URLSearchParams(pairs))).toThrow(OAuthError)
      }),
    )
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  test('T18 however a name is written, it is the same parameter', () => {
    const spelt = fc
      .constantFrom('state', 'client_id', 'redirect_uri', '__proto__')
      .chain((name) =>
        fc.tuple(fc.constant(name), fc.array(fc.boolean(), { minLength: name.length, maxLength: name.length })),
      )
      .map(([name, coded]) => ({
        name,
        written: Array.from(name, (letter, index) =>
          coded[index] ? `%${letter.charCodeAt(0).toString(16)}` : letter,
        ).join(''),
      }))
    fc.assert(
      fc.property(spelt, ({ name, written }) => {
        expect(parametersOf(new URLSearchParams(`${written}=1`)).get(name)).toBe('1')
        expect(() => parametersOf(new URLSearchParams(`${name}=1&${written}=2`))).toThrow(OAuthError)
        expect(() => parametersOf(new URLSearchParams(`${written}=&${name}=2`))).toThrow(OAuthError)
      }),
    )
  })

  test.each([
    ['__proto__[redirect_uri]=https://evil.example/', 'nested names are names like any other'],
    ['constructor[prototype][redirect_uri]=https://evil.example/', 'nested names are names like any other'],
    ['redirect_uri[]=https://evil.example/', 'an array is another parameter'],
    ['redirect_uri;x=https://evil.example/', 'a semicolon separates nothing'],
    ['x=1;redirect_uri=https://evil.example/', 'a semicolon separates nothing'],
    ['__proto__=1', 'names of Object.prototype are names like any other'],
    ['=&=', 'an empty name twice is twice'],
  ])('T18 odd query %s: %s', async (text) => {
    const response = await authorizeRaw(`&${text}`)
    if (text === '=&=') return void (await refusalPage(response))
    toConsent(response)
    const shown = await (await proxy.browser().get(response.headers.get('location') ?? '')).text()
    expect(shown).toContain('localhost')
    expect(shown).not.toContain('evil.example')
    expect(({} as Record<string, unknown>)['redirect_uri']).toBeUndefined()
  })
})
