import { afterEach, expect, test, vi } from 'vitest'
import { createKeys } from '../../../../core/keys.ts'
import { createStore } from '../../../../core/store.ts'
import { SourceError, type SourceFailure } from '../../../../plugins/auth-oauth/index.ts'
import { createRefreshTokens } from '../../../../plugins/auth-oauth/refresh-token.ts'
import { fsDriver } from '../../../../plugins/storage-fs/driver.ts'
import { openGate } from '../../../fixtures/oauth/gate.ts'
import {
  codeFields,
  openOAuth,
  type OAuthProxy,
  type OAuthProxyOptions,
  type Registered,
} from '../../../fixtures/oauth/proxy.ts'
import { ALICE, BOB, ISSUER } from '../../../fixtures/oauth/source.ts'
import { granted, refusal } from '../../../fixtures/oauth/token-answers.ts'

const SECRET = 'the secret of these tests has 32 bytes and more'
const DAY = 86_400_000

let proxy: OAuthProxy
afterEach(async () => {
  vi.restoreAllMocks()
  await proxy.close()
})

const open = async (options?: OAuthProxyOptions): Promise<OAuthProxy> => (proxy = await openOAuth(options))

/** How often the source was asked at a refresh. */
const asked = (): number => proxy.source.asked.filter(({ what }) => what === 'refresh').length
/** What it was asked with. */
const askedWith = (): unknown[] => proxy.source.asked.flatMap(({ what, kept }) => (what === 'refresh' ? [kept] : []))
/** How many logins the source was told have ended. */
const letGo = (): number => proxy.source.asked.filter(({ what }) => what === 'revoke').length

async function next(client: Registered, token: string | undefined) {
  return granted(await proxy.refresh(client, token))
}

/** The login lives: its current refresh token can be used, and what it gives. */
async function lives(client: Registered, tokens: { readonly refresh_token?: string }): Promise<void> {
  const { access_token } = await next(client, tokens.refresh_token)
  expect((await proxy.mcp(access_token)).status).toBe(200)
  expect(letGo()).toBe(0)
}

/** The login is over, for every token there ever was. */
async function isOver(
  client: Registered,
  ...all: { readonly access_token: string; readonly refresh_token?: string }[]
): Promise<void> {
  for (const { access_token, refresh_token } of all) {
    expect((await proxy.mcp(access_token)).status).toBe(401)
    await refusal(await proxy.refresh(client, refresh_token), 400, 'invalid_grant')
  }
}

test('T41 a refresh token replayed within the grace: its successor again, and an access token that works; the source is not asked again', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const first = await next(client, tokens.refresh_token)
  for (const after of [0, 30_000, 29_000]) {
    proxy.pass(after)
    const again = await next(client, tokens.refresh_token)
    expect(again.refresh_token).toBe(first.refresh_token)
    expect((await proxy.mcp(again.access_token)).status).toBe(200)
  }
  expect(asked()).toBe(1)
  expect((await proxy.mcp(first.access_token)).status).toBe(200)
  await lives(client, first)
})

test('T41 two and three generations behind within the grace: still answered, with the current token', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const chain = [tokens.refresh_token]
  for (let generation = 1; generation <= 3; generation++) chain.push((await next(client, chain.at(-1))).refresh_token)
  for (const old of chain.slice(0, 3)) expect((await next(client, old)).refresh_token).toBe(chain[3])
  expect(asked()).toBe(3)
  await next(client, chain[3])
})

test('T41 four generations behind is no retry any more, though within the minute: the login is ended', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const all = [tokens]
  for (let generation = 1; generation <= 4; generation++) all.push(await next(client, all.at(-1)?.refresh_token))
  await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
  await isOver(client, ...all)
})

test('T41 the answer of a refresh was lost, and the proxy restarted: the same token is answered all the same', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const lost = await next(client, tokens.refresh_token)
  await proxy.restart()
  const again = await next(client, tokens.refresh_token)
  expect(again.refresh_token).toBe(lost.refresh_token)
  await lives(client, again)
})

