import { isIP } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { resolveConfig } from '../../../../core/config/resolve.ts'
import type { OAuthOptions } from '../../../../plugins/auth-oauth/index.ts'
import {
  createRedirectPolicy,
  destinationOf,
  isRedirectPattern,
  isRegistered,
  withParameters,
} from '../../../../plugins/auth-oauth/redirect-uri.ts'
import { readSettings } from '../../../../plugins/auth-oauth/settings.ts'
import { errorBack, handedBack, refusalPage } from '../../../fixtures/oauth/answers.ts'
import { openOAuth, ORIGIN, type OAuthProxy } from '../../../fixtures/oauth/proxy.ts'

const CLAUDE = 'https://claude.ai/api/mcp/auth_callback'
const LOOPBACK = 'http://127.0.0.1/callback'

/** Where clients in common use come back to; allowed without a word of the operator. */
const KNOWN = [
  CLAUDE,
  'https://claude.com/api/mcp/auth_callback',
  'https://chatgpt.com/connector_platform_oauth_redirect',
  'https://chatgpt.com/connector/oauth/abc-123_x.y',
  'https://vscode.dev/redirect',
  'https://insiders.vscode.dev/redirect',
  'https://www.cursor.com/agents/mcp/oauth/callback',
  'cursor://anysphere.cursor-mcp/oauth/callback',
  'http://localhost/callback',
  'http://localhost:33418/',
  'http://localhost:33418',
  LOOPBACK,
  'http://127.0.0.1:6274/oauth/callback?debug=1',
  'http://127.8.9.10:1/x',
  'http://[::1]/callback',
  'http://[::1]:8080/callback',
  'vscode://publisher.extension/callback',
  'vscode-insiders://publisher.extension/callback',
  'claude://callback',
  'zed://callback',
  'com.example.app:/oauth/callback',
  'com.example.app://oauth/callback?x=1',
]

