import { createHash } from 'node:crypto'
import { afterEach, expect, test, vi } from 'vitest'
import type { Plugin } from '../../../../core/plugin.ts'
import { memoryDriver } from '../../../../core/store/memory.ts'
import { memoryStore } from '../../../../core/store.ts'
import { steadyClock } from '../../../../plugins/auth-oauth/clock.ts'
import { createCodes } from '../../../../plugins/auth-oauth/codes.ts'
import { createLogins } from '../../../../plugins/auth-oauth/logins.ts'
import {
  CALLBACK,
  codeFields,
  openOAuth,
  ORIGIN,
  type OAuthProxy,
  type OAuthProxyOptions,
} from '../../../fixtures/oauth/proxy.ts'
import { openSecond, type Answer, type SecondProcess } from '../../../fixtures/oauth/second.ts'
import { granted, refusal } from '../../../fixtures/oauth/token-answers.ts'

let proxy: OAuthProxy
let second: SecondProcess | undefined
afterEach(async () => {
  vi.useRealTimers()
  await second?.close()
  second = undefined
  await proxy.close()
})

const open = async (options?: OAuthProxyOptions): Promise<OAuthProxy> => (proxy = await openOAuth(options))
const memory: Plugin = { name: 'storage-memory', setup: () => ({ storage: memoryDriver() }) }

/** Redeems a code `times` at once. */
async function redeemAtOnce(fields: Record<string, string>, times: number): Promise<Answer[]> {
  const responses = await Promise.all(Array.from({ length: times }, () => proxy.token(fields)))
  return Promise.all(
    responses.map(async (response) => ({ status: response.status, body: (await response.json()) as Answer['body'] })),
  )
}

/** Those who got tokens; of the others each got `invalid_grant`. */
function winnersOf(answers: readonly Answer[]): Answer[] {
  const [winners, losers] = [200, 400].map((wanted) => answers.filter(({ status }) => status === wanted))
  expect(winners!.length + losers!.length).toBe(answers.length)
  expect(new Set(losers!.map(({ body }) => body.error))).toEqual(new Set(['invalid_grant']))
  return winners!
}

for (const [name, storage] of [
  ['memory', memory],
  ['storage-fs', undefined],
] as const) {
  test(`T28 a code redeemed 20 times at once (${name}): with codeReplay "deny" exactly one gets tokens, and they work`, async () => {
    await open({ options: { codeReplay: 'deny' }, ...(storage && { storage }) })
    const login = await proxy.login()
    const [winner, ...more] = winnersOf(await redeemAtOnce(codeFields(login), 20))
    expect(more).toEqual([])
    expect((await proxy.mcp(winner!.body.access_token)).status).toBe(200)
    await granted(await proxy.refresh(login.client, winner!.body.refresh_token))
  })

  test(`T28 a code redeemed 20 times at once (${name}): one gets tokens, and they are worth nothing, since the losers knew all`, async () => {
    await open(storage && { storage })
    const login = await proxy.login()
    const winners = winnersOf(await redeemAtOnce(codeFields(login), 20))
    expect(winners).toHaveLength(1)
    for (const { body } of winners) {
      expect((await proxy.mcp(body.access_token)).status).toBe(401)
      await refusal(await proxy.refresh(login.client, body.refresh_token), 400, 'invalid_grant')
    }
    expect(proxy.log()).toContain('its authorization code was redeemed twice')
    expect(proxy.source.asked.filter(({ what }) => what === 'revoke')).toHaveLength(1)
  })
}

test('T28 a code redeemed in two processes at once: with codeReplay "deny" exactly one of 20 gets tokens', async () => {
  await open({ options: { codeReplay: 'deny' } })
  second = await openSecond(proxy.dataDir, { codeReplay: 'deny' })
  for (let round = 0; round < 5; round++) {
    const login = await proxy.login()
    const [here, there] = await Promise.all([redeemAtOnce(codeFields(login), 10), second.token(codeFields(login), 10)])
    const [winner, ...more] = winnersOf([...here, ...there.answers])
    expect(more).toEqual([])
    expect((await proxy.mcp(winner!.body.access_token)).status).toBe(200)
  }
})

test('T28 a code redeemed in two processes at once: one of 20 gets tokens, and they are worth nothing', async () => {
  await open()
  second = await openSecond(proxy.dataDir)
  for (let round = 0; round < 5; round++) {
    const login = await proxy.login()
    const [here, there] = await Promise.all([redeemAtOnce(codeFields(login), 10), second.token(codeFields(login), 10)])
    const winners = winnersOf([...here, ...there.answers])
    expect(winners).toHaveLength(1)
    for (const { body } of winners) {
      expect((await proxy.mcp(body.access_token)).status).toBe(401)
      await refusal(await proxy.refresh(login.client, body.refresh_token), 400, 'invalid_grant')
    }
  }
})

