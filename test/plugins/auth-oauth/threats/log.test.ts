import { createHmac } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createKeys } from '../../../../core/keys.ts'
import { createLogger } from '../../../../core/logger.ts'
import { SourceError } from '../../../../plugins/auth-oauth/index.ts'
import { codeFields, ORIGIN, type OAuthProxyOptions, type Tokens } from '../../../fixtures/oauth/proxy.ts'
import { ALICE, BOB, ISSUER } from '../../../fixtures/oauth/source.ts'
import { callTool, modernRequest, openTools, withToken, type ToolProxy } from '../../../fixtures/oauth/tools.ts'
import { openLegacy } from '../../../harness.ts'

const SECRET = 'canary-of-the-secret-that-everything-hangs-on'
const RESOURCE = `${ORIGIN}/mcp`
const FORM = 'application/x-www-form-urlencoded'
const STATIC = {
  id: 'typed-in',
  secret: 'canary-of-a-typed-in-secret',
  redirectUris: ['https://claude.ai/api/mcp/auth_callback'],
}
const USERS = Object.fromEntries(
  [ALICE, BOB].map(({ identity }) => [identity.email, { name: identity.name, roles: [], allowed_tools: ['*'] }]),
)
const MALLORY = {
  identity: {
    issuer: ISSUER,
    subject: 'idp|mallory',
    email: 'mallory@example.com',
    emailVerified: true,
    name: 'Mallory',
  },
  kept: { token: 'canary-upstream-of-mallory' },
}
const keptBy = (name: string, count = 0) => ({ token: `canary-upstream-of-${name}-${count}` })

/** An answer of the proxy, whole. */
interface Told {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly location: string
  body: string
}

interface Story {
  readonly proxy: ToolProxy
  /** Everything written to the log, line by line. */
  readonly lines: string[]
  readonly told: Told[]
  /** Waits for whole bodies. */
  settled(): Promise<unknown>
}

let story: Story
afterEach(() => story.proxy.close())

async function open(format: 'json' | 'pretty', given: OAuthProxyOptions = {}): Promise<Story> {
  const lines: string[] = []
  const stream = { isTTY: false, write: (text: string | Uint8Array) => lines.push(String(text)) > 0 }
  const proxy = await openTools({
    users: USERS,
    logger: createLogger({ level: 'trace', format, stream }),
    env: { MCP_SECRET: SECRET },
    options: { clients: [STATIC] },
    ...given,
  })
  const told: Told[] = []
  const bodies: Promise<unknown>[] = []
  const { fetch: answer } = proxy.kernel
  Object.assign(proxy.kernel, {
    async fetch(request: Request) {
      const response = await answer(request)
      const headers = [...response.headers]
      const seen: Told = {
        method: request.method,
        path: new URL(request.url).pathname,
        status: response.status,
        headers,
        location: response.headers.get('location') ?? '',
        body: '',
      }
      told.push(seen)
      const copy = response.clone()
      bodies.push(copy.text().then((text) => (seen.body = text)))
      return response
    },
  })
  story = { proxy, lines, told, settled: () => Promise.all(bodies) }
  return story
}

/** A secret of the story, and the answers that may hold it. */
interface Canary {
  readonly value: string
  readonly mayBeIn: (told: Told) => boolean
}

const nowhere = (): boolean => false
const at =
  (method: string, path: string, status: number) =>
  (told: Told): boolean =>
    told.method === method && told.path === path && told.status === status

/** Both tokens of a response, and the parts of them that nobody could make. */
function tokenCanaries(
  name: string,
  { access_token: access, refresh_token: refresh = '' }: Tokens,
): Record<string, Canary> {
  const mayBeIn = at('POST', '/token', 200)
  return {
    [`access token ${name}`]: { value: access, mayBeIn },
    [`signature of access token ${name}`]: { value: access.split('.')[2] ?? '', mayBeIn },
    [`refresh token ${name}`]: { value: refresh, mayBeIn },
    [`mac of refresh token ${name}`]: { value: refresh.split('.')[3] ?? '', mayBeIn },
  }
}