test('T42 a replay after the grace: invalid_grant, the whole login ends, the source is told, the log says who', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const current = await next(client, tokens.refresh_token)
  proxy.pass(61_000)
  expect((await proxy.mcp(current.access_token)).status).toBe(200)
  await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
  await isOver(client, tokens, current)
  expect(proxy.source.asked.filter(({ what }) => what === 'revoke')).toEqual([
    { what: 'revoke', kept: { token: 'upstream-secret-1' } },
  ])
  const line = proxy.lines.find(({ text }) => text.includes('refresh-reuse'))
  expect(line?.level).toBe('warn')
  expect(line?.text).toContain('alice@example.com')
  expect(line?.text).toContain(client.client_id)
})

test('T42 the grace counts from when a token was replaced, not from when it was last replayed', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const current = await next(client, tokens.refresh_token)
  for (let half = 0; half < 2; half++) {
    proxy.pass(29_000)
    await next(client, tokens.refresh_token)
  }
  proxy.pass(3000)
  await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
  await isOver(client, current)
})

test('T42 a thief who refreshed first is thrown out when the owner comes', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const thief = [await next(client, tokens.refresh_token)]
  for (let generation = 0; generation < 5; generation++) {
    proxy.pass(600_000)
    thief.push(await next(client, thief.at(-1)?.refresh_token))
  }
  await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
  await isOver(client, ...thief)
})

test('T42 also after a restart, and with tokens of long ago, whose time nobody remembers', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const all = [tokens]
  for (let generation = 0; generation < 10; generation++) {
    proxy.pass(20_000)
    all.push(await next(client, all.at(-1)?.refresh_token))
  }
  await proxy.restart()
  await refusal(await proxy.refresh(client, all[2]?.refresh_token), 400, 'invalid_grant')
  await isOver(client, ...all)
})

test('T43 forged, cut, lengthened and foreign tokens: invalid_grant, and the login they name lives on', async () => {
  await open({ env: { MCP_SECRET: SECRET } })
  const { client, tokens: first } = await proxy.tokens()
  const other = await proxy.tokens(client)
  const tokens = await next(client, first.refresh_token)
  proxy.pass(DAY)
  const token = tokens.refresh_token
  const [prefix = '', login = '', generation = '', mac = ''] = token.split('.')
  const [, foreign = '', , foreignMac = ''] = (other.tokens.refresh_token ?? '').split('.')
  const flipped = (text: string, at: number) => text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
  const forged = [
    ...[0, 1, 20, 41].map((at) => [prefix, login, generation, flipped(mac, at)]),
    ...[0, 10, 21].map((at) => [prefix, flipped(login, at), generation, mac]),
    [prefix, login, '0', mac],
    [prefix, login, '2', mac],
    [prefix, login, '999999999', mac],
    [prefix, login, `0${generation}`, mac],
    [prefix, login, `${generation}.0`, mac],
    [prefix, login, `+${generation}`, mac],
    [prefix, login, '-1', mac],
    [prefix, login, '1e0', mac],
    [prefix, login, '9'.repeat(400), mac],
    [prefix, foreign, generation, mac],
    [prefix, login, generation, foreignMac],
    [prefix, login, '', mac],
    [prefix, login, generation, ''],
    [prefix, login, generation],
    [prefix, login],
    [prefix],
    ['mrt2', login, generation, mac],
    ['MRT1', login, generation, mac],
    [prefix, login.toUpperCase(), generation, mac],
    [prefix, '__proto__'.padEnd(22, '_'), generation, mac],
    [prefix, login, generation, mac.slice(0, -1)],
    [prefix, login, generation, `${mac}A`],
    [prefix, login, generation, `${mac}=`],
    [prefix, login, generation, mac, ''],
    [prefix, login, generation, `${mac}\n`],
    [prefix, login, generation, `${mac} `],
    [' mrt1', login, generation, mac],
    [prefix, login, generation, 'A'.repeat(43)],
    ['a'.repeat(10_000)],
  ]
  for (const parts of forged) {
    const text = parts.join('.')
    await refusal(await proxy.refresh(client, text), 400, 'invalid_grant')
  }
  await refusal(await proxy.refresh(client, ''), 400, 'invalid_request')
  expect(letGo()).toBe(0)
  await lives(client, tokens)
  await lives(client, other.tokens)
})

