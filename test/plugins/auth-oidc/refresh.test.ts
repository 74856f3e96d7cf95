import { expect, test, vi } from 'vitest'
import { CLIENT_ID } from '../../fixtures/oidc/configuration.ts'
import { oidcEnv, type OidcProxy, type ProxyOptions } from '../../fixtures/oidc/proxy.ts'
import type { IdentityProvider } from '../../fixtures/oidc/provider.ts'
import type { LoggedIn, Tokens } from '../../fixtures/oidc/site.ts'
import { createStage, discreet, eventually } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

async function open(options: ProxyOptions = {}): Promise<{ idp: IdentityProvider; proxy: OidcProxy; login: LoggedIn }> {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp), ...options })
  return { idp, proxy, login: await proxy.login() }
}

async function answers(response: Response, status: number, error: string): Promise<void> {
  expect(response.status).toBe(status)
  expect(await response.json()).toMatchObject({ error })
}

/** Refreshes, and gives up as after 8 s, the provider's answer still outstanding; resolves how to let it come. */
async function giveUp(idp: IdentityProvider, proxy: OidcProxy, login: LoggedIn): Promise<() => void> {
  let answer = (): void => {}
  const late = new Promise<void>((resolve) => (answer = resolve))
  idp.knobs.rewrite.token = () => late
  const patience = new AbortController()
  const real = AbortSignal.timeout.bind(AbortSignal)
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => (ms === 8000 ? patience.signal : real(ms)))
  try {
    const waiting = proxy.refresh(login)
    await eventually('the request', () => spy.mock.calls.some(([ms]) => ms === 20_000))
    patience.abort()
    await answers(await waiting, 503, 'temporarily_unavailable')
  } finally {
    spy.mockRestore()
  }
  return answer
}

for (const rotation of ['none', 'strict', 'overlap'] as const) {
  test(`the provider’s refresh tokens rotate like this: ${rotation}; ten refreshes in a row, each asked there once`, async () => {
    const { idp, proxy, login } = await open()
    idp.knobs.rotation = rotation
    let current = login
    for (let refreshes = 1; refreshes <= 10; refreshes++) {
      const next = await proxy.renewed(current)
      expect(next.tokens.refresh_token).not.toBe(current.tokens.refresh_token)
      expect((await proxy.mcp(next)).status).toBe(200)
      expect(idp.count('token', 'refresh_token')).toBe(refreshes)
      current = next
    }
    discreet(proxy, idp)
  })

  test(`eight refreshes at once with rotation ${rotation}: all succeed, one refresh token, the provider is asked once`, async () => {
    const { idp, proxy, login } = await open()
    idp.knobs.rotation = rotation
    const responses = await Promise.all(Array.from({ length: 8 }, () => proxy.refresh(login)))
    expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200))
    const all = (await Promise.all(responses.map((response) => response.json()))) as Tokens[]
    expect(new Set(all.map(({ refresh_token }) => refresh_token)).size).toBe(1)
    expect(idp.count('token', 'refresh_token')).toBe(1)
    expect((await proxy.mcp(await proxy.renewed({ ...login, tokens: all[0]! }))).status).toBe(200)
  })
}

test('no refresh token from the provider: none from us, the token is bound to the provider’s, and one line says what to do', async () => {
  const idp = await stage.provider()
  Object.assign(idp.knobs, { offline: false, accessTokenLife: 600 })
  const proxy = await stage.proxy(idp, { settings: {} })
  const login = await proxy.login()
  expect(login.tokens.refresh_token).toBeUndefined()
  expect(login.tokens.expires_in).toBeLessThanOrEqual(600)
  expect(login.tokens.expires_in).toBeGreaterThan(500)
  await proxy.login({ account: 'bob' })
  expect(proxy.said(/gave no refresh token/, 'warn').map(({ text }) => text)).toEqual([
    'Auth0 gave no refresh token, so logins end after 600 s: let this client have refresh tokens there (scope offline_access)',
  ])
  expect((await proxy.mcp(login)).status).toBe(200)
  proxy.pass(601_000)
  expect((await proxy.mcp(login)).status).toBe(401)
  // It comes with its log-out: there is nothing to tell the provider.
  expect((await proxy.revoke(login)).status).toBe(200)
  expect(proxy.said(/could not be told/)).toEqual([])
})

test('no refresh token where none was asked for is nothing to warn of', async () => {
  const idp = await stage.provider()
  idp.knobs.offline = false
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp, { OIDC_SCOPES: 'openid email' }) })
  await proxy.login()
  expect(proxy.said(/gave no refresh token/, 'debug')).toHaveLength(1)
  expect(proxy.said(/./, 'warn', 'error')).toEqual([])
})

