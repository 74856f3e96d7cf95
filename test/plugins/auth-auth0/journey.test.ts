import { expect, test } from 'vitest'
import { walk } from '../../fixtures/oidc/browser.ts'
import { API, emailOf } from '../../fixtures/oidc/knobs.ts'
import { auth0Env, ORIGIN } from '../../fixtures/oidc/proxy.ts'
import type { IdentityProvider } from '../../fixtures/oidc/provider.ts'
import { CLAUDE_AI, CLAUDE_COM, type Tokens } from '../../fixtures/oidc/site.ts'
import { createStage, discreet, eventually, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

for (const redirectUri of [CLAUDE_AI, CLAUDE_COM]) {
  test(`MCP_AUTH_PROVIDER=oauth_proxy: the whole way with Auth0, for ${redirectUri}`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
    const flow = await proxy.begin(redirectUri)
    const back = await walk(flow.browser, flow.url)
    expect(back.origin + back.pathname).toBe(redirectUri)
    expect(back.searchParams.get('iss')).toBe(ORIGIN)
    const response = await proxy.redeem(flow, back)
    const login = { client: flow.client, tokens: (await response.json()) as Tokens }
    expect((await proxy.mcp(login)).status).toBe(200)
    const next = await proxy.renewed(login)
    expect((await proxy.mcp(next)).status).toBe(200)
    expect((await proxy.revoke(next)).status).toBe(200)
    expect((await proxy.mcp(next)).status).toBe(401)
    await eventually('the revocation', () => idp.count('revocation') === 1)
    discreet(proxy, idp)
  })
}

/** The domain as people write it; the fixture is on this machine, so there is a scheme in all of them. */
for (const [name, domainOf] of Object.entries({
  'as the issuer is written': ({ issuer }: IdentityProvider) => issuer,
  'without a slash': ({ origin }: IdentityProvider) => origin,
  'in capitals': ({ origin }: IdentityProvider) => origin.toUpperCase(),
  'with space around': ({ origin }: IdentityProvider) => ` ${origin}/ `,
})) {
  test(`AUTH0_DOMAIN ${name}`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: auth0Env(idp, { AUTH0_DOMAIN: domainOf(idp) }) })
    expect((await proxy.mcp(await proxy.login())).status).toBe(200)
  })
}

test('the audience is always asked for, with the scopes that bring identity and refresh tokens', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
  const { back } = await proxy.walk({ until: ({ origin }) => origin === idp.origin })
  expect(back.searchParams.get('audience')).toBe(API)
  expect(back.searchParams.get('scope')).toBe('openid profile email offline_access')
})

test('Auth0 says that there is no such API: not the user’s fault, and named in the log', async () => {
  const idp = await stage.provider()
  idp.knobs.audiences = ['https://another.example.com']
  const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  expect(proxy.said(/AUTH0_AUDIENCE has to be the Identifier of an API/, 'warn')).toHaveLength(1)
})

test('Auth0 does not let the user in (an Action says no): access_denied', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
  const { flow, back } = await proxy.walk({ account: null })
  refused(flow, back, 'access_denied')
})

const CLAIM = 'https://example.com/email'

test('AUTH0_EMAIL_CLAIM: the address from the access token, where the ID token has none, verified there', async () => {
  const idp = await stage.provider()
  idp.knobs.claims = (sub) => ({ sub })
  idp.knobs.accessClaims = { [CLAIM]: 'alice@example.com', [`${CLAIM}_verified`]: true }
  const proxy = await stage.proxy(idp, { env: auth0Env(idp, { AUTH0_EMAIL_CLAIM: CLAIM }) })
  const login = await proxy.login({ account: 'somebody' })
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
  expect(proxy.said(/^logged in/)[0]?.text).toContain('alice@example.com')
  expect(idp.count('userinfo')).toBe(0)
})

test('AUTH0_EMAIL_CLAIM: an address that nobody calls verified does not let anybody in', async () => {
  for (const more of [{}, { [`${CLAIM}_verified`]: false }, { [`${CLAIM}_verified`]: 'true' }]) {
    const idp = await stage.provider()
    idp.knobs.claims = (sub) => ({ sub })
    idp.knobs.accessClaims = { [CLAIM]: 'alice@example.com', ...more }
    const proxy = await stage.proxy(idp, { env: auth0Env(idp, { AUTH0_EMAIL_CLAIM: CLAIM }) })
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'access_denied')
    expect(proxy.said(/does not say that the e-mail address is verified/, 'warn')).toHaveLength(1)
  }
})

test('AUTH0_EMAIL_CLAIM: what the ID token says goes first', async () => {
  const idp = await stage.provider()
  idp.knobs.claims = (sub) => ({ sub, email: emailOf(sub), email_verified: true })
  idp.knobs.accessClaims = { [CLAIM]: 'mallory@example.com', [`${CLAIM}_verified`]: true }
  const proxy = await stage.proxy(idp, { env: auth0Env(idp, { AUTH0_EMAIL_CLAIM: CLAIM }) })
  await proxy.login()
  expect(proxy.said(/^logged in/)[0]?.text).toContain('alice@example.com')
})

test('AUTH0_EMAIL_CLAIM: a claim that is not there leaves userinfo', async () => {
  const idp = await stage.provider()
  idp.knobs.claims = (sub, use) =>
    use === 'userinfo' ? { sub, email: 'alice@example.com', email_verified: true } : { sub }
  const proxy = await stage.proxy(idp, { env: auth0Env(idp, { AUTH0_EMAIL_CLAIM: CLAIM }) })
  await proxy.login()
  expect(idp.count('userinfo')).toBe(1)
})
