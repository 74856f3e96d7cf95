import { expect, test } from 'vitest'
import { atCallback, DeadEnd, walk } from '../../fixtures/oidc/browser.ts'
import { CLIENT_ID } from '../../fixtures/oidc/configuration.ts'
import { API } from '../../fixtures/oidc/knobs.ts'
import { oidcEnv, ORIGIN } from '../../fixtures/oidc/proxy.ts'
import { CLAUDE_AI, CLAUDE_COM, type Tokens } from '../../fixtures/oidc/site.ts'
import { createStage, discreet, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

for (const redirectUri of [CLAUDE_AI, CLAUDE_COM]) {
  test(`register, consent, log in at the provider, use, refresh, revoke – for ${redirectUri}`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    const flow = await proxy.begin(redirectUri)
    const back = await walk(flow.browser, flow.url)
    expect(back.origin + back.pathname).toBe(redirectUri)
    expect([...back.searchParams.keys()].toSorted()).toEqual(['code', 'iss', 'state'])
    expect(back.searchParams.get('iss')).toBe(ORIGIN)
    expect(back.searchParams.get('state')).toBe(`state of ${flow.client.client_id}`)
    const tokens = (await (await proxy.redeem(flow, back)).json()) as Tokens
    expect(tokens).toMatchObject({ token_type: 'Bearer', expires_in: 3600, scope: 'mcp:use offline_access' })
    const login = { client: flow.client, tokens }
    expect((await proxy.mcp(login)).status).toBe(200)
    expect(proxy.said(/^logged in/)[0]?.text).toContain('"user":"alice@example.com"')

    const next = await proxy.renewed(login)
    expect(next.tokens.refresh_token).not.toBe(tokens.refresh_token)
    expect((await proxy.mcp(next)).status).toBe(200)
    expect(idp.asked.map(({ route, grant = '' }) => `${route} ${grant}`.trim())).toEqual([
      'discovery',
      'authorization',
      'token authorization_code',
      'jwks',
      'token refresh_token',
    ])
    expect((await proxy.revoke(next)).status).toBe(200)
    expect((await proxy.mcp(next)).status).toBe(401)
    discreet(proxy, idp)
  })
}

test('at http://localhost with a port, as on one’s own machine', async () => {
  const origin = 'http://localhost:8080'
  const idp = await stage.provider([origin])
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp), origin })
  const login = await proxy.login()
  expect((await proxy.mcp(login)).status).toBe(200)
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
})

test('the provider is asked with PKCE, nonce, audience, scopes and callback, and hears nothing of the client', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { flow, back } = await proxy.walk({ until: ({ origin }) => origin === idp.origin })
  const { state, nonce, code_challenge: challenge, ...rest } = Object.fromEntries(back.searchParams)
  expect(rest).toEqual({
    response_type: 'code',
    client_id: CLIENT_ID,
    redirect_uri: `${ORIGIN}/auth/callback`,
    scope: 'openid profile email offline_access',
    audience: API,
    code_challenge_method: 'S256',
  })
  for (const secret of [state, nonce, challenge]) expect(secret).toMatch(/^[\w-]{43}$/)
  expect(back.href).not.toContain(flow.client.client_id)
  expect(back.href).not.toContain('claude')
})

test('without consent nothing is asked at the provider, and a no stays a no', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { flow, back } = await proxy.walk({ action: 'deny' })
  refused(flow, back, 'access_denied')
  expect(idp.asked).toEqual([])
})

test('a user who says no at the provider: access_denied, and no code is redeemed', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { flow, back } = await proxy.walk({ account: null })
  refused(flow, back, 'access_denied')
  expect(idp.count('token')).toBe(0)
})

test('somebody the provider knows and users.json does not: access_denied', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { flow, back } = await proxy.walk({ account: 'mallory' })
  refused(flow, back, 'access_denied')
  expect(proxy.said(/not on the list/, 'warn')[0]?.text).toContain('mallory@example.com')
})

test('a client that shows its secret with Basic', async () => {
  const idp = await stage.provider([ORIGIN], 'client_secret_basic')
  idp.knobs.rewrite.discovery = (answer) => {
    answer.body.token_endpoint_auth_methods_supported = ['client_secret_basic']
  }
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const login = await proxy.renewed(await proxy.login())
  expect((await proxy.mcp(login)).status).toBe(200)
  expect(idp.asked.filter(({ route }) => route === 'token').map(({ status }) => status)).toEqual([200, 200])
})

test('a provider that knows both ways and wants Basic of this client: found out once, the code is not lost over it', async () => {
  const idp = await stage.provider([ORIGIN], 'client_secret_basic')
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const login = await proxy.renewed(await proxy.login())
  await proxy.login({ account: 'bob' })
  expect((await proxy.mcp(login)).status).toBe(200)
  expect(idp.asked.filter(({ route }) => route === 'token').map(({ status }) => status)).toEqual([401, 200, 200, 200])
  expect(proxy.said(/./, 'warn', 'error')).toEqual([])
})

test('a secret with characters that have to be encoded, both ways', async () => {
  for (const method of ['client_secret_post', 'client_secret_basic'] as const) {
    const idp = await stage.provider([ORIGIN], method)
    idp.rotateSecret("s+e c/r%e:t&=~'")
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    expect((await proxy.mcp(await proxy.login())).status).toBe(200)
  }
})

test('a callback the provider does not allow: its own page says so, and when nobody comes back the log does, once', async () => {
  const idp = await stage.provider(['https://elsewhere.example.com'])
  const proxy = await stage.proxy(idp, { settings: {} })
  for (let attempt = 1; attempt <= 5; attempt++) {
    const error: unknown = await proxy.walk().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(DeadEnd)
    expect((error as DeadEnd).url.origin).toBe(idp.origin)
    expect(proxy.said(/callback/, 'warn', 'error')).toHaveLength(attempt < 4 ? 0 : 1)
    if (attempt >= 3) proxy.pass(121_000)
  }
  expect(proxy.said(/callback/, 'warn')[0]?.text).toBe(
    `4 logins went to Auth0 and none has come back to ${ORIGIN}/auth/callback: ` +
      'is it allowed there to the letter, is MCP_BASE_URL the address that people use, and OIDC_CLIENT_ID the right one?',
  )
})

test('people who take their time are no sign of a mistake once anybody has come back', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { settings: {} })
  await proxy.login()
  for (let attempt = 1; attempt <= 5; attempt++) {
    await proxy.walk({ until: atCallback })
    proxy.pass(121_000)
  }
  expect(proxy.said(/./, 'warn', 'error')).toEqual([])
})