test('T43 a genuine token of a generation that does not exist yet (a record that was rolled back): invalid_grant, nothing ended', async () => {
  await open({ env: { MCP_SECRET: SECRET } })
  const { client, tokens } = await proxy.tokens()
  const { issue } = createRefreshTokens(createKeys([SECRET]))
  const store = await readLogin()
  expect(issue(store)).toBe(tokens.refresh_token)
  for (const generation of [1, 2, 100])
    await refusal(await proxy.refresh(client, issue({ ...store, generation })), 400, 'invalid_grant')
  expect(asked()).toBe(0)
  await lives(client, tokens)
})

test('T43 a token made with the secret of another deployment, or for a login that has another salt: invalid_grant, nothing ended', async () => {
  await open({ env: { MCP_SECRET: SECRET } })
  const { client, tokens } = await proxy.tokens()
  const login = await readLogin()
  const elsewhere = createRefreshTokens(createKeys(['another secret that is 32 bytes long and more']))
  const here = createRefreshTokens(createKeys([SECRET]))
  const forged = [
    elsewhere.issue(login),
    here.issue({ ...login, salt: 'A'.repeat(22) }),
    here.issue({ ...login, client: 'mcp_other' }),
  ]
  for (const token of forged) await refusal(await proxy.refresh(client, token), 400, 'invalid_grant')
  await lives(client, tokens)
})

/** The only login there is, as it is stored. */
async function readLogin() {
  const store = createStore(fsDriver(`${proxy.dataDir}/store`), {
    keys: createKeys([SECRET]),
    namespace: 'plugin-auth-scripted',
  })
  const found: any[] = []
  for await (const [, login] of store.scan('login')) found.push(login)
  expect(found).toHaveLength(1)
  return found[0]
}

test('T44 another client with a genuine refresh token: invalid_grant, nothing ended, nothing rotated, the source not asked', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const thieves = [await proxy.register(), await proxy.register({ token_endpoint_auth_method: 'client_secret_post' })]
  for (const thief of thieves) await refusal(await proxy.refresh(thief, tokens.refresh_token), 400, 'invalid_grant')
  expect(asked()).toBe(0)
  const current = await next(client, tokens.refresh_token)
  expect(current.refresh_token).toContain('.1.')
  // Not even one that was replaced long ago: it is no word of the owner's.
  proxy.pass(DAY)
  for (const thief of thieves) await refusal(await proxy.refresh(thief, tokens.refresh_token), 400, 'invalid_grant')
  await lives(client, current)
})

test('T44 a confidential client has to prove who it is for its own refresh token', async () => {
  await open()
  const client = await proxy.register({ token_endpoint_auth_method: 'client_secret_basic' })
  const { tokens } = await proxy.tokens(client)
  const { client_secret: _, ...nobody } = client
  await refusal(await proxy.refresh(nobody, tokens.refresh_token), 401, 'invalid_client')
  await lives(client, tokens)
})