/** Never allowed, whatever the operator has said. */
const EVIL: [string, string][] = [
  ['user information that looks like a port', 'http://localhost:1@evil.example/'],
  ['user information', 'https://claude.ai@evil.example/api/mcp/auth_callback'],
  ['user information, encoded', 'https://claude.ai%40evil.example/api/mcp/auth_callback'],
  ['an empty user', 'http://@localhost/callback'],
  ['a password', 'http://user:password@localhost/callback'],
  ['a sub-domain that begins like this machine', 'http://localhost.evil.com/callback'],
  ['a name that resolves to this machine', 'http://127.0.0.1.nip.io/callback'],
  ['a name that ends like this machine', 'http://evil.localhost/callback'],
  ['a dot after localhost', 'http://localhost./callback'],
  ['a dot after the address', 'http://127.0.0.1./callback'],
  ['hexadecimal', 'http://0x7f.1/callback'],
  ['hexadecimal in one', 'http://0x7f000001/callback'],
  ['decimal in one', 'http://2130706433/callback'],
  ['octal', 'http://0177.0.0.1/callback'],
  ['two parts', 'http://127.1/callback'],
  ['leading zeros', 'http://127.0.0.01/callback'],
  ['digits of full width', 'http://１２７.0.0.1/callback'],
  ['a letter of another script', 'http://ⓛocalhost/callback'],
  ['an encoded letter', 'http://%6cocalhost/callback'],
  ['IPv4 in IPv6', 'http://[::ffff:127.0.0.1]/callback'],
  ['IPv4 in IPv6, in hexadecimal', 'http://[::ffff:7f00:1]/callback'],
  ['::1 at length', 'http://[0:0:0:0:0:0:0:1]/callback'],
  ['any address', 'http://0.0.0.0/callback'],
  ['any address of IPv6', 'http://[::]/callback'],
  ['a private address', 'http://192.168.0.1/callback'],
  ['the metadata service', 'http://169.254.169.254/callback'],
  ['http elsewhere', 'http://claude.ai/api/mcp/auth_callback'],
  ['capitals', 'http://LOCALHOST/callback'],
  ['a scheme in capitals', 'HTTP://localhost/callback'],
  ['a backslash', 'https://claude.ai\\@evil.example/api/mcp/auth_callback'],
  ['a backslash for a slash', 'http:\\\\localhost/callback'],
  ['a backslash in the path', 'http://localhost/\\evil.example'],
  ['dot segments', `${CLAUDE}/../x`],
  ['dot segments in the middle', 'http://localhost/a/../callback'],
  ['one dot', 'http://localhost/./callback'],
  ['dot segments, encoded', 'http://localhost/%2e%2e/callback'],
  ['dot segments, encoded in capitals', 'http://localhost/%2E%2E/callback'],
  ['dot segments, half encoded', 'http://localhost/.%2e/callback'],
  ['one dot, encoded', 'http://localhost/%2e'],
  ['dot segments of a program’s scheme', 'com.example.app:/a/../b'],
  ['a fragment', 'http://localhost/callback#x'],
  ['an empty fragment', `${CLAUDE}#`],
  ['no scheme', '//evil.example/callback'],
  ['no scheme, no host', '/callback'],
  ['a word', 'callback'],
  ['nothing', ''],
  ['no host', 'http:///callback'],
  ['no slashes', 'http:localhost/callback'],
  ['one slash', 'http:/localhost/callback'],
  ['three slashes', 'https:///claude.ai/api/mcp/auth_callback'],
  ['a sub-domain that begins like Claude’s', 'https://claude.ai.evil.com:@/api/mcp/auth_callback'],
  ['a port that is none', 'http://localhost:99999/callback'],
  ['a port of letters', 'http://localhost:evil/callback'],
  ['a port with a sign', 'http://localhost:+80/callback'],
  ['an empty port', 'http://localhost:/callback'],
  ['a port that browsers drop', 'http://localhost:80/callback'],
  ['a port with leading zeros', 'http://localhost:03000/callback'],
  ['a wildcard host', 'https://*/callback'],
  ['a wildcard path', 'http://localhost/*'],
  ['a space before it', ' http://localhost/callback'],
  ['a space after it', 'http://localhost/callback '],
  ['a space within', 'http://localhost/call back'],
  ['a line break after it', 'http://localhost/callback\n'],
  ['a tab within', 'http://local\thost/callback'],
  ['a line break within', 'http://localhost\r\n.evil.example/callback'],
  ['NUL', 'http://localhost/callback\0'],
  ['a zero width space', 'http://localhost\u200B/callback'],
  ['a dot of another script', 'https://claude.ai。evil.example/'],
  ['a slash of another script', 'https://claude.ai⁄evil.example/'],
  ['a host of foreign letters', 'https://сlaude.ai/api/mcp/auth_callback'],
  ['foreign letters in the path', 'http://localhost/é'],
  ['a quote that browsers encode', "http://localhost/callback?x='"],
  ['an empty port of a program’s scheme', 'claude://callback:/x'],
  ['a port with leading zeros of a program’s scheme', 'claude://callback:080/x'],
  ['markup', 'http://localhost/<script>'],
  ['quotes', 'http://localhost/"x'],
  ['javascript', 'javascript:alert(1)'],
  ['javascript with an address', 'javascript://localhost/%0aalert(1)'],
  ['javascript with a path', 'javascript:/x'],
  ['JavaScript', 'JavaScript:alert(1)'],
  ['javascript with a tab', 'java\tscript:alert(1)'],
  ['javascript with a line break', 'java\nscript:alert(1)'],
  ['javascript after a control character', '\x01javascript:alert(1)'],
  ['data', 'data:text/html,<script>alert(1)</script>'],
  ['data without markup', 'data:/text/html;base64,PHNjcmlwdD4'],
  ['DATA', 'DATA:text/html,x'],
  ['file', 'file:///etc/passwd'],
  ['file with a host', 'file://localhost/etc/passwd'],
  ['vbscript', 'vbscript:msgbox(1)'],
  ['vbscript with a path', 'vbscript:/x'],
  ['blob', 'blob:https://claude.ai/1'],
  ['blob with a path', 'blob:/x'],
  ['about', 'about:blank'],
  ['about with a path', 'about:/blank'],
  ['ws', 'ws://localhost/callback'],
  ['wss', 'wss://localhost/callback'],
  ['ftp', 'ftp://localhost/callback'],
  ['intent', 'intent://evil#Intent;scheme=http;end'],
  ['intent without a fragment', 'intent://evil/callback'],
  ['view-source', 'view-source:http://localhost/'],
  ['mailto', 'mailto:a@b.example'],
  ['a URN', 'urn:ietf:wg:oauth:2.0:oob'],
  ['a program’s scheme without a path', 'com.example.app:callback'],
  ['a program’s scheme with user information', 'cursor://user@anysphere.cursor-mcp/oauth/callback'],
  ['a scheme that begins with a dot', '.com:/callback'],
  ['2049 characters', `http://localhost/${'a'.repeat(2049 - 17)}`],
]

