import { expect, test } from 'vitest'
import type { Answer } from '../../fixtures/oidc/knobs.ts'
import { oidcEnv } from '../../fixtures/oidc/proxy.ts'
import { createStage, discreet, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

const MEGABYTES = 5 * 1024 * 1024

/** Answers of a token endpoint that are no answers. */
const BROKEN: Record<string, (answer: Answer) => void> = {
  text: (answer) => Object.assign(answer, { body: 'canary', headers: { 'content-type': 'text/plain' } }),
  'text that calls itself JSON': (answer) =>
    Object.assign(answer, { body: '<html>canary</html>', headers: { 'content-type': 'application/json' } }),
  HTML: (answer) => Object.assign(answer, { body: '<html>canary</html>', headers: { 'content-type': 'text/html' } }),
  nothing: (answer) => Object.assign(answer, { body: '', headers: { 'content-type': 'application/json' } }),
  null: (answer) => Object.assign(answer, { body: 'null', headers: { 'content-type': 'application/json' } }),
  'an array': (answer) => void (answer.body = [answer.body]),
  'a form, as some did before RFC 6749': (answer) =>
    Object.assign(answer, {
      body: new URLSearchParams(answer.body).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    }),
  '200 with an error': (answer) => void (answer.body = { error: 'invalid_grant', error_description: 'canary' }),
  'no access token': ({ body }) => void delete body.access_token,
  'an access token that is no text': ({ body }) => void (body.access_token = { canary: 1 }),
  'no token type': ({ body }) => void delete body.token_type,
  'another token type': ({ body }) => void (body.token_type = 'mac'),
  'a life that is no number': ({ body }) => void (body.expires_in = 'canary'),
  'a negative life': ({ body }) => void (body.expires_in = -5),
  'a refresh token that is no text': ({ body }) => void (body.refresh_token = ['canary']),
  'an ID token that is none': ({ body }) => void (body.id_token = 'canary'),
  '5 MB': ({ body }) => void (body.padding = 'x'.repeat(MEGABYTES)),
  '5 MB of text': (answer) => void (answer.body = 'x'.repeat(MEGABYTES)),
  'a redirect': (answer) =>
    Object.assign(answer, { status: 307, body: '', headers: { location: 'https://evil.example/canary' } }),
  '400 without a word': (answer) => Object.assign(answer, { status: 400, body: '' }),
}

for (const [name, change] of Object.entries(BROKEN)) {
  test(`T68 the provider answers a login with ${name}: server_error, and none of it goes anywhere`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    idp.knobs.rewrite.token = change
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'server_error')
    expect(proxy.said(/^login failed at localhost:\d+: \S/, 'warn')).toHaveLength(1)
    expect(idp.count('token')).toBe(1)
    discreet(proxy, idp)
    delete idp.knobs.rewrite.token
    await proxy.login()
  })

  test(`T68 the provider answers a refresh with ${name}: 503, and nobody is logged out over it`, async () => {
    const idp = await stage.provider()
    idp.knobs.rotation = 'overlap'
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    const login = await proxy.login()
    idp.knobs.rewrite.token = change
    const response = await proxy.refresh(login)
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await response.json()).toMatchObject({ error: 'temporarily_unavailable' })
    expect((await proxy.mcp(login)).status).toBe(200)
    delete idp.knobs.rewrite.token
    expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
    discreet(proxy, idp)
  })
}

/** Lives that are odd and all the same ones. */
const LIVES: readonly (readonly [expires: unknown, life: number])[] = [
  ['3600', 3600],
  [90.7, 90],
  [0, 1],
  [1e308, 3600],
  [Number.MAX_SAFE_INTEGER, 3600],
  [undefined, 3600],
]

for (const [expires, life] of LIVES) {
  test(`T68 expires_in ${JSON.stringify(expires)} without a refresh token: our token lives ${life} s`, async () => {
    const idp = await stage.provider()
    idp.knobs.offline = false
    idp.knobs.rewrite.token = ({ body }) => void (body.expires_in = expires)
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    const { tokens } = await proxy.login()
    expect(tokens.refresh_token).toBeUndefined()
    expect(Number.isInteger(tokens.expires_in)).toBe(true)
    expect(tokens.expires_in).toBeLessThanOrEqual(life)
    expect(tokens.expires_in).toBeGreaterThanOrEqual(Math.max(1, life - 20))
  })
}

for (const status of [500, 502, 503, 429]) {
  test(`T68 the provider answers a login with ${status}: temporarily_unavailable`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    idp.failNext(1, status)
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'temporarily_unavailable')
    expect(proxy.said(new RegExp(`^login failed at .*/oauth/token answered ${status}`), 'warn')).toHaveLength(1)
    discreet(proxy, idp)
    await proxy.login()
  })
}

test('T68 an answer that drips and never ends is bounded', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  let dripped = 0
  idp.knobs.rewrite.token = async (answer) => {
    const { Readable } = await import('node:stream')
    async function* drops() {
      for (;;) {
        dripped += 65_536
        yield Buffer.alloc(65_536, 'x')
      }
    }
    answer.body = Readable.from(drops())
  }
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  expect(dripped).toBeLessThan(64 * 1024 * 1024)
})

test('T71 a token endpoint’s words for its error are read and not repeated, its code only if it is one', async () => {
  for (const [error, shown] of [
    ['invalid_grant', '400 invalid_grant'],
    ['<b>canary</b>', '400 an error'],
    ['canary canary', '400 an error'],
  ] as const) {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
    idp.knobs.rewrite.token = (answer) =>
      Object.assign(answer, {
        status: 400,
        body: { error, error_description: `secret ${idp.knobs.secret} <script>canary</script>`, error_uri: 'canary' },
      })
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'server_error')
    expect(proxy.said(/^login failed at/, 'warn')[0]?.text).toContain(`it answered ${shown}`)
    discreet(proxy, idp)
  }
})
