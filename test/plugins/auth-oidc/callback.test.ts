import { expect, test } from 'vitest'
import { atCallback, walk } from '../../fixtures/oidc/browser.ts'
import { oidcEnv, type OidcProxy } from '../../fixtures/oidc/proxy.ts'
import type { IdentityProvider } from '../../fixtures/oidc/provider.ts'
import type { Flow } from '../../fixtures/oidc/site.ts'
import { createStage, discreet, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

/** A flow whose browser stands before the proxy's callback. */
async function toCallback(prepare: (idp: IdentityProvider) => void = () => {}) {
  const idp = await stage.provider()
  prepare(idp)
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { flow, back } = await proxy.walk({ until: atCallback })
  return { idp, proxy, flow, back }
}

/** Comes back with this URL instead; resolves where the client gets its answer. */
async function arrive({ browser }: Flow, url: URL): Promise<URL> {
  const response = await browser.get(url.href)
  expect(response.status).toBe(303)
  return new URL(response.headers.get('location') ?? '')
}

/** A page of the proxy's own, and no way to anywhere. */
async function page(response: Response, status: number): Promise<void> {
  expect(response.status).toBe(status)
  expect(response.headers.get('location')).toBeNull()
  expect(response.headers.get('content-type')).toContain('text/html')
  await response.text()
}

function changed(url: URL, change: (query: URLSearchParams) => void): URL {
  const other = new URL(url)
  change(other.searchParams)
  return other
}

async function works(proxy: OidcProxy, flow: Flow, back: URL): Promise<void> {
  const answer = await arrive(flow, back)
  expect((await proxy.redeem(flow, answer)).status).toBe(200)
}

const STATES: Record<string, (query: URLSearchParams) => void> = {
  'another one': (query) => query.set('state', `${'A'.repeat(42)}x`),
  none: (query) => query.delete('state'),
  'an empty one': (query) => query.set('state', ''),
  two: (query) => query.append('state', query.get('state') ?? ''),
  'one of bytes that are no text': (query) => query.set('state', '\u0000\uFFFD'),
  'one with a path in it': (query) => query.set('state', '../../login'),
  'the name of something every object has': (query) => query.set('state', '__proto__'),
}

for (const [name, change] of Object.entries(STATES)) {
  test(`T61 the callback comes with a wrong state, ${name}: a page with 400, nothing is redeemed, and the right one still works`, async () => {
    const { idp, proxy, flow, back } = await toCallback()
    await page(await flow.browser.get(changed(back, change).href), 400)
    expect(idp.count('token')).toBe(0)
    await works(proxy, flow, back)
  })
}

test('T61 a state is good for one return', async () => {
  const { idp, proxy, flow, back } = await toCallback()
  await works(proxy, flow, back)
  await page(await flow.browser.get(back.href), 400)
  expect(idp.count('token')).toBe(1)
})

test('T61 another browser comes back with the right state: 403, the state is burned, nothing is redeemed', async () => {
  const { idp, proxy, flow, back } = await toCallback()
  await page(await proxy.browser().get(back.href), 403)
  await page(await flow.browser.get(back.href), 400)
  expect(idp.count('token')).toBe(0)
})

test('T61 POST to the callback: 405, and GET still works', async () => {
  const { proxy, flow, back } = await toCallback()
  const response = await flow.browser.submit(back.href, {})
  expect(response.status).toBe(405)
  expect(response.headers.get('allow')).toBe('GET')
  await works(proxy, flow, back)
})

const ISSUERS: Record<string, (query: URLSearchParams) => void> = {
  'of another provider': (query) => query.set('iss', 'https://evil.example/'),
  'without its slash': (query) => query.set('iss', (query.get('iss') ?? '').replace(/\/$/, '')),
  'stripped, though it is advertised': (query) => query.delete('iss'),
  empty: (query) => query.set('iss', ''),
}

for (const [name, change] of Object.entries(ISSUERS)) {
  test(`T62 iss ${name}: server_error, and nothing is redeemed`, async () => {
    const { idp, proxy, flow, back } = await toCallback()
    expect(back.searchParams.get('iss')).toBe(idp.issuer)
    refused(flow, await arrive(flow, changed(back, change)), 'server_error')
    expect(idp.count('token')).toBe(0)
    expect(proxy.said(/login failed at .*"iss"/, 'warn')).toHaveLength(1)
    discreet(proxy, idp)
  })
}

test('T62 where iss is not advertised (Auth0’s default) it may be absent, but never wrong', async () => {
  const silent = (idp: IdentityProvider): void => {
    idp.knobs.rewrite.discovery = ({ body }) => void delete body.authorization_response_iss_parameter_supported
  }
  const { proxy, flow, back } = await toCallback(silent)
  await works(
    proxy,
    flow,
    changed(back, (query) => query.delete('iss')),
  )
  const other = await toCallback(silent)
  const wrong = changed(other.back, (query) => query.set('iss', 'https://evil.example/'))
  refused(other.flow, await arrive(other.flow, wrong), 'server_error')
  expect(other.idp.count('token')).toBe(0)
})

test('T62 an error of another provider is not taken for this one’s', async () => {
  const { flow, back } = await toCallback()
  const mixed = changed(back, (query) => {
    query.delete('code')
    query.set('error', 'access_denied')
    query.set('iss', 'https://evil.example/')
  })
  refused(flow, await arrive(flow, mixed), 'server_error')
})

test('T65 the attacker’s code in the victim’s callback: server_error, no code for anybody', async () => {
  const { idp, proxy, flow: victim, back } = await toCallback()
  const attacker = await proxy.begin()
  const stolen = await walk(attacker.browser, attacker.url, { account: 'bob', until: atCallback })
  const injected = changed(back, (query) => query.set('code', stolen.searchParams.get('code') ?? ''))
  refused(victim, await arrive(victim, injected), 'server_error')
  expect(proxy.said(/^logged in/)).toEqual([])
  expect(idp.asked.at(-1)).toMatchObject({ grant: 'authorization_code', status: 400 })
  expect(proxy.said(/login failed at .*invalid_grant/, 'warn')).toHaveLength(1)
  discreet(proxy, idp)
})

test('T65 the provider does not check PKCE: the nonce still gives the attacker’s code away', async () => {
  const { idp, proxy, flow: victim, back } = await toCallback()
  const attacker = await proxy.begin()
  const stolen = await walk(attacker.browser, attacker.url, { account: 'bob', until: atCallback })
  // What a provider without PKCE answers: the tokens of the attacker's login, whatever the verifier.
  const answers: unknown[] = []
  idp.knobs.rewrite.token = (answer) => void answers.push(answer.body)
  await arrive(attacker, stolen)
  idp.knobs.rewrite.token = (answer) => void Object.assign(answer, { status: 200, body: answers[0] })
  refused(victim, await arrive(victim, back), 'server_error')
  expect(proxy.said(/login failed at .*"nonce"/, 'warn')).toHaveLength(1)
})

/** What a provider may say in the callback, and what the client is told of it. */
const ERRORS: readonly (readonly [said: string, told: string])[] = [
  ['access_denied', 'access_denied'],
  ['unauthorized', 'access_denied'],
  ['temporarily_unavailable', 'temporarily_unavailable'],
  ['login_required', 'login_required'],
  ['interaction_required', 'interaction_required'],
  ['server_error', 'server_error'],
  ['unauthorized_client', 'server_error'],
  ['something_new', 'server_error'],
  ['<b>canary</b>', 'server_error'],
  ['x\r\nset-cookie: canary=1', 'server_error'],
  ['canary'.repeat(400), 'server_error'],
]

for (const [said, told] of ERRORS) {
  test(`T71 the provider answers ${JSON.stringify(said.slice(0, 40))} with words of its own: the client gets ${told} and none of them`, async () => {
    const { idp, proxy, flow, back } = await toCallback()
    const answered = changed(back, (query) => {
      query.delete('code')
      query.set('error', said)
      query.set('error_description', '<script>canary</script> client_secret=canary\r\nX: y')
      query.set('error_uri', 'https://evil.example/canary')
    })
    const answer = await arrive(flow, answered)
    refused(flow, answer, told)
    expect(answer.href).not.toContain('canary')
    expect(idp.count('token')).toBe(0)
    expect(proxy.said(/login failed at/, 'warn')).toHaveLength(1)
    discreet(proxy, idp)
  })
}

test('T71 an error without the right state and browser goes nowhere', async () => {
  const { proxy, back } = await toCallback()
  const answered = changed(back, (query) => {
    query.delete('code')
    query.set('error', 'access_denied')
  })
  await page(await proxy.browser().get(answered.href), 403)
})