/** Schemes that only the operator can know to be a program's own. */
const OTHER_SCHEMES = ['myapp://callback', 'chrome://settings/', 'mailto:/x', 'x-y+z://callback', 'localhost:/callback']

/** Not on the list, and allowed only where the operator allows every https address. */
const ELSEWHERE = [
  'https://evil.example/callback',
  'https://claude.ai.evil.com/api/mcp/auth_callback',
  'https://claude.ai.evil.com',
  'https://evil.com/https://claude.ai/api/mcp/auth_callback',
  'https://claude.ai:8443/api/mcp/auth_callback',
  'https://claude.ai/api/mcp/auth_callback/',
  'https://claude.ai/api/mcp/auth_callback/x',
  'https://claude.ai/api/mcp/auth_callback?x=1',
  'https://claude.ai/api/mcp/auth_callback?',
  'https://claude.ai/api/mcp/Auth_callback',
  'https://claude.ai/api/mcp/auth_callbac',
  'https://claude.ai/api/mcp/auth_callback%20',
  'https://claude.ai/api/mcp/auth%5fcallback',
  'https://claude.ai//api/mcp/auth_callback',
  'https://claude.ai/api/mcp/auth_callback;x',
  'https://claude.ai/',
  'https://www.claude.ai/api/mcp/auth_callback',
  'https://api.claude.ai/api/mcp/auth_callback',
  'https://chatgpt.com/connector/oauth/',
  'https://chatgpt.com/connector/oauth/a/b',
  'https://chatgpt.com/connector/oauth/a?x=1',
  'https://chatgpt.com/connector/oauth/a%2fb',
  'https://chatgpt.com/connector/oauth/%2e%2e%2fevil',
  'https://chatgpt.com/connector/oauth/..;',
  'https://chatgpt.com/connector/oauth/a%00',
  'https://chatgpt.com.evil.example/connector/oauth/a',
  'https://vscode.dev/redirect?url=https://evil.example',
]
/** Not public: not even then. */
const INSIDE = [
  'https://localhost/callback',
  'https://localhost:8443/callback',
  'https://localhost./callback',
  'https://app.localhost/callback',
  'https://app.localhost./callback',
  'https://127.0.0.1/callback',
  'https://10.0.0.1/callback',
  'https://169.254.169.254/latest/meta-data/',
  'https://[::1]/callback',
  'https://[fd00::1]/callback',
  'https://intranet/callback',
  'https://intranet./callback',
  'https://printer.local/callback',
  'https://printer.local./callback',
  'https://metadata.google.internal/callback',
  'https://metadata.google.internal./callback',
]

let proxy: OAuthProxy
beforeAll(async () => void (proxy = await openOAuth()))
beforeEach(() => proxy.pass(120_000)) // what the limits by address take is given back
afterAll(() => proxy.close())

async function isRefused(target: OAuthProxy, uri: string, others: readonly string[] = []): Promise<void> {
  const response = await target.registerRaw({ redirect_uris: [...others, uri], client_name: 'x' })
  // The same words for all of them: nothing of what was sent.
  const error_description = 'A redirect URI is not allowed here; see MCP_ALLOWED_REDIRECT_URIS.'
  expect([response.status, await response.json()]).toEqual([400, { error: 'invalid_redirect_uri', error_description }])
  expect(response.headers.get('cache-control')).toBe('no-store')
}

