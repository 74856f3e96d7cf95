import { expect, test } from 'vitest'
import { DeadEnd } from '../../fixtures/oidc/browser.ts'
import { API } from '../../fixtures/oidc/knobs.ts'
import { auth0Env, oidcEnv, ORIGIN, type OidcProxy } from '../../fixtures/oidc/proxy.ts'
import { createStage, discreet, eventually, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

/** Everything the provider's plugin has said, without what differs from run to run. */
function story(proxy: OidcProxy): string[] {
  return proxy.lines.filter(({ tag }) => tag === 'auth-oidc').map(({ level, text }) => `${level} ${text}`)
}

test('at level debug a login tells its story: parameters, audience, metadata, keys, checks, scopes – and no secret', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const login = await proxy.login()
  const host = new URL(idp.issuer).host
  const steps: readonly (readonly [line: string, ...holds: string[]])[] = [
    ['debug authorization asked for', '"asked":"mcp:use offline_access"', '"granted":"mcp:use offline_access"'],
    [
      `debug ${host}: login begins`,
      '"client_id":"proxy-at-provider"',
      '"scope":"openid profile email offline_access"',
      `"audience":"${API}"`,
      `"redirect_uri":"${ORIGIN}/auth/callback"`,
    ],
    [`debug ${host}: metadata read`, `"issuer":"${idp.issuer}"`, `"jwks_uri":"${idp.issuer}.well-known/jwks.json"`],
    [`debug ${host}: code exchanged`, '"refresh_token":true', '"expires_in":86400'],
    [`debug ${host}: key set read`, '"keys":["'],
    [`debug ${host}: ID token is valid`, '"aud":"proxy-at-provider"', '"nonce":"ours"'],
    [`debug ${host}: access token is valid`, `"aud":["${API}","${idp.issuer}userinfo"]`],
    [`debug ${host}: scopes`, '"asked":"openid profile email offline_access"', '"granted":"openid profile email'],
    ['info logged in', '"user":"alice@example.com"'],
    ['debug code redeemed'],
  ]
  const told = story(proxy).filter((line) => !line.includes('client registered'))
  expect(told).toHaveLength(steps.length)
  for (const [index, [line, ...holds]] of steps.entries()) {
    expect(told[index]).toMatch(new RegExp(`^${line.replaceAll(/[.:]/g, '\\$&')}`))
    for (const part of holds) expect(told[index]).toContain(part)
  }

  const before = told.length
  await proxy.renewed(login)
  const refresh = story(proxy)
    .filter((line) => !line.includes('client registered'))
    .slice(before)
  expect(refresh.map((line) => line.split(' {')[0])).toEqual([
    `debug ${host}: refreshed`,
    `debug ${host}: ID token is valid`,
    `debug ${host}: access token is valid`,
    `debug ${host}: scopes`,
  ])
  discreet(proxy, idp)
  for (const secret of Object.values(login.tokens).filter((value) => String(value).length > 40))
    expect(proxy.log()).not.toContain(secret)
})

test('at level info a login is one line', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  await proxy.renewed(await proxy.login())
  const loud = proxy.lines.filter(({ level, tag }) => level !== 'debug' && tag === 'auth-oidc')
  expect(loud.map(({ text }) => text.split(' {')[0])).toEqual([
    expect.stringMatching(/^client registered/),
    'logged in',
  ])
})

/** The line that names a mistake; there is one, at level warn or error. */
function mistake(proxy: OidcProxy): string {
  const [line, ...more] = proxy.said(/./, 'warn', 'error')
  expect(more).toEqual([])
  return line?.text ?? ''
}

test('mistake: the provider has no API of this audience', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp, { AUTH0_AUDIENCE: 'https://typo.example.com/mcp' }) })
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  expect(mistake(proxy)).toMatch(
    /^login failed at Auth0: it answered access_denied: AUTH0_AUDIENCE has to be the Identifier of an API in the Auth0 dashboard/,
  )
})

test('mistake: the token is opaque', async () => {
  const idp = await stage.provider()
  idp.knobs.opaque = true
  const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  expect(mistake(proxy)).toMatch(
    /^login failed at Auth0: .*it is opaque, no JWT: AUTH0_AUDIENCE has to be the Identifier/,
  )
})

test('mistake: offline access is off', async () => {
  const idp = await stage.provider()
  idp.knobs.offline = false
  const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
  await proxy.login()
  await proxy.login()
  expect(mistake(proxy)).toBe(
    'Auth0 gave no refresh token, so logins end after 86400 s: in the Auth0 dashboard, Applications → APIs → your API → Settings: turn on Allow Offline Access',
  )
})

test('mistake: the secret is wrong', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp, { AUTH0_CLIENT_SECRET: 'wrong-secret-canary' }) })
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  expect(mistake(proxy)).toMatch(
    /^login failed at Auth0: it answered 401 invalid_client: check AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET; was the secret rotated/,
  )
  discreet(proxy, idp)
})

test('mistake: the client may not use this grant', async () => {
  const idp = await stage.provider()
  idp.knobs.rewrite.token = (answer) =>
    Object.assign(answer, { status: 403, body: { error: 'unauthorized_client', error_description: 'canary' } })
  const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
  await proxy.walk()
  expect(mistake(proxy)).toMatch(/^login failed at Auth0: it answered 403 unauthorized_client: .*Grant Types/)
})

test('mistake: tokens are signed with a secret', async () => {
  for (const knob of ['idToken', 'accessToken'] as const) {
    const idp = await stage.provider()
    // As Auth0 says of itself.
    idp.knobs.rewrite.discovery = ({ body }) => body.id_token_signing_alg_values_supported.push('HS256')
    idp.knobs[knob] = { alg: 'HS256', secret: idp.knobs.secret }
    const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'server_error')
    expect(mistake(proxy)).toMatch(/^login failed at Auth0: .*(?:ID|access) token.*: in the Auth0 dashboard set RS256/)
  }
})

test('mistake: the base URL, or the callback there – the browser is stopped at the provider, and nobody comes back', async () => {
  const idp = await stage.provider(['https://right.example.com'])
  const proxy = await stage.proxy(idp, { settings: {} })
  for (let attempt = 0; attempt < 4; attempt++) {
    const error: unknown = await proxy.walk().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(DeadEnd)
    proxy.pass(60_000)
  }
  expect(mistake(proxy)).toContain(
    `none has come back to ${ORIGIN}/auth/callback: is it allowed there to the letter, is MCP_BASE_URL the address`,
  )
})

test('mistake: the callback, where the provider says so itself', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
  const { flow, back } = await proxy.walk({ until: ({ pathname }) => pathname === '/auth/callback' })
  back.searchParams.delete('code')
  back.searchParams.set('error', 'invalid_request')
  back.searchParams.set('error_description', 'Callback URL mismatch. canary is not in the list')
  const response = await flow.browser.get(back.href)
  refused(flow, new URL(response.headers.get('location') ?? ''), 'server_error')
  expect(mistake(proxy)).toMatch(
    /^login failed at Auth0: it answered invalid_request: .*Allowed Callback URLs to the letter/,
  )
  discreet(proxy, idp)
})

test('mistake: the domain', async () => {
  const idp = await stage.provider()
  idp.failNext(1, 404, 'discovery')
  const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
  proxy.kernel.start()
  await eventually('the line', () => proxy.said(/./, 'error')[0])
  expect(mistake(proxy)).toMatch(
    /^logins at Auth0 are not possible: its metadata at http:.* answered 404; check AUTH0_DOMAIN$/,
  )
})