/** Everything that can be done with the proxy, right and wrong. Resolves every secret that was in it. */
async function live({ proxy }: Story): Promise<Record<string, Canary>> {
  const { source } = proxy
  const canaries: Record<string, Canary> = {}
  const note = (name: string, value: string | undefined, mayBeIn: Canary['mayBeIn'] = nowhere): void => {
    if (value === undefined || value.length < 10) throw new Error(`no canary: ${name}`)
    canaries[name] = { value, mayBeIn }
  }
  const post = (path: string, body: string, type = FORM, headers: Record<string, string> = {}) =>
    proxy.fetch(`${ORIGIN}${path}`, { method: 'POST', headers: { 'content-type': type, ...headers }, body })
  const form = (path: string, fields: Record<string, string>, headers?: Record<string, string>) =>
    post(path, new URLSearchParams(fields).toString(), FORM, headers)
  let refreshes = 0
  const alice = { ...ALICE, kept: keptBy('alice') }
  source.who = () => alice
  source.again = () => ({ ...ALICE, kept: keptBy('alice', ++refreshes) })
  note('secret', SECRET)
  note('secret of a typed-in client', STATIC.secret)
  for (const key of createKeys([SECRET]).subKeys('jwt')) note('signing key', Buffer.from(key.key).toString('base64url'))

  // Register with a secret, log in, exchange the code.
  const client = await proxy.register({ token_endpoint_auth_method: 'client_secret_basic', client_name: 'Canary Test' })
  note('client secret', client.client_secret, at('POST', '/register', 201))
  const browser = proxy.browser()
  const state = 'canary-state-of-the-client'
  const { url, verifier } = proxy.request(client, { state })
  note('verifier', verifier)
  note('client state', state, at('GET', '/auth/callback', 303))
  const { fields, url: consentUrl } = await proxy.toConsent(browser, url)
  note('csrf', fields.csrf, at('GET', '/consent', 200))
  note('consent cookie', [...browser.cookies.values()][0], at('GET', '/consent', 200))
  await browser.submit('/consent', { ...fields, csrf: 'canary-csrf-of-somebody-else', action: 'approve' })
  note('wrong csrf', 'canary-csrf-of-somebody-else')
  await browser.submit('/consent', { ...fields, action: 'approve' }, { origin: 'https://canary-origin.example' })
  await browser.submit('/consent', { ...fields, action: 'maybe' })
  const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
  const away = new URL(approved.headers.get('location') ?? '').searchParams.get('state') ?? ''
  note('state at the source', away, at('POST', '/consent', 303))
  note('departure cookie', [...browser.cookies.values()].at(-1), at('POST', '/consent', 303))
  await browser.get(consentUrl)
  note('code of the source', 'canary-code-of-the-source')
  const back = await browser.get(`/auth/callback?state=${away}&code=canary-code-of-the-source`)
  const code = new URL(back.headers.get('location') ?? '').searchParams.get('code') ?? ''
  note('code', code, at('GET', '/auth/callback', 303))
  await browser.get(`/auth/callback?state=${away}&code=canary-code-of-the-source`)

  // Redeem it: in every wrong way, then in the right one, then again.
  const { client_id: id, client_secret: secret = '' } = client
  const basic = { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
  note('client secret as it is sent', basic.authorization.slice('Basic '.length))
  const { client_id: _id, client_secret: _secret, ...whole } = codeFields({ client, code, verifier })
  const wrong = 'canary-verifier-that-is-wrong-and-long-enough-to-be-one'
  note('wrong verifier', wrong)
  note('wrong secret', 'canary-secret-that-is-wrong')
  note('unknown code', 'canary-code-that-nobody-made')
  await form('/token', { ...whole, code_verifier: wrong }, basic)
  await form('/token', { ...whole, code_verifier: `${verifier}!` }, basic)
  await form('/token', { ...whole, client_id: id, client_secret: 'canary-secret-that-is-wrong' })
  await form('/token', { ...whole, client_id: id, client_secret: secret }, basic)
  await form('/token', { ...whole, client_id: secret })
  await form('/token', whole, { authorization: `Basic ${Buffer.from(`:${secret}`).toString('base64')}` })
  await form('/token', whole, { authorization: `Bearer ${secret}` })
  await form('/token', { ...whole, code: 'canary-code-that-nobody-made' }, basic)
  await form('/token', { ...whole, redirect_uri: 'https://canary.example/?secret=canary-code-that-nobody-made' }, basic)
  await form('/token', { ...whole, resource: `https://canary.example/${code}` }, basic)
  await form('/token', { ...whole, grant_type: verifier }, basic)
  await form(`/token?code=${code}&client_secret=${secret}`, whole, basic)
  await post('/token', JSON.stringify(whole), 'application/json', basic)
  await post('/token', `${new URLSearchParams(whole).toString()}&code=${code}`, FORM, basic)
  await post('/token', `code=${code}&${'x'.repeat(20_000)}`, FORM, basic)
  await proxy.fetch(`${ORIGIN}/token?code=${code}`, { headers: basic })
  const redeemed = await form('/token', whole, basic)
  expect(redeemed.status).toBe(200)
  const first = (await redeemed.json()) as Tokens
  Object.assign(canaries, tokenCanaries('first', first))

  // Use it, well and badly, in both eras.
  const token = first.access_token
  const fetcher = withToken(proxy, token)
  for (const name of ['echo', 'fail', 'never']) await (await callTool(proxy, token, name)).text()
  note('argument of a call', 'canary-argument-of-a-call')
  const argued = { name: 'in_echo', arguments: { password: 'canary-argument-of-a-call' } }
  await (await fetcher(RESOURCE, modernRequest('tools/call', argued))).text()
  const wire = await openLegacy(RESOURCE, '2025-11-25', fetcher)
  note('session id', wire.sessionId, at('POST', '/mcp', 200))
  for (const name of ['in_echo', 'in_fail', 'in_never']) await wire.request('tools/call', { name, arguments: {} })
  await wire.post({ jsonrpc: '2.0', id: 1, method: 'nonsense', params: { token } })
  await wire.post({ nonsense: token })
  await fetcher(RESOURCE, { headers: { 'mcp-session-id': `${wire.sessionId}x` } })
  await fetcher(RESOURCE, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"token": "${token}`,
  })
  await fetcher(RESOURCE, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: token })
  await fetcher(RESOURCE, { method: 'PUT' })
  await fetcher(RESOURCE, { method: 'DELETE', headers: { 'mcp-session-id': wire.sessionId } })
  await proxy.mcp()
  await proxy.mcp(token.slice(0, -1))
  await proxy.mcp(first.refresh_token)
  await proxy.mcp(undefined, { authorization: `Basic ${token}` })
  await proxy.mcp(undefined, { authorization: `Bearer ${token} ${token}` })
  await proxy.mcp(token, { origin: `https://evil.example` })
  await proxy.mcp(token, { host: 'evil.example' })
  await proxy.fetch(`${RESOURCE}?access_token=${token}`, modernRequest('tools/list'))
  await proxy.fetch(`${RESOURCE}/${token}?code=${code}`)
  await proxy.fetch(`${ORIGIN}/%zz/${token}`)
  await proxy.fetch(`${ORIGIN}/healthz?access_token=${token}`)

  // Refresh: at once, again in time, with every mistake, while the source fails.
  const refresh = (value: string, more: Record<string, string> = {}, headers: Record<string, string> = basic) =>
    form('/token', { grant_type: 'refresh_token', refresh_token: value, ...more }, headers)
  const old = first.refresh_token ?? ''
  const second = (await (await refresh(old)).json()) as Tokens
  Object.assign(canaries, tokenCanaries('second', second))
  const replayed = (await (await refresh(old)).json()) as Tokens
  Object.assign(canaries, tokenCanaries('replayed', replayed))
  await refresh(`${old.slice(0, -4)}AAAA`)
  await refresh(`mrt1.${'A'.repeat(22)}.0.${old.split('.')[3]}`)
  await refresh(token)
  await refresh(old, { scope: `mcp:use ${old}` })
  await refresh(old, {}, { authorization: `Basic ${Buffer.from(`${id}:wrong${secret}`).toString('base64')}` })
  const other = await proxy.register()
  await refresh(old, { client_id: other.client_id }, {})
  const again = source.again
  const failures = ['denied', 'ended', 'unavailable', 'misconfigured'] as const
  for (const failure of failures.filter((kind) => kind === 'unavailable' || kind === 'misconfigured')) {
    source.again = () => Promise.reject(new SourceError(failure, `the source said ${failure}`))
    expect((await refresh(second.refresh_token ?? '')).status).toBe(503)
  }
  source.again = () => Promise.reject(new TypeError('the source broke'))
  expect((await refresh(second.refresh_token ?? '')).status).toBe(503)
  source.again = again
  const third = (await (await refresh(second.refresh_token ?? '')).json()) as Tokens
  Object.assign(canaries, tokenCanaries('third', third))
  await form('/token', whole, basic)
  expect((await proxy.mcp(third.access_token)).status).toBe(401)

  // Reuse long after: the login ends.
  const reused = await proxy.tokens(other)
  Object.assign(canaries, tokenCanaries('reused', reused.tokens))
  const successor = (await (await proxy.refresh(other, reused.tokens.refresh_token)).json()) as Tokens
  Object.assign(canaries, tokenCanaries('successor', successor))
  proxy.pass(61_000)
  expect((await proxy.refresh(other, reused.tokens.refresh_token)).status).toBe(400)

  // Revoke: wrongly, then rightly; the source cannot be told.
  source.revoke = () => Promise.reject(new Error('the source is not there'))
  const revoked = await proxy.tokens(other)
  Object.assign(canaries, tokenCanaries('revoked', revoked.tokens))
  note('unknown token', 'canary-token-that-nobody-made')
  await form('/revoke', { token: 'canary-token-that-nobody-made', client_id: other.client_id })
  await form('/revoke', { token: revoked.tokens.access_token, ...STATIC_WRONG })
  await form('/revoke', { token: revoked.tokens.access_token }, basic)
  await form('/revoke', { token: revoked.tokens.access_token, client_id: other.client_id })
  expect((await proxy.mcp(revoked.tokens.access_token)).status).toBe(401)

  // Refused by the person, by the list, by the source.
  const deny = async () => {
    const page = proxy.browser()
    const shown = await proxy.toConsent(page, proxy.request(other, { state }).url)
    note('csrf of a denied consent', shown.fields.csrf, at('GET', '/consent', 200))
    await page.submit('/consent', { ...shown.fields, action: 'deny' })
  }
  canaries['client state'] = {
    value: state,
    mayBeIn: (told) =>
      at('GET', '/auth/callback', 303)(told) || at('POST', '/consent', 303)(told) || at('GET', '/authorize', 303)(told),
  }
  await deny()
  source.who = () => MALLORY
  await proxy.toClient(proxy.browser(), proxy.request(other, { state }).url)
  for (const failure of failures) {
    source.who = () =>
      Promise.reject(new SourceError(failure, `the source said ${failure}`, { error: 'canary_of_an_error_code' }))
    await proxy.toClient(proxy.browser(), proxy.request(other, { state }).url)
  }
  note('error code of the source', 'canary_of_an_error_code')
  source.who = () => Promise.reject(new TypeError('the source broke'))
  await proxy.toClient(proxy.browser(), proxy.request(other, { state }).url)
  source.who = () => alice
  const foreign = proxy.browser()
  const shown = await proxy.toConsent(foreign, proxy.request(other).url)
  const gone = await foreign.submit('/consent', { ...shown.fields, action: 'approve' })
  const lost = new URL(gone.headers.get('location') ?? '').searchParams.get('state') ?? ''
  note('state of a lost login', lost, at('POST', '/consent', 303))
  await proxy.browser().get(`/auth/callback?state=${lost}&code=canary-code-of-the-source`)
  await proxy.browser().get('/auth/callback?state=canary-state-that-nobody-made&code=canary-code-of-the-source')
  note('unknown state', 'canary-state-that-nobody-made')
  const place = source.place
  source.place = () => Promise.reject(new Error('the source has no address'))
  const begun = proxy.browser()
  const stuck = await proxy.toConsent(begun, proxy.request(other, { state }).url)
  await begun.submit('/consent', { ...stuck.fields, action: 'approve' })
  source.place = place

  // Requests to authorize and to register that are wrong.
  const asked = proxy.browser()
  const query = (more: Record<string, string | undefined>) => proxy.request(other, { state, ...more }).url
  for (const more of [
    { client_id: 'canary-client-that-nobody-made' },
    { redirect_uri: 'https://canary.example/?secret=canary-in-a-redirect' },
    { code_challenge_method: 'plain', code_challenge: 'canary-challenge-that-is-plain' },
    { response_type: 'token' },
    { resource: 'https://canary.example/canary-in-a-resource' },
    { request: 'canary-of-a-request-object' },
    { request_uri: 'https://canary.example/canary-of-a-request-uri' },
    { scope: 'canary-of-a-"scope"' },
    { prompt: 'none' },
    { state: `canary-of-a-long-state${'x'.repeat(3000)}` },
  ])
    await asked.get(query(more))
  await asked.get(`${query({})}&state=canary-of-a-second-state`)
  for (const [name, value] of Object.entries({
    'query of a redirect': 'canary-in-a-redirect',
    'plain challenge': 'canary-challenge-that-is-plain',
    'request object': 'canary-of-a-request-object',
    request_uri: 'canary-of-a-request-uri',
    'second state': 'canary-of-a-second-state',
  }))
    note(name, value)
  for (const body of [
    '{"client_secret": "canary-of-a-wished-secret"',
    { redirect_uris: 'canary-of-a-wished-secret' },
    { redirect_uris: ['http://evil.example/?secret=canary-of-a-wished-secret'] },
    { redirect_uris: ['http://localhost/'], client_name: 7, client_secret: 'canary-of-a-wished-secret' },
    { redirect_uris: ['http://localhost/'], software_statement: 'canary-of-a-wished-secret' },
    {
      redirect_uris: ['http://localhost/?secret=canary-of-a-redirect-query'],
      client_secret: 'canary-of-a-wished-secret',
    },
    { redirect_uris: ['http://localhost/'], pad: 'canary-of-a-wished-secret'.repeat(1000) },
  ])
    await proxy.registerRaw(body)
  note('wished secret', 'canary-of-a-wished-secret')
  note('query of a registered redirect', 'canary-of-a-redirect-query', at('POST', '/register', 201))
  await post('/register', 'canary-of-a-wished-secret', 'text/plain')

  // A user is taken off the list, and a token is made with another key.
  const bob = { ...BOB, kept: keptBy('bob') }
  source.who = () => bob
  source.revoke = async () => {}
  const removed = await proxy.tokens(other)
  Object.assign(canaries, tokenCanaries('removed', removed.tokens))
  const { [String(BOB.identity.email)]: _bob, ...rest } = USERS
  await writeFile(join(proxy.dataDir, 'users.json'), JSON.stringify(rest))
  await vi.waitFor(async () => expect((await proxy.mcp(removed.tokens.access_token)).status).toBe(401), {
    timeout: 20_000,
    interval: 100,
  })
  const [head, claims] = removed.tokens.access_token.split('.')
  await proxy.mcp(`${head}.${claims}.${createHmac('sha256', 'x').update('canary').digest('base64url')}`)

  for (const kept of [keptBy('alice'), keptBy('alice', 1), keptBy('alice', 2), keptBy('bob'), MALLORY.kept])
    note(`upstream ${kept.token}`, kept.token)
  return canaries
}