describe('registration', () => {
  test.each(KNOWN)('T15 %s is allowed', async (uri) => {
    const client = await proxy.register({ redirect_uris: [uri] })
    expect(client.redirect_uris).toEqual([uri])
    errorBack(
      await proxy.browser().get(proxy.request(client, { prompt: 'none' }).url),
      uri,
      'interaction_required',
      'client state',
    )
  })

  test.each(EVIL)('T15 T16 %s (%j): invalid_redirect_uri', async (_, uri) => {
    await isRefused(proxy, uri)
    await isRefused(proxy, uri, [CLAUDE])
  })

  test.each(EVIL)('T15 T16 %s (%j): not even where every https address is allowed', (_, uri) => {
    for (const policy of [createRedirectPolicy(['*']), createRedirectPolicy(['https://*', uri])]) {
      expect(policy.allows(uri)).toBe(false)
    }
    expect(isRedirectPattern(uri)).toBe(uri === 'http://localhost/*')
  })

  test.each(ELSEWHERE)('T15 %s: invalid_redirect_uri, unless every https address is allowed', async (uri) => {
    await isRefused(proxy, uri)
    expect(createRedirectPolicy(['*']).allows(uri)).toBe(true)
  })

  test.each(INSIDE)('T15 %s is no public address: never allowed', async (uri) => {
    await isRefused(proxy, uri)
    expect(createRedirectPolicy(['*']).allows(uri)).toBe(false)
  })

  test.each(OTHER_SCHEMES)('T16 %s: invalid_redirect_uri, unless the operator has added it', async (uri) => {
    await isRefused(proxy, uri)
    expect(createRedirectPolicy(['*']).allows(uri)).toBe(false)
    expect(createRedirectPolicy([uri]).allows(uri)).toBe(true)
  })

  test.each<[string, unknown]>([
    ['a list', [['http://localhost/callback']]],
    ['an object', [{ toString: 'http://localhost/callback' }]],
    ['null', [null]],
    ['a number', [1]],
  ])('T15 %s in place of a text: invalid_redirect_uri', async (_, uris) => {
    const response = await proxy.registerRaw({ redirect_uris: uris })
    expect([response.status, await response.json()]).toEqual([
      400,
      expect.objectContaining({ error: 'invalid_redirect_uri' }),
    ])
  })

  test('T15 what the operator adds is added, to the letter, and what is no address is refused at start', async () => {
    const added = 'https://app.example/callback'
    const own = await openOAuth({ env: { MCP_ALLOWED_REDIRECT_URIS: `${added}, https://other.example/cb/*` } })
    try {
      for (const uri of [added, 'https://other.example/cb/one', CLAUDE, LOOPBACK])
        await own.register({ redirect_uris: [uri] })
      for (const uri of [
        `${added}/`,
        `${added}?x`,
        'https://app.example.evil.example/callback',
        'https://app.example:8443/callback',
        'https://other.example/cb/',
        'https://other.example/cb/one/two',
        'https://other.example/cb/..',
        'https://other.example/cb/%2e%2e',
        'https://other.example/cb/a%2f..%2f..',
        'https://other.example/cb/*',
      ]) {
        await isRefused(own, uri)
      }
    } finally {
      await own.close()
    }
  })

  /** What is read at start, of options and variables. */
  const start = (options: OAuthOptions, env: Record<string, string> = {}) =>
    readSettings('auth-test', options, resolveConfig({ baseUrl: ORIGIN, plugins: [] }, { env }))

  test.each(EVIL.filter(([, uri]) => uri !== 'http://localhost/*'))(
    'T15 T16 %s (%j) cannot be configured, neither for all nor for one client',
    (_, uri) => {
      expect(() => start({ redirectUris: [CLAUDE, uri] })).toThrow(/^(?:MCP_ALLOWED_REDIRECT_URIS|auth-test): /)
      expect(() => start({ clients: [{ id: 'fixed', redirectUris: [CLAUDE, uri] }] })).toThrow(/^auth-test: /)
    },
  )

  test.each(EVIL.filter(([, uri]) => /^[^\s,\0]+$/.test(uri) && uri !== 'http://localhost/*'))(
    'T15 T16 %s (%j) cannot be added by a variable',
    (_, uri) => {
      expect(() => start({}, { MCP_ALLOWED_REDIRECT_URIS: `${CLAUDE}, ${uri}` })).toThrow('MCP_ALLOWED_REDIRECT_URIS: ')
    },
  )

  test('T15 what may be configured', () => {
    for (const uri of [...KNOWN, ...ELSEWHERE, ...INSIDE, ...OTHER_SCHEMES]) {
      expect(start({ redirectUris: [uri] }).redirectUris).toEqual([uri])
      expect(start({ clients: [{ id: 'fixed', redirectUris: [uri] }] }).clients[0]?.redirectUris).toEqual([uri])
    }
    for (const wild of ['*', 'http://localhost/*', 'https://*']) {
      expect(() => start({ clients: [{ id: 'fixed', redirectUris: [wild] }] })).toThrow('can never be redirected to')
    }
    for (const wild of [
      'https://*',
      'https://*.example/callback',
      'com.example.app://*',
      'https://app.example/*/callback',
      'https://app.example/x*',
      'https://app.example/?x=/*',
      '*/*',
      '**',
      'https://*/*',
    ]) {
      expect(() => start({ redirectUris: [wild] })).toThrow('can never be redirected to')
    }
    for (const wild of [
      '*',
      'https://app.example/*',
      'https://app.example/a/b/*',
      'http://localhost:3000/*',
      'com.example.app:/*',
      'com.example.app://host/*',
    ]) {
      expect(start({ redirectUris: [wild] }).redirectUris).toEqual([wild])
    }
  })

  test('T13 a client that is known from the start may come back to what was configured, wherever it is', async () => {
    const redirectUris = [
      'https://intranet/callback',
      'https://10.0.0.1/callback',
      'http://localhost/callback',
      'com.example.app:/x',
    ]
    const own = await openOAuth({ options: { clients: [{ id: 'fixed', redirectUris }], dcr: 'off' } })
    try {
      const ask = (redirect_uri: string) =>
        own.browser().get(own.request({ client_id: 'fixed', redirect_uris: [] }, { redirect_uri, prompt: 'none' }).url)
      for (const uri of redirectUris) errorBack(await ask(uri), uri, 'interaction_required', 'client state')
      for (const uri of ['https://intranet/callback/', 'https://10.0.0.1:8443/callback', CLAUDE])
        await refusalPage(await ask(uri))
    } finally {
      await own.close()
    }
  })
})