/** What the world does to a source, and how it shows. */
const TROUBLES: Record<string, () => unknown> = {
  'a 500': () => new SourceError('unavailable', 'HTTP 500 upstream-secret'),
  'a 429': () => new SourceError('unavailable', 'HTTP 429'),
  'a time-out of its own': () => new DOMException('The operation was aborted due to timeout', 'TimeoutError'),
  ECONNRESET: () => new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }) }),
  'an HTML body': () => new SyntaxError('Unexpected token < in JSON at position 0: <html>upstream-secret'),
  'a foreign error with a familiar face': () =>
    Object.assign(new Error('x'), { error: 'invalid_grant', failure: 'ended' }),
  'a failure of a kind nobody knows': () => Object.assign(new Error('x'), { name: 'SourceError', failure: 'made_up' }),
  'a string': () => 'boom',
  'nothing at all': () => undefined,
  'the operator rotated the secret (invalid_client)': () => new SourceError('misconfigured', 'client secret is wrong'),
}

for (const [name, trouble] of Object.entries(TROUBLES)) {
  test(`T45 the source answers a refresh with ${name}: 503 temporarily_unavailable, the same token works afterwards`, async () => {
    await open()
    const { client, tokens } = await proxy.tokens()
    const { again } = proxy.source
    for (const throwIt of [
      () => {
        throw trouble()
      },
      () => Promise.reject(trouble()),
    ]) {
      proxy.source.again = throwIt
      const text = await refusal(await proxy.refresh(client, tokens.refresh_token), 503, 'temporarily_unavailable')
      expect(text).not.toMatch(/upstream|html|secret|fetch|boom/i)
      expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
    }
    const loud = proxy.lines.filter(({ level, text }) => level === 'error' && text.includes('scripted'))
    expect(loud).toHaveLength(name.startsWith('the operator') ? 2 : 0)
    proxy.source.again = again
    const current = await next(client, tokens.refresh_token)
    expect(current.refresh_token).toContain('.1.')
    expect(askedWith()).toEqual([0, 0, 0].map((number) => ({ token: `upstream-secret-${number}` })))
    await lives(client, current)
  })
}

for (const kind of ['ended', 'denied'] as const satisfies SourceFailure[]) {
  test(`T45 the source says "${kind}" at a refresh: 400 invalid_grant, and the login is over`, async () => {
    await open()
    const { client, tokens } = await proxy.tokens()
    proxy.source.again = () => {
      throw new SourceError(kind, 'upstream-secret: no more', { error: 'login_required' })
    }
    const text = await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
    expect(text).not.toMatch(/upstream|no more/)
    await isOver(client, tokens)
    expect(proxy.log()).toContain('upstream-secret: no more')
  })
}

test('T45 a source that never answers is given 8 s, is told to stop, and is left behind: 503, the same token works afterwards', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const { again } = proxy.source
  const timeouts: { readonly ms: number; readonly end: AbortController }[] = []
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const end = new AbortController()
    timeouts.push({ ms, end })
    return end.signal
  })
  for (const obedient of [true, false]) {
    const heard = openGate<AbortSignal>()
    proxy.source.again = (_kept, signal) => {
      heard.resolve(signal)
      return new Promise((_, reject) => {
        if (obedient) signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    }
    const answer = proxy.refresh(client, tokens.refresh_token)
    const signal = await heard.promise
    expect(signal.aborted).toBe(false)
    const [{ ms, end }] = timeouts.splice(0) as [(typeof timeouts)[0]]
    expect(ms).toBe(8000)
    end.abort(new DOMException('timeout', 'TimeoutError'))
    expect(signal.aborted).toBe(true)
    await refusal(await answer, 503, 'temporarily_unavailable')
  }
  proxy.source.again = again
  await lives(client, await next(client, tokens.refresh_token))
})

test('T45 an answer of the source that comes too late changes nothing any more', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const { again } = proxy.source
  const end = new AbortController()
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(end.signal)
  const [begun, late] = [openGate(), openGate<typeof ALICE>()]
  proxy.source.again = () => {
    begun.resolve()
    return late.promise
  }
  const answer = proxy.refresh(client, tokens.refresh_token)
  await begun.promise
  end.abort()
  await refusal(await answer, 503, 'temporarily_unavailable')
  timeout.mockRestore()
  late.resolve({ ...ALICE, kept: { token: 'too late' } })
  proxy.source.again = again
  await next(client, (await next(client, tokens.refresh_token)).refresh_token)
  expect(askedWith()).not.toContainEqual({ token: 'too late' })
})