test('T29 a code replayed later with the right verifier: invalid_grant, and every token of its login stops working', async () => {
  await open()
  const login = await proxy.login()
  const tokens = await granted(await proxy.token(codeFields(login)))
  const next = await granted(await proxy.refresh(login.client, tokens.refresh_token))
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  proxy.pass(30 * 60_000)
  await refusal(await proxy.token(codeFields(login)), 400, 'invalid_grant')
  for (const { access_token } of [tokens, next]) expect((await proxy.mcp(access_token)).status).toBe(401)
  for (const { refresh_token } of [tokens, next])
    await refusal(await proxy.refresh(login.client, refresh_token), 400, 'invalid_grant')
})

test('T29 a code replayed after a restart is still known as spent: the login is ended', async () => {
  await open()
  const login = await proxy.login()
  const tokens = await granted(await proxy.token(codeFields(login)))
  await proxy.restart()
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  await refusal(await proxy.token(codeFields(login)), 400, 'invalid_grant')
  expect((await proxy.mcp(tokens.access_token)).status).toBe(401)
})

test('T29 a code replayed with codeReplay "deny": invalid_grant, the tokens live', async () => {
  await open({ options: { codeReplay: 'deny' } })
  const login = await proxy.login()
  const tokens = await granted(await proxy.token(codeFields(login)))
  await refusal(await proxy.token(codeFields(login)), 400, 'invalid_grant')
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  await granted(await proxy.refresh(login.client, tokens.refresh_token))
})

test('T29 a code that somebody saw in a log is no weapon: replayed with a wrong or no verifier, as another client or to another address, the tokens live', async () => {
  await open()
  const login = await proxy.login()
  const other = await proxy.register()
  const fields = codeFields(login)
  const tokens = await granted(await proxy.token(fields))
  const { code_verifier: _, ...without } = fields
  // More often than a living code would bear.
  for (let tried = 0; tried < 5; tried++)
    await refusal(await proxy.token({ ...fields, code_verifier: 'w'.repeat(43) }), 400, 'invalid_grant')
  await refusal(await proxy.token(without), 400, 'invalid_request')
  await refusal(await proxy.token({ ...fields, client_id: other.client_id }), 400, 'invalid_grant')
  await refusal(await proxy.token({ ...fields, redirect_uri: 'http://localhost:3000/other' }), 400, 'invalid_grant')
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  await granted(await proxy.refresh(login.client, tokens.refresh_token))
})

test('T30 a code is good for 120 s and not longer', async () => {
  await open()
  const [early, late, later] = [await proxy.login(), await proxy.login(), await proxy.login()]
  proxy.pass(115_000)
  await granted(await proxy.token(codeFields(early)))
  proxy.pass(5000)
  await refusal(await proxy.token(codeFields(late)), 400, 'invalid_grant')
  proxy.pass(181_000)
  await refusal(await proxy.token(codeFields(later)), 400, 'invalid_grant')
})

test('T30 a wall clock set back an hour: the clock lives are measured by goes on as time really does', () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  vi.setSystemTime(Date.UTC(2030, 0, 1, 12))
  const now = steadyClock()
  const start = now()
  expect(Math.abs(start - Date.UTC(2030, 0, 1, 12))).toBeLessThan(60_000)
  vi.setSystemTime(Date.UTC(2030, 0, 1, 11))
  expect(now()).toBeGreaterThanOrEqual(start)
  // Forward it follows: it may have been behind.
  vi.setSystemTime(Date.UTC(2030, 0, 1, 13))
  expect(now()).toBe(Date.UTC(2030, 0, 1, 13))
})

test('T30 a code that has expired does not come back to life when the wall clock is set back', async () => {
  await open()
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
  const now = steadyClock()
  const codes = createCodes(memoryStore(), now)
  const code = { login: 'l', client: 'c', redirectUri: CALLBACK, challenge: 'x' }
  const [text, sound] = [await codes.create(code), await codes.create(code)]
  vi.advanceTimersByTime(119_000)
  expect(await codes.find(text)).toMatchObject(code)
  vi.setSystemTime(Date.now() - 3_600_000)
  expect(await codes.find(text)).toMatchObject(code)
  expect(await codes.redeem(sound)).toBe(true)
  vi.advanceTimersByTime(2000)
  expect(await codes.find(text)).toBeUndefined()
  expect(await codes.redeem(text)).toBe(false)
})