describe('the authorization endpoint', () => {
  /** Asks for an answer at `asked`; an error redirect shows where it would go. */
  const ask = async (registered: readonly string[], asked: string | undefined) => {
    const client = await proxy.register({ redirect_uris: registered })
    return proxy.browser().get(proxy.request(client, { redirect_uri: asked, prompt: 'none' }).url)
  }

  test.each([...ELSEWHERE, ...INSIDE, ...EVIL.map(([, uri]) => uri).filter((uri) => uri !== '')])(
    'T13 T15 %j, which is not registered: a page, never a redirect',
    async (uri) => {
      for (const registered of [
        [CLAUDE, LOOPBACK],
        ['http://localhost/callback', 'https://chatgpt.com/connector/oauth/a', 'http://[::1]/callback'],
      ]) {
        const text = await refusalPage(await ask(registered, uri))
        expect(text).not.toContain('evil')
      }
    },
  )

  test.each([
    ['a prefix', CLAUDE.slice(0, -1)],
    ['more path', `${CLAUDE}/more`],
    ['a query', `${CLAUDE}?a=b`],
    ['an empty query', `${CLAUDE}?`],
    ['capitals in the path', CLAUDE.replace('auth', 'Auth')],
    ['capitals in the host', CLAUDE.replace('claude', 'Claude')],
    ['a trailing slash', `${CLAUDE}/`],
    ['another port', CLAUDE.replace('.ai', '.ai:8443')],
    ['the port that is meant anyway', CLAUDE.replace('.ai', '.ai:443')],
    ['http', CLAUDE.replace('https', 'http')],
    ['an encoded letter', CLAUDE.replace('auth', '%61uth')],
    ['another known address', 'https://claude.com/api/mcp/auth_callback'],
    ['a fragment', `${CLAUDE}#x`],
    ['a space', `${CLAUDE} `],
    ['two in one', `${CLAUDE} ${LOOPBACK}`],
    ['a comma', `${CLAUDE},${LOOPBACK}`],
  ])('T13 %s in place of the registered address: a page', async (_, uri) => {
    await refusalPage(await ask([CLAUDE], uri))
    await refusalPage(await ask([LOOPBACK, CLAUDE], uri))
  })

  test('T13 another client’s address: a page', async () => {
    await proxy.register({ redirect_uris: ['http://localhost/other'] })
    await refusalPage(await ask(['http://localhost/callback'], 'http://localhost/other'))
  })

  test('T13 absent: the one that is registered, if there is just one', async () => {
    errorBack(await ask([CLAUDE], undefined), CLAUDE, 'interaction_required', 'client state')
    errorBack(await ask([CLAUDE], ''), CLAUDE, 'interaction_required', 'client state')
    errorBack(await ask([CLAUDE, CLAUDE], undefined), CLAUDE, 'interaction_required', 'client state')
    await refusalPage(await ask([CLAUDE, LOOPBACK], undefined))
    await refusalPage(await ask([LOOPBACK, 'http://127.0.0.1:1/callback'], undefined))
  })

  test.each([
    ['http://127.0.0.1/callback', 'http://127.0.0.1:5555/callback'],
    ['http://127.0.0.1:5555/callback', 'http://127.0.0.1/callback'],
    ['http://127.0.0.1:5555/callback', 'http://127.0.0.1:1/callback'],
    ['http://localhost/callback', 'http://localhost:65535/callback'],
    ['http://[::1]/callback', 'http://[::1]:5555/callback'],
    ['http://127.0.0.2/callback', 'http://127.0.0.2:5555/callback'],
    ['http://localhost/callback?x=1&y', 'http://localhost:5555/callback?x=1&y'],
    ['http://localhost:3000', 'http://localhost:5555/'],
  ])('T14 registered %s, asked for %s: the port of this machine is free', async (registered, asked) => {
    errorBack(await ask([registered], asked), asked, 'interaction_required', 'client state')
  })

  test.each([
    ['http://localhost/callback', 'http://127.0.0.1/callback'],
    ['http://localhost/callback', 'http://127.0.0.1:5555/callback'],
    ['http://127.0.0.1/callback', 'http://localhost:5555/callback'],
    ['http://127.0.0.1/callback', 'http://127.0.0.2:5555/callback'],
    ['http://127.0.0.1/callback', 'http://[::1]:5555/callback'],
    ['http://localhost/callback', 'https://localhost:5555/callback'],
    ['http://localhost/callback', 'http://localhost:5555/callback/'],
    ['http://localhost/callback', 'http://localhost:5555/Callback'],
    ['http://localhost/callback', 'http://localhost:5555/other'],
    ['http://localhost/callback', 'http://localhost:5555'],
    ['http://localhost/callback', 'http://localhost:5555/callback?x=1'],
    ['http://localhost/callback?x=1', 'http://localhost:5555/callback'],
    ['http://localhost/callback?x=1', 'http://localhost:5555/callback?x=2'],
    ['http://localhost/callback?x=1', 'http://localhost:5555/callback?X=1'],
    ['http://localhost/callback', 'http://localhost:5555//callback'],
    ['http://localhost/callback', 'http://localhost:5555/%63allback'],
    ['http://localhost/callback', 'http://localhost:5555@evil.example/callback'],
    ['http://localhost/callback', 'http://localhost:5555\\@evil.example/callback'],
    ['http://localhost/callback', 'http://localhost:0x50/callback'],
    ['http://localhost/callback', 'http://localhost:70000/callback'],
    ['cursor://anysphere.cursor-mcp/oauth/callback', 'cursor://anysphere.cursor-mcp:5555/oauth/callback'],
    [CLAUDE, CLAUDE.replace('.ai', '.ai:5555')],
  ])('T14 registered %s, asked for %s: a page', async (registered, asked) => {
    await refusalPage(await ask([registered], asked))
  })
})

