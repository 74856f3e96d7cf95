import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type JWTPayload } from 'jose'
import { beforeAll, expect, test } from 'vitest'
import { verifyAccessToken, verifyIdToken } from '../../../plugins/auth-oidc/tokens.ts'
import { newKey, type Forgery } from '../../fixtures/oidc/keys.ts'
import { API } from '../../fixtures/oidc/knobs.ts'
import { oidcEnv } from '../../fixtures/oidc/proxy.ts'
import { CLIENT_ID } from '../../fixtures/oidc/configuration.ts'
import { createStage, discreet, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()
const HOUR = 3600
const seconds = (): number => Math.floor(Date.now() / 1000)

/** ID tokens that are not what they should be, as the provider sends them. */
const FORGERIES: Record<string, Forgery> = {
  'T63 the nonce is another one': { claims: { nonce: 'another' } },
  'T63 the nonce is missing': { without: ['nonce'] },
  'T63 the nonce is no text': { claims: { nonce: ['a'] } },
  'T64 it is not signed': { alg: 'none' },
  'T64 it is signed with the client’s secret': { alg: 'HS256', secret: 'provider-secret-canary-0' },
  'T64 it has expired': { claims: { exp: seconds() - HOUR } },
  'T64 it never expires': { without: ['exp'] },
  'T64 nobody knows when it was made': { without: ['iat'] },
  'T64 it is about nobody': { without: ['sub'] },
  'T64 it is of another issuer': { claims: { iss: 'https://evil.example/' } },
  'T64 its issuer has no slash': { claims: { iss: 'http://localhost' } },
  'T64 it is for another client': { claims: { aud: 'another' } },
  'T64 it is for nobody': { without: ['aud'] },
  'T64 it was made for another client, with this one beside it': {
    claims: { aud: [CLIENT_ID, 'another'], azp: 'another' },
  },
  'T64 it is for two clients, and nobody says which one asked': { claims: { aud: [CLIENT_ID, 'another'] } },
  'T64 its authorized party is another client': { claims: { azp: 'another' } },
  'T64 it is not valid yet': { claims: { nbf: seconds() + HOUR } },
}

for (const [name, forgery] of Object.entries(FORGERIES)) {
  test(`${name}: server_error, and nobody is logged in`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    idp.knobs.idToken = forgery
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'server_error')
    expect(proxy.said(/^logged in/)).toEqual([])
    expect(proxy.said(/login failed at/, 'warn')).toHaveLength(1)
    discreet(proxy, idp)
    idp.knobs.idToken = undefined
    await proxy.login()
  })
}

test('T64 it is signed with a key of somebody else: nobody is logged in', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { privateKey } = await generateKeyPair('RS256')
  idp.knobs.rewrite.token = async ({ body }) => {
    const [header = '', payload = ''] = body.id_token.split('.')
    const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString())
    body.id_token = await new SignJWT(read(payload)).setProtectedHeader(read(header)).sign(privateKey)
  }
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  expect(proxy.said(/its ID token is refused: signature verification failed/, 'warn')).toHaveLength(1)
})

test('T64 the provider gives no ID token: named, with what to do', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  idp.knobs.rewrite.token = ({ body }) => void delete body.id_token
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  expect(proxy.said(/login failed at .*id_token/, 'warn')).toHaveLength(1)
})

test('T69 the access token is opaque, since the provider was not told of the audience: server_error, and one line says what to do', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  idp.knobs.opaque = true
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  expect(proxy.said(/./, 'warn', 'error').map(({ text }) => text)).toEqual([
    expect.stringMatching(
      /^login failed at localhost:\d+: its access token is not for this proxy, it is opaque, no JWT: check OIDC_AUDIENCE; it has to be an API that the provider knows and signs JWTs for/,
    ),
  ])
})

for (const aud of [undefined, API, [API], ['https://other.example.com', API]]) {
  test(`T69 aud ${JSON.stringify(aud ?? 'as Auth0 has it, API and userinfo')}: the audience is among them`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    idp.knobs.aud = aud
    expect((await proxy.mcp(await proxy.login())).status).toBe(200)
  })
}

for (const aud of ['userinfo', ['userinfo'], 'https://other.example.com', `${API}/`, API.toUpperCase()]) {
  test(`T69 aud ${JSON.stringify(aud)}: not for this proxy`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    idp.knobs.aud = aud
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'server_error')
    const [line, ...more] = proxy.said(/./, 'warn', 'error')
    expect(more).toEqual([])
    expect(line?.text).toContain(`it is for ${JSON.stringify(aud)}: check OIDC_AUDIENCE`)
  })
}

for (const [name, forgery] of Object.entries({
  'of another issuer': { claims: { iss: 'https://evil.example/' } },
  'long expired': { claims: { exp: seconds() - HOUR } },
  'signed with a secret': { alg: 'HS256', secret: 'provider-secret-canary-0' },
} satisfies Record<string, Forgery>)) {
  test(`T69 the access token is ${name}: server_error`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    idp.knobs.accessToken = forgery
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'server_error')
    expect(proxy.said(/its access token is refused/, 'warn')).toHaveLength(1)
  })
}