test('T47 a refresh may narrow the scope, and the next one has all of it again', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  expect(tokens.scope).toBe('mcp:use offline_access')
  const narrow = await granted(await proxy.refresh(client, tokens.refresh_token, { scope: 'mcp:use' }))
  expect(narrow.scope).toBe('mcp:use')
  expect((await proxy.mcp(narrow.access_token)).status).toBe(200)
  const useless = await granted(await proxy.refresh(client, narrow.refresh_token, { scope: 'offline_access' }))
  expect(useless.scope).toBe('offline_access')
  const refused = await proxy.mcp(useless.access_token)
  expect(refused.status).toBe(403)
  expect(refused.headers.get('www-authenticate')).toContain('error="insufficient_scope"')
  const full = await next(client, useless.refresh_token)
  expect(full.scope).toBe('mcp:use offline_access')
  expect((await proxy.mcp(full.access_token)).status).toBe(200)
})

test('T47 more scope than was granted, or a malformed one: invalid_scope, and the token is not used up', async () => {
  await open()
  const client = await proxy.register()
  const { url, verifier } = proxy.request(client, { scope: 'mcp:use' })
  const code = (await proxy.toClient(proxy.browser(), url)).searchParams.get('code') ?? ''
  const tokens = await granted(await proxy.token(codeFields({ client, code, verifier })))
  expect(tokens.scope).toBe('mcp:use')
  const wider = [
    'mcp:use offline_access',
    'offline_access',
    'mcp:use admin',
    'admin',
    'MCP:USE',
    'mcp:use"',
    'mcp:use\0',
    'é',
    'x'.repeat(5000),
  ]
  for (const scope of wider)
    await refusal(await proxy.refresh(client, tokens.refresh_token, { scope }), 400, 'invalid_scope')
  expect(asked()).toBe(0)
  const same = await granted(await proxy.refresh(client, tokens.refresh_token, { scope: ' mcp:use  mcp:use ' }))
  expect([same.scope, same.refresh_token.split('.')[2]]).toEqual(['mcp:use', '1'])
})

test('T47 a replay within the grace cannot widen either', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  await next(client, tokens.refresh_token)
  await refusal(await proxy.refresh(client, tokens.refresh_token, { scope: 'mcp:use admin' }), 400, 'invalid_scope')
  const narrow = await granted(await proxy.refresh(client, tokens.refresh_token, { scope: 'mcp:use' }))
  expect(narrow.scope).toBe('mcp:use')
})

test('T48 a refresh token as Bearer: 401. An access token as refresh token: invalid_grant. A code as either: no', async () => {
  await open()
  const login = await proxy.login()
  const { client, tokens } = await proxy.tokens(login.client)
  for (const token of [tokens.refresh_token ?? '', login.code]) {
    const refused = await proxy.mcp(token)
    expect(refused.status).toBe(401)
    expect(refused.headers.get('www-authenticate')).toContain('error="invalid_token"')
  }
  for (const token of [tokens.access_token, login.code])
    await refusal(await proxy.refresh(client, token), 400, 'invalid_grant')
  for (const code of [tokens.access_token, tokens.refresh_token ?? ''])
    await refusal(await proxy.token(codeFields({ ...login, code })), 400, 'invalid_grant')
  await granted(await proxy.token(codeFields(login)))
  await lives(client, tokens)
})

test('T49 a login that is not refreshed for 30 days is over; one that is goes on', async () => {
  await open()
  const [idle, used] = [await proxy.tokens(), await proxy.tokens()]
  proxy.pass(29 * DAY)
  const current = await next(used.client, used.tokens.refresh_token)
  proxy.pass(DAY + 1000)
  await isOver(idle.client, idle.tokens)
  await next(used.client, current.refresh_token)
})

