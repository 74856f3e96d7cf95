import { expect, test } from 'vitest'
import { identityOf } from '../../../plugins/auth-oidc/identity.ts'
import { emailOf } from '../../fixtures/oidc/knobs.ts'
import { oidcEnv, type OidcProxy, type ProxyOptions } from '../../fixtures/oidc/proxy.ts'
import type { IdentityProvider } from '../../fixtures/oidc/provider.ts'
import type { Flow } from '../../fixtures/oidc/site.ts'
import { createStage, discreet, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

async function open(options: ProxyOptions = {}): Promise<{ idp: IdentityProvider; proxy: OidcProxy }> {
  const idp = await stage.provider()
  return { idp, proxy: await stage.proxy(idp, { env: oidcEnv(idp), ...options }) }
}

/** Plugins with options for the provider's. */
const withOptions = (options: object): ProxyOptions => ({
  config: { plugins: ['storage-fs', 'access-users', ['auth-oidc', options as never]] },
})

/** Let in with a code that is good, or told access_denied. */
async function answered(proxy: OidcProxy, flow: Flow, back: URL, isIn: boolean): Promise<void> {
  if (!isIn) return refused(flow, back, 'access_denied')
  expect((await proxy.redeem(flow, back)).status).toBe(200)
}

/** The ID token holds no address; userinfo does. */
function dropEmail({ knobs }: IdentityProvider): void {
  const { claims } = knobs
  knobs.claims = (sub, use) => (use === 'userinfo' ? claims(sub, use) : { sub })
}

test('T79 no e-mail address in the ID token: userinfo has it, and is asked once for the whole login', async () => {
  const { idp, proxy } = await open()
  dropEmail(idp)
  let login = await proxy.login()
  expect(proxy.said(/^logged in/)[0]?.text).toContain('alice@example.com')
  for (let refreshes = 0; refreshes < 3; refreshes++) login = await proxy.renewed(login)
  expect((await proxy.mcp(login)).status).toBe(200)
  expect(idp.count('userinfo')).toBe(1)
  discreet(proxy, idp)
})

test('T79 where the ID token has one userinfo is not asked', async () => {
  const { idp, proxy } = await open()
  await proxy.renewed(await proxy.login())
  expect(idp.count('userinfo')).toBe(0)
})

const NONE: Record<string, unknown> = {
  none: undefined,
  'an empty one': '',
  null: null,
  'a list of them': ['alice@example.com'],
  'an object': { toString: 'alice@example.com' },
  'a number': 1,
}

for (const [name, email] of Object.entries(NONE)) {
  test(`T79 e-mail address nowhere, ${name}: access_denied, and the log says what to do`, async () => {
    const { idp, proxy } = await open()
    idp.knobs.claims = (sub) => ({ sub, email, email_verified: true })
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'access_denied')
    expect(proxy.said(/it gave no e-mail address: ask for the scope "email", or name a claim/, 'warn')).toHaveLength(1)
  })
}

test('T70 userinfo speaks of another person: access_denied', async () => {
  const { idp, proxy } = await open()
  dropEmail(idp)
  idp.knobs.rewrite.userinfo = ({ body }) => void (body.sub = 'auth0|bob')
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'access_denied')
  expect(proxy.said(/userinfo speaks of another person than the ID token/, 'warn')).toHaveLength(1)
})

for (const sub of [undefined, '', ['auth0|alice']]) {
  test(`T70 userinfo speaks of ${JSON.stringify(sub) ?? 'nobody'}: nobody is logged in`, async () => {
    const { idp, proxy } = await open()
    dropEmail(idp)
    idp.knobs.rewrite.userinfo = ({ body }) => void (body.sub = sub)
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'server_error')
    expect(proxy.said(/^logged in/)).toEqual([])
  })
}

for (const status of [429, 500, 503]) {
  test(`T70 userinfo answers ${status}: temporarily_unavailable, not "you may not"`, async () => {
    const { idp, proxy } = await open()
    dropEmail(idp)
    idp.failNext(1, status, 'userinfo')
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'temporarily_unavailable')
    expect(proxy.said(new RegExp(`/userinfo answered ${status}`), 'warn')).toHaveLength(1)
    discreet(proxy, idp)
    await proxy.login()
  })
}

test('T70 userinfo refuses the token: server_error', async () => {
  const { idp, proxy } = await open()
  dropEmail(idp)
  idp.knobs.rewrite.userinfo = (answer) =>
    Object.assign(answer, { status: 401, body: '', headers: { 'www-authenticate': 'Bearer error="canary"' } })
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  expect(proxy.said(/\/userinfo answered 401/, 'warn')).toHaveLength(1)
  discreet(proxy, idp)
})

test('a refresh outlives userinfo: it is not asked again', async () => {
  const { idp, proxy } = await open()
  dropEmail(idp)
  const login = await proxy.login()
  idp.failNext(5, 500, 'userinfo')
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
})

/** What a provider may say of an address, who believes it, and whom the operator trusts all the same. */
const VERIFIED: readonly (readonly [value: unknown, strict: boolean, trusting: boolean])[] = [
  [true, true, true],
  [false, false, false],
  ['true', false, true],
  ['false', false, false],
  [undefined, false, true],
  [null, false, false],
  [1, false, false],
  ['', false, false],
  ['TRUE', false, false],
  [[true], false, false],
]