test('T30 a code does not outlive its wall-clock end in a process started later, whatever that process has measured', async () => {
  await open()
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
  const store = memoryStore()
  const text = await createCodes(store, steadyClock()).create({
    login: 'l',
    client: 'c',
    redirectUri: CALLBACK,
    challenge: 'x',
  })
  // Nobody was there to measure: the wall clock alone knows.
  vi.setSystemTime(Date.now() + 121_000)
  const codes = createCodes(store, steadyClock())
  expect(await codes.find(text)).toBeUndefined()
  expect(await codes.redeem(text)).toBe(false)
})

test('T30 a login that ended in another process is noticed, though the clock was set back in between', async () => {
  await open()
  const store = memoryStore()
  let time = Date.now()
  const [here, there] = [
    createLogins(
      store,
      () => time,
      () => {},
    ),
    createLogins(
      store,
      () => time,
      () => {},
    ),
  ]
  const { id } = await here.create({
    client: 'c',
    user: { id: 'u', subject: 's' },
    resource: `${ORIGIN}/mcp`,
    scopes: ['mcp:use'],
    idleExpires: time + 86_400_000,
    expires: time + 86_400_000,
    redeemed: true,
  })
  expect(await here.glance(id)).toMatchObject({ id })
  await there.end(id)
  // For up to 5 s it may not have been.
  expect(await here.glance(id)).toMatchObject({ id })
  time -= 3_600_000
  expect(await here.glance(id)).toBeUndefined()
})

test('T31 a wrong verifier: invalid_grant, and the right one still works after it', async () => {
  await open()
  const login = await proxy.login()
  const wrong = { ...codeFields(login), code_verifier: 'a'.repeat(64) }
  for (let tried = 0; tried < 2; tried++) await refusal(await proxy.token(wrong), 400, 'invalid_grant')
  await granted(await proxy.token(codeFields(login)))
})

test('T31 three wrong verifiers burn a code, also when they come at once', async () => {
  await open()
  const [slow, quick] = [await proxy.login(), await proxy.login()]
  const wrong = (login: typeof slow) => ({ ...codeFields(login), code_verifier: 'a'.repeat(64) })
  for (let tried = 0; tried < 3; tried++) await refusal(await proxy.token(wrong(slow)), 400, 'invalid_grant')
  expect(winnersOf(await redeemAtOnce(wrong(quick), 3))).toEqual([])
  for (const login of [slow, quick]) await refusal(await proxy.token(codeFields(login)), 400, 'invalid_grant')
})

test('T31 a verifier that is missing, of 42 or 129 characters or of others than RFC 7636 allows: invalid_request, and the code is not charged for it', async () => {
  await open()
  const login = await proxy.login()
  const fields = codeFields(login)
  const { code_verifier: right = '', ...without } = fields
  await refusal(await proxy.token(without), 400, 'invalid_request')
  const malformed = [
    '',
    ' ',
    'a'.repeat(42),
    'a'.repeat(129),
    'a'.repeat(10_000),
    `${right}=`,
    `${right} `,
    ` ${right}`,
    `${right}\n`,
    `${right}\0`,
    `${right}%20`,
    `${right}+`,
    `${right}/`,
    `${'a'.repeat(42)}ä`,
    `${'a'.repeat(42)}\u{1F600}`,
  ]
  for (const code_verifier of malformed)
    await refusal(await proxy.token({ ...fields, code_verifier }), 400, 'invalid_request')
  await granted(await proxy.token(fields))
})

test('T31 verifiers of 43 and of 128 characters, with all characters RFC 7636 allows, are fine', async () => {
  await open()
  const client = await proxy.register()
  for (const verifier of ['-._~'.padEnd(43, 'aZ09'), '~'.repeat(128)]) {
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    const back = await proxy.toClient(proxy.browser(), proxy.request(client, { code_challenge: challenge }).url)
    const code = back.searchParams.get('code') ?? ''
    await granted(await proxy.token(codeFields({ client, code, verifier })))
  }
})

test('T32 PKCE downgrade: the challenge itself as verifier gets invalid_grant', async () => {
  await open()
  const client = await proxy.register()
  const { url, verifier } = proxy.request(client)
  const challenge = new URL(url, ORIGIN).searchParams.get('code_challenge') ?? ''
  const code = (await proxy.toClient(proxy.browser(), url)).searchParams.get('code') ?? ''
  await refusal(await proxy.token(codeFields({ client, code, verifier: challenge })), 400, 'invalid_grant')
  const plain = { ...codeFields({ client, code, verifier: challenge }), code_challenge_method: 'plain' }
  await refusal(await proxy.token(plain), 400, 'invalid_grant')
  await granted(await proxy.token(codeFields({ client, code, verifier })))
})

