import { expect, test } from 'vitest'
import type { Answer } from '../../fixtures/oidc/knobs.ts'
import { ADVICE } from '../../../plugins/auth-oidc/advice.ts'
import { readMetadata } from '../../../plugins/auth-oidc/metadata.ts'
import { oidcEnv } from '../../fixtures/oidc/proxy.ts'
import { createStage, eventually, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

/** Metadata nobody should follow, and what is said of it. */
const WRONG: Record<string, readonly [change: (answer: Answer) => unknown, said: RegExp]> = {
  'of another issuer': [
    ({ body }) => (body.issuer = 'https://evil.example/'),
    /of another issuer, "https:\/\/evil\.example\/"/,
  ],
  'of an issuer on another path': [({ body }) => (body.issuer += 'realm'), /of another issuer/],
  'of nobody': [({ body }) => delete body.issuer, /of another issuer, nobody/],
  'behind a redirect': [
    (answer) => Object.assign(answer, { status: 302, body: '', headers: { location: 'https://evil.example/canary' } }),
    /answered 302, a redirect/,
  ],
  'not there': [(answer) => Object.assign(answer, { status: 404, body: 'canary' }), /answered 404/],
  'that is a page': [
    (answer) => Object.assign(answer, { body: '<html>canary</html>', headers: { 'content-type': 'text/html' } }),
    /is no JSON object/,
  ],
  'that is a list': [(answer) => (answer.body = [answer.body]), /is no JSON object/],
  'that is endless': [({ body }) => (body.padding = 'x'.repeat(600_000)), /larger than/],
  'without a token endpoint': [({ body }) => delete body.token_endpoint, /token_endpoint is missing/],
  'without keys': [({ body }) => delete body.jwks_uri, /jwks_uri is missing/],
  'whose endpoint is no URL': [
    ({ body }) => (body.authorization_endpoint = '/authorize'),
    /authorization_endpoint is no URL/,
  ],
  'whose token endpoint is in the clear': [
    ({ body }) => (body.token_endpoint = 'http://idp.example.com/token'),
    /token_endpoint does not begin with https:\/\//,
  ],
  'whose keys come in the clear': [
    ({ body }) => (body.jwks_uri = 'http://idp.example.com/keys'),
    /jwks_uri does not begin with https:\/\//,
  ],
  'whose userinfo is a file': [
    ({ body }) => (body.userinfo_endpoint = 'file:///etc/passwd'),
    /userinfo_endpoint does not/,
  ],
  'whose revocation endpoint is a script': [
    ({ body }) => (body.revocation_endpoint = 'javascript:x'),
    /revocation_endpoint/,
  ],
}

for (const [name, [change, said]] of Object.entries(WRONG)) {
  test(`T66 metadata ${name}: the start goes on with one line, logins get temporarily_unavailable, and begin once it is right`, async () => {
    const idp = await stage.provider()
    idp.knobs.rewrite.discovery = change
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    proxy.kernel.start()
    await proxy.kernel.ready
    const line = await eventually('the line at start', () => proxy.said(/^logins at /, 'error')[0])
    expect(line.text).toMatch(said)
    expect(line.text).toMatch(/; check OIDC_ISSUER$/)
    expect(line.text).not.toContain('canary')
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'temporarily_unavailable')
    expect(proxy.said(/./, 'warn', 'error').map(({ text }) => text)).toEqual([
      expect.stringMatching(/^logins at /),
      expect.stringMatching(/^login could not begin at /),
    ])
    // Nothing but the document was asked for, and that not again at once.
    expect(idp.asked.map(({ route }) => route)).toEqual(['discovery'])
  })
}

test('T66 a slash more or less at the end of an issuer is the same one, anything else is not', async () => {
  const read = (issuer: string, found: string) => {
    const endpoint = 'https://idp.example.com/x'
    const body = { issuer: found, authorization_endpoint: endpoint, token_endpoint: endpoint, jwks_uri: endpoint }
    const asked: string[] = []
    const answer = readMetadata({ issuer, overrides: {}, advice: ADVICE } as never, async (url) => {
      asked.push(url)
      return Response.json(body)
    })
    return answer.then(
      (metadata) => [asked[0], metadata.issuer],
      (error: { failure: string }) => [asked[0], error.failure],
    )
  }
  const at = 'https://idp.example.com/realm'
  const document = `${at}/.well-known/openid-configuration`
  for (const issuer of [at, `${at}/`]) {
    // What it calls itself is what its tokens will say.
    expect(await read(issuer, at)).toEqual([document, at])
    expect(await read(issuer, `${at}/`)).toEqual([document, `${at}/`])
    for (const other of [`${at}s`, `${at}//`, 'https://idp.example.com', `${at}?x`, at.replace('https', 'http')]) {
      expect(await read(issuer, other)).toEqual([document, 'unavailable'])
    }
  }
})