const STATIC_WRONG = { client_id: STATIC.id, client_secret: 'canary-secret-that-is-wrong' }

describe.each(['json', 'pretty'] as const)('T39 whole story, log as %s', (format) => {
  test(`T39 whole story, log as ${format}: no secret in any line, answer, page or address but where it belongs; no-store throughout`, async () => {
    const { lines, told, settled } = await open(format)
    const canaries = await live(story)
    await story.proxy.kernel.close()
    await settled()
    const log = lines.join('')
    // The story has been told: what is looked through is not empty.
    expect(lines.length).toBeGreaterThan(80)
    expect(Object.keys(canaries).length).toBeGreaterThan(60)
    expect(told.length).toBeGreaterThan(120)
    for (const status of [200, 201, 303, 400, 401, 403, 404, 405, 413, 415, 421, 503])
      expect(told.map((one) => one.status)).toContain(status)

    const found = Object.entries(canaries).flatMap(([name, { value, mayBeIn }]) => [
      ...lines.filter((line) => line.includes(value)).map((line) => `log: ${name}: ${line}`),
      ...told
        .filter(
          (one) => !mayBeIn(one) && [one.location, one.body, JSON.stringify(one.headers)].join('\n').includes(value),
        )
        .map(({ method, path, status }) => `answer: ${name}: ${method} ${path} ${status}`),
    ])
    expect(found).toEqual([])
    // And the other way round: each that an answer had to have was found there.
    for (const name of [
      'access token first',
      'refresh token third',
      'client secret',
      'code',
      'csrf',
      'departure cookie',
    ]) {
      const { value = '', mayBeIn } = canaries[name] ?? {}
      const places = told.filter((one) => mayBeIn?.(one) && JSON.stringify(one).includes(value))
      expect([name, places.length > 0]).toEqual([name, true])
    }
    expect(log).not.toMatch(/eyJ[\w-]{10,}\.|mrt1\.|Bearer [\w-]{8,}|Basic [\w+/]{8,}/)

    const kept = told.filter(({ headers, method, path, status }) => {
      if (method === 'OPTIONS' || path.startsWith('/.well-known/')) return false
      const control = headers.find(([name]) => name === 'cache-control')?.[1]
      // What answers a POST or a DELETE is kept only where it says for how long (RFC 9110 §9.2.3, RFC 9111 §3).
      if (path === '/mcp' && method !== 'GET' && status < 300) return control !== undefined
      return control !== 'no-store'
    })
    expect(kept.map(({ method, path, status }) => `${method} ${path} ${status}`)).toEqual([])
    const referring = told.filter(
      ({ headers, location }) => location !== '' && !JSON.stringify(headers).includes('no-referrer'),
    )
    expect(referring).toEqual([])
  })
})