test('the end of a login without a refresh token tells the provider nothing, and says nothing', async () => {
  const idp = await stage.provider()
  idp.knobs.offline = false
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const login = await proxy.login()
  expect((await proxy.revoke(login)).status).toBe(200)
  expect((await proxy.mcp(login)).status).toBe(401)
  expect(idp.count('revocation')).toBe(0)
  expect(proxy.said(/could not be told/)).toEqual([])
})

/** What ends a login at a refresh: nothing but the provider’s own word. */
for (const error of ['invalid_grant', 'access_denied', 'login_required', 'interaction_required', 'consent_required']) {
  test(`the provider answers a refresh with ${error}: 400 invalid_grant, and the login is over`, async () => {
    const { idp, proxy, login } = await open()
    idp.knobs.rewrite.token = (answer) =>
      Object.assign(answer, { status: 403, body: { error, error_description: 'canary' } })
    await answers(await proxy.refresh(login), 400, 'invalid_grant')
    expect((await proxy.mcp(login)).status).toBe(401)
    await answers(await proxy.refresh(login), 400, 'invalid_grant')
    expect(idp.count('token', 'refresh_token')).toBe(1)
    expect(proxy.said(/^login ended: .*403/, 'info')).toHaveLength(1)
    discreet(proxy, idp)
  })
}

test('the grant is revoked at the provider: 400 invalid_grant at the next refresh, and only for that login', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  let token = ''
  idp.knobs.rewrite.token = ({ body }) => void (token = body.refresh_token)
  const bob = await proxy.login({ account: 'bob' })
  const login = await proxy.login()
  const fields = { token, client_id: CLIENT_ID, client_secret: idp.knobs.secret }
  const revoked = await fetch(`${idp.origin}/oauth/revoke`, { method: 'POST', body: new URLSearchParams(fields) })
  expect(revoked.status).toBe(200)
  expect((await proxy.mcp(login)).status).toBe(200)
  await answers(await proxy.refresh(login), 400, 'invalid_grant')
  expect(idp.asked.at(-1)).toEqual({ route: 'token', grant: 'refresh_token', status: 400 })
  expect((await proxy.mcp(login)).status).toBe(401)
  expect((await proxy.mcp(await proxy.renewed(bob))).status).toBe(200)
})

for (const error of [
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
]) {
  test(`the provider answers refreshes with ${error}: 503 for everybody, one error line, and nobody is logged out`, async () => {
    const { idp, proxy, login } = await open()
    const logins = [login, await proxy.login({ account: 'bob' })]
    idp.knobs.rewrite.token = (answer) =>
      Object.assign(answer, { status: error === 'invalid_client' ? 401 : 400, body: { error } })
    for (let times = 0; times < 3; times++) {
      for (const one of logins) await answers(await proxy.refresh(one), 503, 'temporarily_unavailable')
    }
    const [line, ...more] = proxy.said(/./, 'error')
    expect(more).toEqual([])
    expect(line?.text).toMatch(new RegExp(`${error}: .*(OIDC_|let this client).*; nobody is logged out`))
    for (const one of logins) expect((await proxy.mcp(one)).status).toBe(200)
  })
}

test('the client’s secret is changed at the provider: 503 and one error line until it is changed here too', async () => {
  const { idp, proxy, login } = await open()
  const bob = await proxy.login({ account: 'bob' })
  idp.rotateSecret('provider-secret-canary-1')
  for (const one of [login, bob, login]) {
    const response = await proxy.refresh(one)
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/)
    await answers(response, 503, 'temporarily_unavailable')
  }
  expect(proxy.said(/./, 'error').map(({ text }) => text)).toEqual([
    expect.stringMatching(
      /could not be asked for a login: it answered 401 invalid_client: check OIDC_CLIENT_ID and OIDC_CLIENT_SECRET; was the secret changed there\?; nobody is logged out$/,
    ),
  ])
  for (const one of [login, bob]) expect((await proxy.mcp(one)).status).toBe(200)
  const changed = oidcEnv(idp)
  idp.rotateSecret('provider-secret-canary-0')
  const again = await proxy.renewed(login)
  idp.rotateSecret('provider-secret-canary-2')
  for (const one of [again, bob]) await answers(await proxy.refresh(one), 503, 'temporarily_unavailable')
  // It was well in between: this is news.
  expect(proxy.said(/./, 'error')).toHaveLength(2)
  idp.rotateSecret('provider-secret-canary-1')
  await proxy.restart(changed)
  for (const one of [again, bob]) expect((await proxy.mcp(await proxy.renewed(one))).status).toBe(200)
  discreet(proxy, idp)
})

