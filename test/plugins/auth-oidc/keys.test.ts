import { generateKeyPair, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { createKeySet } from '../../../plugins/auth-oidc/key-set.ts'
import { newKey } from '../../fixtures/oidc/keys.ts'
import type { Answer } from '../../fixtures/oidc/knobs.ts'
import { createStage, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

async function open() {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { settings: {} })
  await proxy.login()
  expect(idp.count('jwks')).toBe(1)
  return { idp, proxy }
}

test('T67 the provider has a new key: read once more, and logins go on', async () => {
  const { idp, proxy } = await open()
  await idp.rotateKeys()
  proxy.pass(30 * SECOND)
  const logins = await Promise.all(Array.from({ length: 6 }, () => proxy.login()))
  expect(idp.count('jwks')).toBe(2)
  for (const login of logins) expect((await proxy.mcp(login)).status).toBe(200)
})

test('T67 refreshes go on over a new key as well', async () => {
  const { idp, proxy } = await open()
  const login = await proxy.login()
  await idp.rotateKeys()
  proxy.pass(30 * SECOND)
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
  expect(idp.count('jwks')).toBe(2)
})

test('T67 a new key within 30 s of the last look: that login has to wait, a refresh is not lost', async () => {
  const { idp, proxy } = await open()
  const login = await proxy.login()
  await idp.rotateKeys()
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'temporarily_unavailable')
  expect((await proxy.refresh(login)).status).toBe(503)
  expect(idp.count('jwks')).toBe(1)
  proxy.pass(30 * SECOND)
  // The provider has rotated its refresh token for the answer that could not be checked: the new one was kept.
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
  await proxy.login()
})

test('T67 a flood of unknown key ids: at most one request in 30 s', async () => {
  const { idp, proxy } = await open()
  idp.knobs.idToken = { kid: 'unknown' }
  const flood = () => Promise.all(Array.from({ length: 10 }, () => proxy.walk()))
  for (const { flow, back } of await flood()) refused(flow, back, 'temporarily_unavailable')
  expect(idp.count('jwks')).toBe(1)
  proxy.pass(30 * SECOND)
  await flood()
  await flood()
  expect(idp.count('jwks')).toBe(2)
  idp.knobs.idToken = undefined
  await proxy.login()
  expect(idp.count('jwks')).toBe(2)
})

test('T67 the clock is set back by a day right after a look: a new key is read all the same', async () => {
  const { idp, proxy } = await open()
  await idp.rotateKeys()
  proxy.pass(-24 * HOUR)
  await proxy.login()
  expect(idp.count('jwks')).toBe(2)
})

const TROUBLE: Record<string, (answer: Answer) => unknown> = {
  'answers 500': (answer) => Object.assign(answer, { status: 500, body: '' }),
  'answers a page': (answer) => Object.assign(answer, { body: '<html>', headers: { 'content-type': 'text/html' } }),
  'is 1 MB': (answer) => (answer.body.padding = 'x'.repeat(1_000_000)),
  'holds no key': (answer) => (answer.body = { keys: [] }),
  'holds something else': (answer) => (answer.body = { keys: 'none' }),
  'is a redirect': (answer) =>
    Object.assign(answer, { status: 302, body: '', headers: { location: 'https://evil.example/keys' } }),
}

for (const [name, change] of Object.entries(TROUBLE)) {
  test(`T67 the key set ${name} later: the last good one serves for a day, at one request in 30 s, and that is said once`, async () => {
    const { idp, proxy } = await open()
    idp.knobs.accessTokenLife = 30 * 24 * 3600
    idp.knobs.rewrite.jwks = change
    proxy.pass(11 * MINUTE)
    await Promise.all([proxy.login(), proxy.login(), proxy.login()])
    expect(idp.count('jwks')).toBe(2)
    await proxy.login()
    expect(idp.count('jwks')).toBe(2)
    proxy.pass(31 * SECOND)
    await proxy.login()
    expect(idp.count('jwks')).toBe(3)
    expect(proxy.said(/its key set cannot be read: .*; the last one is used/, 'warn')).toHaveLength(1)
    proxy.pass(24 * HOUR)
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'temporarily_unavailable')
    delete idp.knobs.rewrite.jwks
    proxy.pass(31 * SECOND)
    await proxy.login()
  })

  test(`T67 the key set ${name} from the start: logins have to wait, and begin by themselves`, async () => {
    const idp = await stage.provider()
    idp.knobs.rewrite.jwks = change
    const proxy = await stage.proxy(idp, { settings: {} })
    for (let attempt = 0; attempt < 2; attempt++) {
      const { flow, back } = await proxy.walk()
      refused(flow, back, 'temporarily_unavailable')
    }
    expect(idp.count('jwks')).toBe(1)
    delete idp.knobs.rewrite.jwks
    proxy.pass(5001)
    await proxy.login()
    expect(idp.count('jwks')).toBe(2)
  })
}

test('T67 keys are read again after ten minutes, and one that is gone is no longer good', async () => {
  const { idp, proxy } = await open()
  await proxy.login()
  expect(idp.count('jwks')).toBe(1)
  proxy.pass(11 * MINUTE)
  await proxy.login()
  expect(idp.count('jwks')).toBe(2)
})

test('T67 a key set that does not answer: nobody waits for it who has another one', async () => {
  const { privateKey, publicKey } = await generateKeyPair('RS256')
  const { exportJWK } = await import('jose')
  const key = { ...(await exportJWK(publicKey)), kid: 'a', alg: 'RS256' }
  const never = new Promise<never>(() => {})
  let now = 0
  let reads = 0
  const keys = createKeySet({
    read: () => (++reads === 1 ? Promise.resolve({ keys: [key] }) : never),
    now: () => now,
    onstale: () => {},
  })
  const header = { alg: 'RS256', kid: 'a' }
  const token = await new SignJWT({}).setProtectedHeader(header).sign(privateKey)
  const [protectedHeader = '', payload = '', signature = ''] = token.split('.')
  const jws = { protected: protectedHeader, payload, signature }
  expect(await keys(header, jws)).toBeDefined()
  now = 11 * MINUTE
  expect(await Promise.all([keys(header, jws), keys(header, jws)])).toHaveLength(2)
  expect(reads).toBe(2)
})

test('T67 a key that only answers for another algorithm is not used', async () => {
  const keys = createKeySet({
    read: async () => ({ keys: [await newKey()] }),
    now: Date.now,
    onstale: () => {},
  })
  const jws = { payload: '', signature: '' }
  await expect(keys({ alg: 'ES256' }, jws)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' })
})