describe('T104', () => {
  interface Line {
    readonly level: string
    readonly tag?: string
    readonly message: string
    readonly event?: string
    readonly [field: string]: unknown
  }

  /** The story; its events, and who is called what. */
  async function events(given: OAuthProxyOptions = {}) {
    const { lines } = await open('json', given)
    await live(story)
    await story.proxy.kernel.close()
    const records = lines.map((line) => JSON.parse(line) as Line)
    return { lines, records, of: (event: string) => records.filter((record) => record.event === event) }
  }

  test('T104 login, refusals, reuse and ends → an event each, with user and client; calls carry their user', async () => {
    const { records, of } = await events({ config: { log: { level: 'trace' } } })
    const client = expect.stringMatching(/^mcp_[\w-]{22}$/)
    const login = expect.stringMatching(/^[\w-]{22}$/)
    const [alice, bob] = ['alice@example.com', 'bob@example.com']
    expect(records.every(({ level, message }) => level !== '' && message !== '')).toBe(true)
    expect(of('client-registered')).toMatchObject([
      { level: 'info', tag: 'auth-scripted', client, redirect: 'http://localhost:3000/callback' },
      { client },
      { client, redirect: 'http://localhost/' },
    ])
    expect(of('login')).toMatchObject([
      { level: 'info', tag: 'auth-scripted', user: alice, client, clientName: 'Canary Test', login },
      ...[alice, alice, bob].map((user) => ({ level: 'info', user, client, clientName: 'Test Client', login })),
    ])
    expect(of('consent-denied')).toMatchObject([{ level: 'info', client }])
    expect(of('login-refused')).toMatchObject([{ level: 'warn', user: 'mallory@example.com', client }])
    expect(of('login-failed').map(({ level, client: via }) => [level, via])).toEqual(
      Array.from({ length: 5 }, () => ['warn', client]),
    )
    expect(of('login-unbound')).toMatchObject([{ level: 'warn', client }])
    expect(of('refresh-reuse')).toMatchObject([{ level: 'warn', user: alice, client, login }])
    expect(of('login-ended')).toMatchObject([
      { level: 'info', user: alice, client, login, message: expect.stringContaining('redeemed twice') },
      { user: alice, client, login, message: expect.stringContaining('used again') },
      { user: alice, client, login, message: expect.stringContaining('revoked') },
      { user: bob, client, login, message: expect.stringContaining('not on the list') },
    ])
    expect(of('user-removed')).toMatchObject([{ level: 'info', tag: 'access-users', user: bob }])
    // Each end is that of a login, and of the same person through the same client.
    for (const { user, client: via, login: id } of of('login-ended'))
      expect(of('login')).toContainEqual(expect.objectContaining({ user, client: via, login: id }))

    const calls = records.filter(({ message }) => message.startsWith('tools/call'))
    expect(calls.map(({ message, error }) => [message, error])).toEqual([
      ['tools/call in_echo', undefined],
      ['tools/call in_fail', -32000],
      ['tools/call in_never', -32602],
      ['tools/call in_echo', undefined],
      ['tools/call in_echo', undefined],
      ['tools/call in_fail', -32000],
      ['tools/call in_never', -32602],
    ])
    for (const call of calls)
      expect(call).toMatchObject({
        level: 'info',
        user: alice,
        client,
        request: expect.any(String),
        ms: expect.any(Number),
      })
    const lists = records.filter(({ message }) => message.startsWith('tools/list'))
    expect(lists.length).toBeGreaterThan(0)
    for (const list of lists) expect(list).toMatchObject({ level: 'debug', client, user: expect.stringContaining('@') })
  })

  test('T104 MCP_LOG_USER=hash → no e-mail address and no name of a person in any line; the same pseudonym for the same person', async () => {
    const { lines, records, of } = await events({ config: { log: { user: 'hash', level: 'trace' } } })
    expect(lines.filter((line) => /alice|bob|mallory|@example|%40example|idp\|/i.test(line))).toEqual([])
    const users = of('login').map(({ user }) => user)
    expect(users).toEqual(users.map(() => expect.stringMatching(/^[\w-]{16}$/)))
    const [alice, second, third, bob] = users
    expect([second, third]).toEqual([alice, alice])
    expect(bob).not.toBe(alice)
    expect(of('refresh-reuse')).toMatchObject([{ user: alice }])
    expect(of('login-ended').map(({ user }) => user)).toEqual([alice, alice, alice, bob])
    expect(of('login-refused')).toMatchObject([{ user: expect.stringMatching(/^[\w-]{16}$/) }])
    const calls = records.filter(({ message }) => message.startsWith('tools/call'))
    expect(calls.map(({ user }) => user)).toEqual(calls.map(() => alice))
    expect(calls).toHaveLength(7)
  })

  test('T104 log for people → the same fields behind the text', async () => {
    const { lines } = await open('pretty')
    await live(story)
    const about = (event: string) => lines.filter((line) => line.includes(`event=${event} `))
    expect(about('login')).toHaveLength(4)
    for (const line of [
      ...about('login'),
      ...about('login-refused'),
      ...about('refresh-reuse'),
      ...about('login-ended'),
    ])
      expect(line).toMatch(
        /^\d\d:\d\d:\d\d (?:INFO |WARN ) \[auth-scripted\] .* user=\w+@example\.com client=mcp_[\w-]{22}/,
      )
    const calls = lines.filter((line) => line.includes('tools/call '))
    expect(calls).toHaveLength(7)
    for (const line of calls) expect(line).toMatch(/ INFO {2}tools\/call in_\w+ user=alice@example\.com client=mcp_/)
  })
})