describe('the redirect', () => {
  const registered =
    'http://localhost:3000/callback?code=old&keep=1&state=old&%69ss=old&error&keep=%20two&e%72ror_description=old&c%6Fde=old&other'
  const kept = [
    ['keep', '1'],
    ['keep', ' two'],
    ['other', ''],
  ]
  const queryOf = (response: Response) => [...new URL(response.headers.get('location') ?? '').searchParams]

  test('T17 a redirect_uri that holds code, state, iss or error: each replaced, the rest kept', async () => {
    const own = await openOAuth()
    try {
      const client = await own.register({ redirect_uris: [registered] })
      const browser = own.browser()
      const back = await own.toClient(browser, own.request(client).url)
      expect([...back.searchParams]).toEqual([
        ...kept,
        ['code', expect.stringMatching(/^[\w-]{43}$/)],
        ['state', 'client state'],
        ['iss', ORIGIN],
      ])
      const silent = await browser.get(own.request(client, { prompt: 'none' }).url)
      const described = ['error_description', expect.any(String)]
      expect(queryOf(silent)).toEqual([
        ...kept,
        ['error', 'interaction_required'],
        described,
        ['state', 'client state'],
        ['iss', ORIGIN],
      ])
      // Without a state there is none, not the one that was there.
      const stateless = await browser.get(own.request(client, { prompt: 'none', state: undefined }).url)
      expect(queryOf(stateless)).toEqual([...kept, ['error', 'interaction_required'], described, ['iss', ORIGIN]])
      const { fields } = await own.toConsent(browser, own.request(client).url)
      const denied = await browser.submit('/consent', { ...fields, action: 'deny' })
      expect(queryOf(denied)).toEqual([
        ...kept,
        ['error', 'access_denied'],
        described,
        ['state', 'client state'],
        ['iss', ORIGIN],
      ])
    } finally {
      await own.close()
    }
  })

  test('T17 no address without parameters of its own gets others than the answer’s', async () => {
    for (const uri of ['com.example.app:/callback', 'http://localhost:3000', CLAUDE, 'http://localhost/callback?']) {
      const client = await proxy.register({ redirect_uris: [uri] })
      const response = await proxy.browser().get(proxy.request(client, { prompt: 'none' }).url)
      expect(Object.keys(handedBack(response, uri))).toEqual(['error', 'error_description', 'state', 'iss'])
    }
  })
})