test('T69 without an audience the access token is the provider’s own business', async () => {
  const idp = await stage.provider()
  idp.knobs.opaque = true
  const { OIDC_AUDIENCE: _, ...env } = oidcEnv(idp)
  const proxy = await stage.proxy(idp, { env })
  const login = await proxy.renewed(await proxy.login())
  expect((await proxy.mcp(login)).status).toBe(200)
})

/** Our own check, without openid-client's before it. */
const ISSUER = 'https://idp.example.com/'
let keys: ReturnType<typeof createLocalJWKSet>
let sign: (claims: JWTPayload, header?: Record<string, unknown>) => Promise<string>
let signElsewhere: typeof sign
let publicModulus = ''

beforeAll(async () => {
  const own = await newKey()
  const other = await newKey()
  const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...open } = own
  publicModulus = open.n ?? ''
  keys = createLocalJWKSet({ keys: [open] })
  const signer =
    (key: typeof own) =>
    (claims: JWTPayload, header: Record<string, unknown> = {}) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'RS256', kid: own.kid ?? '', ...header })
        .sign(key, { crit: { x: true } })
  sign = signer(own)
  signElsewhere = signer(other)
})

const good = (more: JWTPayload = {}): JWTPayload => ({
  iss: ISSUER,
  aud: 'us',
  sub: 'auth0|alice',
  iat: seconds(),
  exp: seconds() + HOUR,
  nonce: 'n',
  ...more,
})
const idToken = (token: string, now = Date.now) =>
  verifyIdToken(token, { issuer: ISSUER, clientId: 'us', nonce: 'n', keys, now })

test('T63, T64 our own check of ID tokens: what is right passes', async () => {
  expect(await idToken(await sign(good()))).toMatchObject({ sub: 'auth0|alice' })
  expect(await idToken(await sign(good({ azp: 'us' })))).toBeDefined()
  expect(await idToken(await sign(good({ aud: ['us', 'api'], azp: 'us' })))).toBeDefined()
  expect(await idToken(await sign(good({ exp: seconds() - 20 })))).toBeDefined()
  const { nonce: _, ...again } = good()
  const refreshed = { issuer: ISSUER, clientId: 'us', keys, now: Date.now }
  expect(await verifyIdToken(await sign(again), refreshed)).toBeDefined()
})

const WRONG: Record<string, () => string | Promise<string>> = {
  'another nonce': () => sign(good({ nonce: 'm' })),
  'no nonce': () => sign(good({ nonce: undefined })),
  'another azp': () => sign(good({ azp: 'them' })),
  'two audiences and no azp': () => sign(good({ aud: ['us', 'them'] })),
  'another audience': () => sign(good({ aud: 'them' })),
  'another issuer': () => sign(good({ iss: 'https://idp.example.com' })),
  'no subject': () => sign(good({ sub: undefined as never })),
  'an expiry that is 40 s past': () => sign(good({ exp: seconds() - 40 })),
  'an expiry that is text': () => sign(good({ exp: '9999999999' as never })),
  'no signature': () => new UnsecuredJWT(good()).encode(),
  'an HMAC with the public key': () =>
    new SignJWT(good()).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(publicModulus)),
  'a key of somebody else under the right id': () => signElsewhere(good()),
  'an id of a key nobody knows': () => signElsewhere(good(), { kid: 'unknown' }),
  'a critical header nobody understands': () => sign(good(), { crit: ['x'], x: '1' }),
  nothing: () => '',
  'two parts': () => 'a.b',
  'five parts': () => 'a.b.c.d.e',
}

for (const [name, make] of Object.entries(WRONG)) {
  test(`T63, T64 our own check of ID tokens refuses one with ${name}`, async () => {
    await expect(idToken(await make())).rejects.toMatchObject({ name: 'TokenFault' })
  })
}

test('T64 a key in the token’s own header is not used', async () => {
  const { privateKey, publicKey } = await generateKeyPair('RS256')
  const token = await new SignJWT(good())
    .setProtectedHeader({ alg: 'RS256', jwk: await exportJWK(publicKey), jku: 'https://evil.example/keys' })
    .sign(privateKey)
  await expect(idToken(token)).rejects.toMatchObject({ name: 'TokenFault' })
})

test('T64 times are those of the clock the check was given', async () => {
  const token = await sign(good())
  await expect(idToken(token, () => Date.now() + 2 * HOUR * 1000)).rejects.toMatchObject({ name: 'TokenFault' })
})

test('T69 our own check of access tokens takes no other kind of failure for a wrong audience', async () => {
  const expected = { issuer: ISSUER, audience: 'us', advice: 'look there', keys, now: Date.now }
  expect(await verifyAccessToken(await sign(good()), expected)).toBeDefined()
  await expect(verifyAccessToken(await sign(good({ aud: 'them' })), expected)).rejects.toMatchObject({
    name: 'SourceError',
    failure: 'misconfigured',
    message: expect.stringContaining('look there'),
  })
  await expect(verifyAccessToken(await sign(good({ iss: 'x' })), expected)).rejects.toMatchObject({
    name: 'TokenFault',
  })
  const down = new Error('no key set')
  const broken = { ...expected, keys: () => Promise.reject(down) }
  await expect(verifyAccessToken(await sign(good()), broken)).rejects.toBe(down)
})
