import { expect, test } from 'vitest'
import { resolveConfig } from '../../../core/config/resolve.ts'
import { createKernel } from '../../../core/kernel.ts'
import authOidc from '../../../plugins/auth-oidc/index.ts'
import { captureLog, ROOT } from '../../harness.ts'
import { oidcEnv, ORIGIN } from '../../fixtures/oidc/proxy.ts'
import { createStage, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

const ENV = {
  MCP_AUTH_PROVIDER: 'oidc',
  OIDC_ISSUER: 'https://login.example.com',
  OIDC_CLIENT_ID: 'id',
  OIDC_CLIENT_SECRET: 'secret-canary',
}

/** What a start with these variables fails with; it gets no further than the plugins. */
async function failure(env: Record<string, string>): Promise<{ code: string; message: string }> {
  const config = resolveConfig({ baseUrl: ORIGIN, dataDir: '/nonexistent/data' }, { rootDir: ROOT, env })
  const secret = { ...config, secret: 'x'.repeat(32) }
  const error: unknown = await createKernel(secret, { logger: captureLog().logger }).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: expect.any(String) })
  const { code, message } = error as { code: string; message: string }
  expect(message).not.toContain('canary')
  return { code, message }
}

test('missing variables are all named at once, each with where its value is found', async () => {
  const { code, message } = await failure({ MCP_AUTH_PROVIDER: 'oidc' })
  expect(code).toBe('ERR_PROXY_CONFIG')
  expect(message.split('\n').map((line) => line.replace(/^.*failed to set up: /, ''))).toEqual([
    "OIDC_ISSUER is missing; it is the provider's address, below which /.well-known/openid-configuration answers",
    `OIDC_CLIENT_ID is missing; register this proxy at the provider as a web application with the callback ${ORIGIN}/auth/callback`,
    'OIDC_CLIENT_SECRET is missing; it stands beside the client id at the provider',
  ])
})

test('an empty variable is a missing one, and what is there is not complained of', async () => {
  const { message } = await failure({ ...ENV, OIDC_CLIENT_SECRET: '  ' })
  expect(message).toContain('OIDC_CLIENT_SECRET is missing')
  expect(message).not.toMatch(/OIDC_ISSUER|OIDC_CLIENT_ID/)
})

/** Issuers nobody should send people to. */
const ISSUERS: Record<string, RegExp> = {
  'login.example.com': /no URL/,
  'http://login.example.com': /must begin with https:\/\//,
  'http://10.0.0.1:8080/': /must begin with https:\/\//,
  'http://localhost.evil.example': /must begin with https:\/\//,
  'http://127.0.0.1.nip.io': /must begin with https:\/\//,
  'ftp://login.example.com': /must begin with https:\/\//,
  'file:///etc/passwd': /must begin with https:\/\//,
  'https://user:canary@login.example.com': /must not hold a user or password/,
  'https://${TENANT}.example.com': /placeholder/,
  'https://login.example.com/?tenant=1': /no query/,
  'https://login.example.com/#x': /no query and no fragment/,
}

for (const [issuer, said] of Object.entries(ISSUERS)) {
  test(`OIDC_ISSUER ${issuer.replace('canary', '…')} is refused`, async () => {
    const { code, message } = await failure({ ...ENV, OIDC_ISSUER: issuer })
    expect(code).toBe('ERR_PROXY_CONFIG')
    expect(message).toMatch(/OIDC_ISSUER: /)
    expect(message).toMatch(said)
  })
}

for (const scopes of ['email profile', 'openid_connect', ',', 'openid "quoted"', 'openid a\\b', 'openid ümlaut']) {
  test(`OIDC_SCOPES ${JSON.stringify(scopes)} is refused`, async () => {
    const { code, message } = await failure({ ...ENV, OIDC_SCOPES: scopes })
    expect(code).toBe('ERR_PROXY_CONFIG')
    expect(message).toMatch(/OIDC_SCOPES: (?:"openid" is missing|".*" is no scope)/)
  })
}

test('options nobody knows are refused, with the plugin named', () => {
  expect(() => authOidc({ clientID: 'x' } as never)).toThrow(/auth-oidc: .*clientID/)
  expect(() => authOidc({ scopes: [] })).toThrow(/auth-oidc: .*scopes/)
  expect(() => authOidc({ scopes: ['a b'] })).toThrow(/auth-oidc: /)
})

async function asked(env: Record<string, string>, options?: object): Promise<Record<string, string>> {
  const idp = await stage.provider()
  const plugins = ['storage-fs', 'access-users', ['auth-oidc', options ?? {}] as const]
  const proxy = await stage.proxy(idp, {
    env: { ...oidcEnv(idp), ...env },
    ...(options !== undefined && { config: { plugins: plugins as never } }),
  })
  const { back } = await proxy.walk({ until: ({ origin }) => origin === idp.origin })
  return Object.fromEntries(back.searchParams)
}

test('OIDC_SCOPES: what is asked for, whatever is between them', async () => {
  expect((await asked({ OIDC_SCOPES: ' openid,email,  read:tools ' }))['scope']).toBe('openid email read:tools')
  expect((await asked({}))['scope']).toBe('openid profile email offline_access')
})

test('OIDC_AUDIENCE: asked for where it is set, and not where it is not', async () => {
  expect((await asked({ OIDC_AUDIENCE: 'https://api.example.com' }))['audience']).toBe('https://api.example.com')
  expect(await asked({ OIDC_AUDIENCE: '' })).not.toHaveProperty('audience')
})

test('a variable goes before the option of the same meaning', async () => {
  const options = { audience: 'https://option.example.com', scopes: ['openid', 'option'], clientId: 'option' }
  const query = await asked({ OIDC_AUDIENCE: '', OIDC_SCOPES: 'openid email' }, options)
  expect(query).toMatchObject({
    audience: 'https://option.example.com',
    scope: 'openid email',
    client_id: 'proxy-at-provider',
  })
})

test('further parameters reach the provider and replace none of ours', async () => {
  const parameters = {
    connection: 'google',
    prompt: 'select_account',
    scope: 'x',
    redirect_uri: 'https://evil.example',
    state: 'fixed',
    nonce: 'fixed',
    code_challenge_method: 'plain',
  }
  const query = await asked({}, { parameters })
  expect(query).toMatchObject({
    connection: 'google',
    prompt: 'select_account',
    scope: 'openid profile email offline_access',
    redirect_uri: `${ORIGIN}/auth/callback`,
    code_challenge_method: 'S256',
  })
  expect([query['state'], query['nonce']]).not.toContain('fixed')
})

test('trustEmail is off by default', async () => {
  const idp = await stage.provider()
  idp.knobs.claims = (sub) => ({ sub, email: 'alice@example.com' })
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'access_denied')
})