describe('for every text there is', () => {
  const bits = fc.constantFrom(
    ...KNOWN,
    ...EVIL.map(([, uri]) => uri.slice(0, 100)),
    ...'http https javascript cursor com.example.app : / // \\ @ ? # % . .. *'.split(' '),
    ...'localhost 127.0.0.1 [::1] claude.ai evil.example :1 :80 :443 user %2e %40 %5c %00'.split(' '),
    ..."' [ ] ; , & = ! $".split(' '),
    ...Array.from(' \t\n\0。／\u200Béﬁ'),
  )
  const pieced = fc.array(bits, { minLength: 1, maxLength: 5 }).map((all) => all.join(''))
  const bent = fc
    .tuple(fc.constantFrom(...KNOWN, ...ELSEWHERE), fc.nat(80), fc.nat(3), bits)
    .map(([uri, at, drop, bit]) => uri.slice(0, at) + bit + uri.slice(at + drop))
  const texts = fc.oneof(
    { weight: 4, arbitrary: bent },
    { weight: 2, arbitrary: pieced },
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
    fc.string({ unit: 'binary' }),
  )
  const some = { numRuns: 5000 }

  const plain = createRedirectPolicy([])
  const wide = createRedirectPolicy(['*'])
  const webHosts = new Set(KNOWN.filter((uri) => uri.startsWith('https:')).map((uri) => new URL(uri).host))
  const isThisMachine = (host: string) => /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(host)

  const isProgram = (protocol: string) =>
    /^(?:cursor|vscode|vscode-insiders|claude|zed|[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+):$/.test(protocol)
  const isPublic = (name: string) => isIP(name) === 0 && /^[^[\]]+\.(?!local(?:host)?$|internal$)[^[\].]+$/.test(name)

  function mayBe(protocol: string, hostname: string, host: string, isWide: boolean): boolean {
    if (protocol === 'http:') return isThisMachine(hostname)
    return protocol === 'https:' ? webHosts.has(host) || (isWide && isPublic(hostname)) : isProgram(protocol)
  }

  test('T15 what is allowed is sent where it says: an allowed host, this machine, or a program', () => {
    fc.assert(
      fc.property(texts, (text) => {
        for (const [policy, isWide] of [
          [plain, false],
          [wide, true],
        ] as const) {
          if (!policy.allows(text)) continue
          const { protocol, hostname, host, username, password, hash, href } = new URL(text)
          expect([username, password, hash]).toEqual(['', '', ''])
          // What a browser makes of it is what is written, but for the slash of a path that is not.
          expect([text, text.replace(/^(https?:\/\/[^/?]*)(?=\?|$)/, '$1/')]).toContain(href)
          expect(mayBe(protocol, hostname, host, isWide)).toBe(true)
          expect(destinationOf(text).host).toBe(/^https?:$/.test(protocol) ? hostname : `${protocol}//`)
        }
      }),
      some,
    )
  })

  test('T13 what matches a registered address goes to the same place', () => {
    fc.assert(
      fc.property(fc.constantFrom(...KNOWN, ...ELSEWHERE), texts, (registered, text) => {
        if (!isRegistered(registered, text)) return
        const [known, asked] = [new URL(registered), new URL(text)]
        for (const part of ['protocol', 'hostname', 'pathname', 'search', 'hash', 'username', 'password'] as const) {
          expect(asked[part]).toBe(known[part])
        }
        if (asked.port === known.port) return
        expect([known.protocol, isThisMachine(known.hostname)]).toEqual(['http:', true])
      }),
      some,
    )
  })

  test('T15 what is refused at registration never matches', () => {
    fc.assert(
      fc.property(texts, fc.constantFrom(...KNOWN), (text, registered) => {
        if (plain.allows(text)) return
        expect(isRegistered(registered, text)).toBe(false)
      }),
      some,
    )
    for (const uri of [...EVIL.map(([, evil]) => evil), ...ELSEWHERE, ...INSIDE]) {
      for (const registered of KNOWN) expect(isRegistered(registered, uri)).toBe(false)
    }
  })

  test('T17 each parameter of an answer is there exactly once, whatever was there before', () => {
    const names = ['code', 'state', 'iss', 'error', 'error_description', 'error_uri']
    const name = fc.constantFrom(...names, 'keep', 'Code', '__proto__', '?code', '&', '', 'c', 'code[]')
    const escaped = (text: string, every: boolean) =>
      every
        ? Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
        : encodeURIComponent(text)
    const pair = fc
      .tuple(name, fc.constantFrom('', '=', '=1', '==', '=a+b', '=%26code%3D1', '=%zz', '=%C3%A9'), fc.boolean())
      .map(([text, value, every]) => escaped(text, every) + value)
    const answers = fc.record(
      {
        code: fc.string(),
        state: fc.string({ unit: 'grapheme' }),
        iss: fc.constant(ORIGIN),
        error: fc.string(),
        error_description: fc.string(),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(
        fc.constantFrom(LOOPBACK, CLAUDE, 'com.example.app:/x', 'http://localhost'),
        fc.array(pair, { maxLength: 6 }),
        answers,
        (base, pairs, answer) => {
          const query = pairs.join('&')
          const location = withParameters(query === '' ? base : `${base}?${query}`, answer)
          expect(location.startsWith(`${base}?`)).toBe(true)
          expect(location).toMatch(/^[\x21-\x7e]*$/)
          const [before, after] = [new URLSearchParams(`?${query}`), new URL(location).searchParams]
          for (const owned of names) {
            const given = (answer as Record<string, string | undefined>)[owned]
            expect(after.getAll(owned)).toEqual(given === undefined ? [] : [given])
          }
          const others = (search: URLSearchParams) => [...search].filter(([key]) => !names.includes(key))
          expect(others(after)).toEqual(others(before))
        },
      ),
      some,
    )
  })

  test('T15 no redirect leaves the host that was allowed', () => {
    fc.assert(
      fc.property(texts, fc.string(), (text, state) => {
        if (!wide.allows(text)) return
        const [before, after] = [new URL(text), new URL(withParameters(text, { code: 'x', state, iss: ORIGIN }))]
        for (const part of ['protocol', 'host', 'pathname', 'hash', 'username', 'password'] as const) {
          expect(after[part]).toBe(before[part])
        }
      }),
      some,
    )
  })
})