test('T33 a code redeemed by another client: invalid_grant as often as it tries, and the victim can still redeem', async () => {
  await open()
  const login = await proxy.login()
  const thief = await proxy.register()
  const insider = await proxy.register({ token_endpoint_auth_method: 'client_secret_post' })
  for (const client of [thief, insider, thief, insider])
    await refusal(await proxy.token(codeFields({ ...login, client })), 400, 'invalid_grant')
  await refusal(
    await proxy.token(codeFields({ ...login, client: thief, verifier: 'a'.repeat(43) })),
    400,
    'invalid_grant',
  )
  const tokens = await granted(await proxy.token(codeFields(login)))
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
})

test('T33 a made-up code, and one of another deployment: invalid_grant', async () => {
  await open()
  const login = await proxy.login()
  const { code } = login
  const foreign = await openOAuth()
  const elsewhere = await foreign.login()
  await foreign.close()
  const made = [
    'x',
    'a'.repeat(43),
    elsewhere.code,
    code.toUpperCase(),
    `${code}=`,
    ` ${code}`,
    `${code}\0`,
    '../client',
  ]
  for (const guess of made)
    await refusal(await proxy.token(codeFields({ ...login, code: guess })), 400, 'invalid_grant')
  await granted(await proxy.token(codeFields(login)))
})

test('T34 redirect_uri at the token endpoint: another one gets invalid_grant, even one as good; the right one or none works', async () => {
  await open()
  const client = await proxy.register({ redirect_uris: [CALLBACK, 'http://localhost:3000/second'] })
  const login = await proxy.login(client)
  for (const redirect_uri of [
    'http://localhost:3000/second',
    `${CALLBACK}/`,
    `${CALLBACK}?x=1`,
    'http://localhost:3001/callback',
    'http://LOCALHOST:3000/callback',
    'https://evil.example/callback',
    'x',
  ])
    await refusal(await proxy.token({ ...codeFields(login), redirect_uri }), 400, 'invalid_grant')
  await granted(await proxy.token(codeFields(login)))
  const { redirect_uri: _, ...without } = codeFields(await proxy.login(client))
  await granted(await proxy.token(without))
})

test('T34 the loopback port that was asked for counts, not the registered one', async () => {
  await open()
  const client = await proxy.register({ redirect_uris: ['http://127.0.0.1/callback'] })
  const asked = 'http://127.0.0.1:5555/callback'
  const { url, verifier } = proxy.request(client, { redirect_uri: asked })
  const code = (await proxy.toClient(proxy.browser(), url)).searchParams.get('code') ?? ''
  await refusal(await proxy.token(codeFields({ client, code, verifier })), 400, 'invalid_grant')
  await granted(await proxy.token({ ...codeFields({ client, code, verifier }), redirect_uri: asked }))
})

test('T34 resource at the token endpoint: another one gets invalid_target, and the code is not used up', async () => {
  await open()
  const login = await proxy.login()
  const targets = [
    'https://other.example/mcp',
    `${ORIGIN}/mcp/evil`,
    `${ORIGIN}/mcp?x=1`,
    `${ORIGIN}/mcp#`,
    `${ORIGIN}/%6Dcp`,
    ORIGIN,
    'https://mcp.example.com.evil.example/mcp',
    'https://user@mcp.example.com/mcp',
    'http://mcp.example.com/mcp',
    '/mcp',
    'urn:mcp',
    '\0',
  ]
  for (const resource of targets)
    await refusal(await proxy.token({ ...codeFields(login), resource }), 400, 'invalid_target')
  const right = new URLSearchParams({ ...codeFields(login), resource: `${ORIGIN}/mcp` }).toString()
  const body = `${right}&resource=https%3A%2F%2Fother.example`
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  await refusal(await proxy.fetch(`${ORIGIN}/token`, { method: 'POST', headers, body }), 400, 'invalid_target')
  await granted(await proxy.token({ ...codeFields(login), resource: 'HTTPS://MCP.EXAMPLE.COM:443/mcp/' }))
})

test('T34 resource at a refresh: another one gets invalid_target, and the token is not used up', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const resource = 'https://other.example/mcp'
  await refusal(await proxy.refresh(client, tokens.refresh_token, { resource }), 400, 'invalid_target')
  expect(proxy.source.asked.some(({ what }) => what === 'refresh')).toBe(false)
  await granted(await proxy.refresh(client, tokens.refresh_token, { resource: `${ORIGIN}/mcp` }))
})