for (const where of ['the ID token', 'userinfo'] as const) {
  for (const [value, strict, trusting] of VERIFIED) {
    const text = JSON.stringify(value) ?? 'absent'
    test(`T78 email_verified ${text} in ${where}: ${strict ? 'in' : 'out'}; with trustEmail ${trusting ? 'in' : 'out'}`, async () => {
      const idp = await stage.provider()
      const claims = (sub: string) => ({ sub, email: emailOf(sub), email_verified: value })
      idp.knobs.claims = (sub, use) => (where === 'userinfo' && use !== 'userinfo' ? { sub } : claims(sub))
      for (const [trustEmail, isIn] of [
        [false, strict],
        [true, trusting],
      ] as const) {
        const proxy = await stage.proxy(idp, { env: oidcEnv(idp), ...withOptions({ trustEmail }) })
        const { flow, back } = await proxy.walk()
        await answered(proxy, flow, back, isIn)
        expect(proxy.said(/does not say that the e-mail address is verified/, 'warn')).toHaveLength(isIn ? 0 : 1)
      }
    })
  }
}

test('T78 an address that is no longer verified at a refresh ends the login', async () => {
  const { idp, proxy } = await open()
  const login = await proxy.login()
  idp.knobs.claims = (sub) => ({ sub, email: emailOf(sub), email_verified: false })
  const response = await proxy.refresh(login)
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ error: 'invalid_grant' })
  expect((await proxy.mcp(login)).status).toBe(401)
})

test('T80 the same address from another account: let in and logged; with pinSub denied', async () => {
  for (const pinSub of [false, true]) {
    const { idp, proxy } = await open(withOptions({ pinSub }))
    idp.knobs.claims = (sub) => ({ sub, email: 'alice@example.com', email_verified: true })
    const first = await proxy.login({ account: 'alice' })
    const { flow, back } = await proxy.walk({ account: 'alice-of-another-connection' })
    await answered(proxy, flow, back, !pinSub)
    const lines = proxy.said(/logged in from another account before/, 'warn')
    expect(lines.map(({ text }) => text.includes('login refused'))).toEqual([pinSub])
    expect(lines[0]?.text).toContain('alice@example.com')
    // The first one is not disturbed, and may come again.
    expect((await proxy.mcp(await proxy.renewed(first))).status).toBe(200)
    await proxy.login({ account: 'alice' })
    expect(proxy.said(/logged in from another account before/)).toHaveLength(1)
  }
})

test('T80 a refresh that speaks of another account ends the login', async () => {
  const { idp, proxy } = await open()
  const login = await proxy.login({ account: 'bob' })
  idp.knobs.idToken = { claims: { sub: 'auth0|alice', email: 'alice@example.com' } }
  expect((await proxy.refresh(login)).status).toBe(400)
  expect((await proxy.mcp(login)).status).toBe(401)
})

test('T80 a refresh that brings the address of another account counts like a login with it: logged, with pinSub denied', async () => {
  for (const pinSub of [false, true]) {
    const { idp, proxy } = await open(withOptions({ pinSub }))
    const alice = await proxy.login({ account: 'alice' })
    const bob = await proxy.login({ account: 'bob' })
    idp.knobs.claims = (sub) => ({ sub, email: 'alice@example.com', email_verified: true })
    const response = await proxy.refresh(bob)
    expect(response.status).toBe(pinSub ? 400 : 200)
    expect((await proxy.mcp(bob)).status).toBe(pinSub ? 401 : 200)
    expect(proxy.said(/has logged in from another account before/, 'warn')).toHaveLength(1)
    expect((await proxy.mcp(await proxy.renewed(alice))).status).toBe(200)
    expect(proxy.said(/has logged in from another account before/, 'warn')).toHaveLength(1)
  }
})

const access = (claims: Record<string, unknown>) => ({ id: { iss: 'i', sub: 's' }, access: claims })
const nobody = async () => ({})

test('a claim of the operator’s own counts if something beside it says that the address is verified', async () => {
  const settings = { emailClaim: 'https://x/email', trustEmail: false }
  const email = 'a@example.com'
  const identity = { issuer: 'i', subject: 's', email, emailVerified: true }
  const inClaim = (more: Record<string, unknown>) =>
    identityOf(access({ 'https://x/email': email, ...more }), settings, nobody)
  expect(await inClaim({ 'https://x/email_verified': true })).toEqual(identity)
  expect(await inClaim({ email_verified: true })).toEqual(identity)
  const refusal = { name: 'SourceError', failure: 'denied', error: 'access_denied' }
  await expect(inClaim({})).rejects.toMatchObject(refusal)
  await expect(inClaim({ 'https://x/email_verified': false, email_verified: true })).rejects.toMatchObject(refusal)
  await expect(inClaim({ email_verified: 'true' })).rejects.toMatchObject(refusal)
  const trusting = { ...settings, trustEmail: true }
  expect(await identityOf(access({ 'https://x/email': email }), trusting, nobody)).toEqual(identity)
})

test('the ID token’s own address goes before any claim, and a claim before userinfo', async () => {
  const settings = { emailClaim: 'mail', trustEmail: false }
  const id = { iss: 'i', sub: 's', email: 'id@example.com', email_verified: true, name: 'N' }
  const claimed = { mail: 'claim@example.com', mail_verified: true }
  const asked = async () => ({ email: 'userinfo@example.com', email_verified: true, name: 'U' })
  expect(await identityOf({ id, access: claimed }, settings, asked)).toMatchObject({
    email: 'id@example.com',
    name: 'N',
  })
  const bare = { iss: 'i', sub: 's' }
  expect(await identityOf({ id: bare, access: claimed }, settings, asked)).toMatchObject({ email: 'claim@example.com' })
  expect(await identityOf({ id: { ...bare, ...claimed }, access: undefined }, settings, asked)).toMatchObject({
    email: 'claim@example.com',
  })
  expect(await identityOf({ id: bare, access: {} }, settings, asked)).toMatchObject({
    email: 'userinfo@example.com',
    name: 'U',
  })
})