test('the answer to a refresh cannot be checked (the key is new): nothing is lost, the provider’s new refresh token was kept', async () => {
  const { idp, proxy, login } = await open()
  idp.knobs.idToken = { kid: 'unknown' }
  await answers(await proxy.refresh(login), 503, 'temporarily_unavailable')
  await answers(await proxy.refresh(login), 503, 'temporarily_unavailable')
  idp.knobs.idToken = undefined
  // Strict rotation: had the old one been used again, the grant would be gone.
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
  expect(idp.count('token', 'refresh_token')).toBe(3)
})

for (const [name, forgery] of Object.entries({
  expired: { claims: { exp: 1 } },
  'for another client': { claims: { aud: 'another' } },
  'of another issuer': { claims: { iss: 'https://evil.example/' } },
})) {
  test(`the ID token of a refresh is ${name}: 503, the operator hears of it, and all is well once it is right again`, async () => {
    const { idp, proxy, login } = await open()
    idp.knobs.idToken = forgery
    for (let times = 0; times < 2; times++) await answers(await proxy.refresh(login), 503, 'temporarily_unavailable')
    expect(proxy.said(/./, 'error')).toHaveLength(1)
    idp.knobs.idToken = undefined
    expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
  })
}

test('the access token of a refresh is for something else: 503 and an error line, not a login lost', async () => {
  const { idp, proxy, login } = await open()
  idp.knobs.aud = 'https://other.example.com'
  await answers(await proxy.refresh(login), 503, 'temporarily_unavailable')
  expect(proxy.said(/its access token is not for this proxy, .*check OIDC_AUDIENCE/, 'error')).toHaveLength(1)
  idp.knobs.aud = undefined
  await proxy.renewed(login)
})

test('a refresh without an ID token leaves the person as known', async () => {
  const { idp, proxy, login } = await open()
  idp.knobs.rewrite.token = ({ body }) => void delete body.id_token
  expect((await proxy.mcp(await proxy.renewed(await proxy.renewed(login)))).status).toBe(200)
})

test('the provider answers a refresh later than anybody waits: 503, and the same token works with what has come by then', async () => {
  const { idp, proxy, login } = await open()
  const answer = await giveUp(idp, proxy, login)
  // Whoever comes while it is still under way waits for the same answer.
  const again = proxy.renewed(login)
  answer()
  expect((await proxy.mcp(await proxy.renewed(await again))).status).toBe(200)
  // Rotation is strict: had a token been used twice, the provider would have refused.
  const statuses = idp.asked.filter(({ grant }) => grant === 'refresh_token').map(({ status }) => status)
  expect(new Set(statuses)).toEqual(new Set([200]))
})

test('an answer that comes when nobody asks any more is kept as well', async () => {
  const { idp, proxy, login } = await open()
  const answer = await giveUp(idp, proxy, login)
  answer()
  await eventually('the answer', () => proxy.said(/: refreshed/, 'debug')[0])
  await proxy.restart()
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
})

test('connections are refused at a refresh: 503, and the same token works afterwards', async () => {
  const { idp, proxy, login } = await open()
  await idp.down()
  await answers(await proxy.refresh(login), 503, 'temporarily_unavailable')
  expect(proxy.said(/could not be asked for a login: it cannot be reached \(ECONNREFUSED\)/, 'warn')).toHaveLength(1)
  await idp.up()
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
})

test('an e-mail address that changed at the provider counts from the next refresh on', async () => {
  const { idp, proxy, login } = await open()
  idp.knobs.claims = (sub) => ({ sub, email: 'mallory@example.com', email_verified: true })
  await answers(await proxy.refresh(login), 400, 'invalid_grant')
  expect((await proxy.mcp(login)).status).toBe(401)
})

test('revocation reaches the provider: its refresh token is good for nothing any more', async () => {
  const { idp, proxy, login } = await open()
  const next = await proxy.renewed(login)
  expect((await proxy.revoke(next)).status).toBe(200)
  await eventually('the revocation', () => idp.count('revocation') === 1)
  expect(idp.asked.at(-1)).toEqual({ route: 'revocation', status: 200 })
  await eventually('the line', () => proxy.said(/refresh token revoked/, 'debug')[0])
  discreet(proxy, idp)
})

test('revocation the provider cannot hear of is done here all the same', async () => {
  const { idp, proxy, login } = await open()
  await idp.down()
  expect((await proxy.revoke(login)).status).toBe(200)
  expect((await proxy.mcp(login)).status).toBe(401)
  await eventually('the line', () => proxy.said(/could not be told that a login has ended/, 'warn')[0])
})

test('a provider without a revocation endpoint is not asked', async () => {
  const idp = await stage.provider()
  idp.knobs.rewrite.discovery = ({ body }) => void delete body.revocation_endpoint
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const login = await proxy.login()
  expect((await proxy.revoke(login)).status).toBe(200)
  expect((await proxy.mcp(login)).status).toBe(401)
  expect(idp.count('revocation')).toBe(0)
  expect(proxy.said(/./, 'warn', 'error')).toEqual([])
})