test('T49 180 days after it was made a login is over, however often it was refreshed; its last access token does not outlive it', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  let current = { ...tokens, refresh_token: tokens.refresh_token ?? '' }
  for (let passed = 0; passed < 175; passed += 25) {
    proxy.pass(25 * DAY)
    current = await next(client, current.refresh_token)
  }
  proxy.pass(5 * DAY - 600_000)
  const last = await next(client, current.refresh_token)
  expect(last.expires_in).toBeGreaterThan(0)
  expect(last.expires_in).toBeLessThanOrEqual(600)
  proxy.pass(601_000)
  await isOver(client, last)
})

test('T49 the ends that options set hold too, across a restart', async () => {
  await open({ options: { idleLife: 600_000, loginLife: 1_000_000, accessTokenLife: 60_000 } })
  const { client, tokens } = await proxy.tokens()
  expect(tokens.expires_in).toBe(60)
  proxy.pass(500_000)
  await proxy.restart()
  const current = await next(client, tokens.refresh_token)
  proxy.pass(501_000)
  await isOver(client, current)
})

test('T49 the source gave no new token: what it gave before is kept. It gave a new one: that is used the next time', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const answers: (typeof ALICE)[] = [
    { identity: ALICE.identity },
    { identity: ALICE.identity, kept: { token: 'new' } },
    { identity: ALICE.identity },
    { identity: ALICE.identity },
  ]
  let at = 0
  proxy.source.again = () => answers[at++] ?? ALICE
  let token = tokens.refresh_token
  for (const _ of answers) token = (await next(client, token)).refresh_token
  expect(askedWith()).toEqual([
    { token: 'upstream-secret-0' },
    { token: 'upstream-secret-0' },
    { token: 'new' },
    { token: 'new' },
  ])
})

test('T49 a source that gives nothing to be asked again with: no refresh token, and access no longer than it stands by it', async () => {
  await open()
  const end = Date.now() + 600_000
  proxy.source.who = () => ({ identity: ALICE.identity, expires: end })
  const { tokens } = await proxy.tokens()
  expect(tokens).not.toHaveProperty('refresh_token')
  expect(tokens.expires_in).toBeLessThanOrEqual(600)
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  proxy.pass(601_000)
  expect((await proxy.mcp(tokens.access_token)).status).toBe(401)
})

test('T50 the source answers a refresh for another person: invalid_grant, and the login is over', async () => {
  for (const identity of [
    BOB.identity,
    { ...ALICE.identity, subject: 'idp|alice2' },
    { ...ALICE.identity, subject: 'IDP|alice' },
    { ...ALICE.identity, issuer: ISSUER.slice(0, -1) },
  ]) {
    await open()
    const { client, tokens } = await proxy.tokens()
    proxy.source.again = () => ({ identity, kept: { token: 'x' } })
    await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
    await isOver(client, tokens)
    await proxy.close()
  }
})

test('T50 the e-mail address has become one that is not on the list: invalid_grant, and the login is over', async () => {
  for (const changed of [
    { email: 'mallory@example.com' },
    { emailVerified: false },
    { email: 'alice@example.com.evil.example' },
  ]) {
    await open()
    const { client, tokens } = await proxy.tokens()
    proxy.source.again = () => ({ ...ALICE, identity: { ...ALICE.identity, ...changed } })
    await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
    await isOver(client, tokens)
    await proxy.close()
  }
})

test('T50 the e-mail address has become another one on the list: the login goes on under it', async () => {
  const entry = { name: 'Alice', roles: [], allowed_tools: ['*'] }
  await open({ users: { 'alice@example.com': entry, 'alice@new.example': entry } })
  const { client, tokens } = await proxy.tokens()
  proxy.source.again = () => ({ ...ALICE, identity: { ...ALICE.identity, email: 'alice@new.example' } })
  const current = await next(client, tokens.refresh_token)
  expect((await proxy.mcp(current.access_token)).status).toBe(200)
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
})