test('T66 a slash more or less at the end of OIDC_ISSUER does no harm', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp, { OIDC_ISSUER: idp.issuer.slice(0, -1) }) })
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
})

test('T66 the provider is down at boot: start goes on, consent is asked for, approving says so to the client, and it heals by itself', async () => {
  const idp = await stage.provider()
  await idp.down()
  const proxy = await stage.proxy(idp, { settings: {} })
  proxy.kernel.start()
  await proxy.kernel.ready
  const flow = await proxy.begin()
  const authorized = await flow.browser.get(flow.url)
  const consent = new URL(authorized.headers.get('location') ?? '', flow.url)
  expect([authorized.status, consent.pathname]).toEqual([303, '/consent'])
  expect((await flow.browser.get(consent.href)).status).toBe(200)
  const refusal = await proxy.walk()
  refused(refusal.flow, refusal.back, 'temporarily_unavailable')
  expect(
    proxy.said(/^login could not begin at Auth0: its metadata cannot be read at .*: ECONNREFUSED/, 'error'),
  ).toHaveLength(1)

  await idp.up()
  // Right after a failure nobody asks again.
  const early = await proxy.walk()
  refused(early.flow, early.back, 'temporarily_unavailable')
  expect(idp.asked).toEqual([])
  proxy.pass(5001)
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
  expect(proxy.said(/^Auth0 can be reached again$/, 'info')).toHaveLength(1)
})

test('T66 the clock is set back by a day right after a failure: the metadata is read all the same', async () => {
  const idp = await stage.provider()
  idp.failNext(1, 503, 'discovery')
  const proxy = await stage.proxy(idp, { settings: {} })
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'temporarily_unavailable')
  proxy.pass(-24 * 60 * 60_000)
  await proxy.login()
})

for (const status of [500, 503, 429]) {
  test(`T66 the metadata answers ${status} at boot: one login fails, the next one after a while works`, async () => {
    const idp = await stage.provider()
    idp.failNext(1, status, 'discovery')
    const proxy = await stage.proxy(idp, { settings: {} })
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'temporarily_unavailable')
    expect(proxy.said(new RegExp(`answered ${status}$`), 'error')).toHaveLength(1)
    proxy.pass(5001)
    await proxy.login()
  })
}

test('T66 metadata is read once a day; while it cannot be, the last one is used and that is said once', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { settings: {} })
  await proxy.login()
  await proxy.login()
  expect(idp.count('discovery')).toBe(1)
  const day = 24 * 60 * 60_000
  idp.failNext(2, 404, 'discovery')
  for (let failures = 1; failures <= 2; failures++) {
    proxy.pass(failures === 1 ? day : 5001)
    await proxy.login()
    await eventually('another request', () => idp.count('discovery') === failures + 1)
  }
  expect(proxy.said(/what was read before is used/, 'warn')).toHaveLength(1)
  proxy.pass(5001)
  await proxy.login()
  await eventually('the request that works', () => proxy.said(/can be reached again/, 'info').length === 1)
  await proxy.login()
  expect(idp.count('discovery')).toBe(4)
})

test('T66 many who log in at once ask for the metadata once', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  idp.knobs.delay.discovery = 100
  const logins = await Promise.all(Array.from({ length: 8 }, () => proxy.login()))
  expect(new Set(logins.map(({ tokens }) => tokens.access_token)).size).toBe(8)
  expect(idp.count('discovery')).toBe(1)
})

test('T66 a start without mistakes says nothing', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  proxy.kernel.start()
  await proxy.kernel.ready
  await eventually('the metadata', () => proxy.said(/metadata read/)[0])
  expect(proxy.said(/./, 'warn', 'error')).toEqual([])
})
