import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { everythingIn, recordFile, recordFiles } from '../../../fixtures/oauth/files.ts'
import {
  codeFields,
  openOAuth,
  ORIGIN,
  type OAuthProxy,
  type OAuthProxyOptions,
  type Registered,
} from '../../../fixtures/oauth/proxy.ts'
import { collectionOf, diskError, riggedStorage, type RiggedStorage } from '../../../fixtures/oauth/rigged.ts'
import { openSecond, type SecondProcess } from '../../../fixtures/oauth/second.ts'
import { ALICE, BOB } from '../../../fixtures/oauth/source.ts'
import { withToken } from '../../../fixtures/oauth/tools.ts'
import { granted, refusal, registered } from '../../../fixtures/oauth/token-answers.ts'
import { openLegacy } from '../../../harness.ts'

const ENTRY = { name: 'x', roles: [], allowed_tools: ['*'] }
const TWO = { 'alice@example.com': ENTRY, 'bob@example.com': ENTRY }
/** What was looked at of a login is believed for so long. */
const GLANCE = 5001

let proxy: OAuthProxy
let second: SecondProcess | undefined
afterEach(async () => {
  await second?.close()
  second = undefined
  await proxy.close()
})

const open = async (options?: OAuthProxyOptions): Promise<OAuthProxy> => (proxy = await openOAuth(options))

async function openRigged(): Promise<RiggedStorage> {
  const rigged = riggedStorage()
  await open({ storage: rigged.plugin })
  return rigged
}

function revoke({ client_id }: Registered, token: string): Promise<Response> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  return proxy.fetch('/revoke', { method: 'POST', headers, body: new URLSearchParams({ token, client_id }).toString() })
}

/** Ways a file can be damaged, from its first byte to its last. */
const DAMAGE: Record<string, (bytes: Buffer) => Buffer> = {
  'one bit of the version flipped': (bytes) => flipped(bytes, 0),
  'one bit of the header flipped': (bytes) => flipped(bytes, 2),
  'one bit of the key id flipped': (bytes) => flipped(bytes, 6),
  'one bit of the IV flipped': (bytes) => flipped(bytes, 20),
  'one bit in the middle flipped': (bytes) => flipped(bytes, bytes.length >> 1),
  'one bit of the last character flipped': (bytes) => flipped(bytes, bytes.length - 1),
  'one character more': (bytes) => Buffer.concat([bytes, Buffer.from('A')]),
  'a line break more': (bytes) => Buffer.concat([bytes, Buffer.from('\n')]),
  'the last character cut off': (bytes) => bytes.subarray(0, -1),
  'cut in half': (bytes) => bytes.subarray(0, bytes.length >> 1),
  'one byte left': (bytes) => bytes.subarray(0, 1),
  'nothing left': () => Buffer.alloc(0),
  'zeros, as a file system leaves them after a crash': (bytes) => Buffer.alloc(bytes.length),
  'a JSON record in the clear': () => Buffer.from('1["login:x",null,{"redeemed":true}]'),
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at]! ^= 1
  return copy
}

/** Writes something else into a file; resolves how to undo it. */
async function overwrite(path: string, change: (bytes: Buffer) => Buffer): Promise<() => Promise<void>> {
  const before = await readFile(path)
  await writeFile(path, change(before))
  return () => writeFile(path, before)
}

/** How often the log says that records cannot be read. */
const alerts = (): number =>
  proxy.lines.filter(({ level, text }) => level === 'warn' && /cannot read/.test(text)).length

test('T93 a damaged login is absent and reported, never 500; other logins live, and mended it works again', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const path = await recordFile(proxy.dataDir, 'login')
  const other = await proxy.tokens()
  for (const [name, change] of Object.entries(DAMAGE)) {
    const mend = await overwrite(path, change)
    proxy.pass(GLANCE)
    expect([name, (await proxy.mcp(tokens.access_token)).status]).toEqual([name, 401])
    await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
    expect((await revoke(client, tokens.refresh_token ?? '')).status).toBe(200)
    expect([name, (await proxy.mcp(other.tokens.access_token)).status]).toEqual([name, 200])
    await mend()
    expect([name, (await proxy.mcp(tokens.access_token)).status]).toEqual([name, 200])
  }
  expect(alerts()).toBe(1)
  expect(proxy.log()).not.toContain('failed')
  await granted(await proxy.refresh(client, tokens.refresh_token))
})

test('T93 a damaged client: 401 invalid_client and a page at /authorize; mended it works again', async () => {
  await open()
  const login = await proxy.login()
  const { client, tokens } = await proxy.tokens(login.client)
  const path = await recordFile(proxy.dataDir, 'client')
  for (const change of Object.values(DAMAGE)) {
    const mend = await overwrite(path, change)
    await refusal(await proxy.token(codeFields(login)), 401, 'invalid_client')
    await refusal(await proxy.refresh(client, tokens.refresh_token), 401, 'invalid_client')
    const page = await proxy.browser().get(proxy.request(client).url)
    expect([page.status, page.headers.get('location')]).toEqual([400, null])
    await mend()
  }
  expect(alerts()).toBe(1)
  await granted(await proxy.token(codeFields(login)))
  await granted(await proxy.refresh(client, tokens.refresh_token))
})

test('T93 a damaged code: invalid_grant; mended it can be redeemed, once', async () => {
  await open()
  const login = await proxy.login()
  const path = await recordFile(proxy.dataDir, 'code')
  for (const change of Object.values(DAMAGE)) {
    const mend = await overwrite(path, change)
    await refusal(await proxy.token(codeFields(login)), 400, 'invalid_grant')
    await mend()
  }
  await granted(await proxy.token(codeFields(login)))
  await refusal(await proxy.token(codeFields(login)), 400, 'invalid_grant')
})

test('T93 a damaged request for consent, and one that is under way at the source: a page, no code', async () => {
  await open()
  const client = await proxy.register()
  const browser = proxy.browser()
  const { fields, url } = await proxy.toConsent(browser, proxy.request(client).url)
  const pending = await recordFile(proxy.dataDir, 'authorization')
  for (const change of Object.values(DAMAGE)) {
    const mend = await overwrite(pending, change)
    const [shown, sent] = [await browser.get(url), await browser.submit('/consent', { ...fields, action: 'approve' })]
    expect([shown.status, sent.status, sent.headers.get('location')]).toEqual([400, 400, null])
    await mend()
  }
  const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
  const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state')
  const departed = await recordFile(proxy.dataDir, 'departure')
  for (const change of Object.values(DAMAGE)) {
    const mend = await overwrite(departed, change)
    const back = await browser.get(`/auth/callback?state=${state}&code=x`)
    expect([back.status, back.headers.get('location')]).toEqual([400, null])
    await mend()
  }
  const back = await browser.get(`/auth/callback?state=${state}&code=x`)
  expect(new URL(back.headers.get('location') ?? '').searchParams.get('code')).toMatch(/^[\w-]{43}$/)
})

/** Lets Bob log in next, or Alice. */
function letIn(who: typeof ALICE): void {
  proxy.source.who = () => who
}

test('T93 records swapped between two keys of a collection: both are absent, and nobody becomes somebody else', async () => {
  await open({ users: TWO })
  letIn(ALICE)
  const alice = await proxy.tokens()
  const ofAlice = await recordFile(proxy.dataDir, 'login')
  letIn(BOB)
  const bob = await proxy.tokens(alice.client)
  const ofBob = (await recordFiles(proxy.dataDir, 'login')).find((path) => path !== ofAlice) ?? ''
  const [first, other] = [await readFile(ofAlice), await readFile(ofBob)]
  await writeFile(ofAlice, other)
  await writeFile(ofBob, first)
  proxy.pass(GLANCE)
  for (const { client, tokens } of [alice, bob]) {
    expect((await proxy.mcp(tokens.access_token)).status).toBe(401)
    await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
  }
  expect(alerts()).toBe(1)
  await writeFile(ofAlice, first)
  await writeFile(ofBob, other)
  proxy.source.again = (kept) => ((kept as { token: string }).token === 'upstream-secret-bob' ? BOB : ALICE)
  for (const { client, tokens } of [alice, bob]) await granted(await proxy.refresh(client, tokens.refresh_token))
})

test('T93 a code put in the place of another, spent one: absent, so nobody redeems twice', async () => {
  await open()
  const login = await proxy.login()
  const path = await recordFile(proxy.dataDir, 'code')
  const spare = await proxy.login(login.client)
  const unspent = (await recordFiles(proxy.dataDir, 'code')).find((other) => other !== path) ?? ''
  await granted(await proxy.token(codeFields(login)))
  const spent = (await recordFiles(proxy.dataDir, 'code')).find((other) => other !== unspent) ?? ''
  await copyFile(unspent, spent)
  await refusal(await proxy.token(codeFields(login)), 400, 'invalid_grant')
  await refusal(await proxy.token(codeFields({ ...login, verifier: spare.verifier })), 400, 'invalid_grant')
  await granted(await proxy.token(codeFields(spare)))
})

test('T93 records moved between collections: absent in each', async () => {
  await open()
  const login = await proxy.login()
  const { client, tokens } = await proxy.tokens(login.client)
  const paths = await Promise.all(
    ['client', 'code', 'login'].map(async (collection) => (await recordFiles(proxy.dataDir, collection))[0] ?? ''),
  )
  const before = await Promise.all(paths.map((path) => readFile(path)))
  for (const shift of [1, 2]) {
    await Promise.all(paths.map((path, index) => writeFile(path, before[(index + shift) % 3] ?? '')))
    proxy.pass(GLANCE)
    await refusal(await proxy.token(codeFields(login)), 401, 'invalid_client')
    await refusal(await proxy.refresh(client, tokens.refresh_token), 401, 'invalid_client')
    expect((await proxy.mcp(tokens.access_token)).status).toBeLessThan(500)
  }
  await Promise.all(paths.map((path, index) => writeFile(path, before[index] ?? '')))
  await granted(await proxy.refresh(client, tokens.refresh_token))
})

test('T93 a login rolled back to an earlier record (a risk that stays): its tokens of then work again, later ones are refused, nothing breaks', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const early = await readFile(await recordFile(proxy.dataDir, 'login'))
  const next = await granted(await proxy.refresh(client, tokens.refresh_token))
  const last = await granted(await proxy.refresh(client, next.refresh_token))
  await writeFile(await recordFile(proxy.dataDir, 'login'), early)
  for (const token of [next.refresh_token, last.refresh_token])
    await refusal(await proxy.refresh(client, token), 400, 'invalid_grant')
  proxy.pass(GLANCE)
  expect((await proxy.mcp(last.access_token)).status).toBe(200)
  expect((await granted(await proxy.refresh(client, tokens.refresh_token))).refresh_token).toContain('.1.')
})

test('T93 a restart over damaged records: it starts, says so, and everybody else goes on', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const path = await recordFile(proxy.dataDir, 'login')
  const other = await proxy.tokens()
  await writeFile(path, 'rubbish')
  await proxy.restart()
  expect((await proxy.mcp(tokens.access_token)).status).toBe(401)
  await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
  expect((await proxy.mcp(other.tokens.access_token)).status).toBe(200)
  await granted(await proxy.refresh(other.client, other.tokens.refresh_token))
  expect(alerts()).toBe(1)
})

/** Each way a text may stand in a file. */
function spellings(text: string): Buffer[] {
  const bytes = Buffer.from(text)
  // In base64 it looks different at each of three offsets, but for its ends.
  const shifted = [0, 1, 2].flatMap((offset) => {
    const whole = Buffer.concat([Buffer.alloc(offset, 'x'), bytes])
    return [whole.toString('base64'), whole.toString('base64url')].map((line) =>
      line.slice(Math.ceil((offset * 8) / 6), Math.floor((whole.length * 8) / 6)),
    )
  })
  return [text, encodeURIComponent(text), bytes.toString('hex'), ...shifted].map((spelt) => Buffer.from(spelt))
}

/** Which of the texts can be found in which file, whatever way they are written. */
async function leaksIn(dataDir: string, canaries: Readonly<Record<string, string>>): Promise<string[]> {
  const files = (await everythingIn(dataDir)).filter(({ bytes }) => bytes !== undefined)
  return files.flatMap(({ name, bytes }) =>
    Object.entries(canaries).flatMap(([what, text]) =>
      spellings(text).some((spelling) => bytes?.includes(spelling)) ? [`${what} in ${name}`] : [],
    ),
  )
}

test('T95 everything in the data folder after a whole day of logging in: no token, code, secret, e-mail address or name to be read', async () => {
  await open({ users: TWO })
  // One login in each stage.
  const client = await proxy.register({
    token_endpoint_auth_method: 'client_secret_post',
    client_name: 'Canary Client',
  })
  const { tokens } = await proxy.tokens(client)
  const refreshed = await granted(await proxy.refresh(client, tokens.refresh_token))
  const login = await proxy.login(client)
  const browser = proxy.browser()
  const request = proxy.request(client, { state: 'a-state-of-the-client' })
  const { fields } = await proxy.toConsent(browser, request.url)
  const consentCookies = [...browser.cookies.values()]
  await proxy.toConsent(browser, proxy.request(client).url)
  const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
  const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state') ?? ''
  const session = await openLegacy(`${ORIGIN}/mcp`, '2025-11-25', withToken(proxy, refreshed.access_token))
  expect(session.sessionId).not.toBe('')

  const canaries: Record<string, string> = {
    'access token': tokens.access_token,
    'access token after a refresh': refreshed.access_token,
    'signature of an access token': refreshed.access_token.split('.')[2] ?? '',
    'refresh token': tokens.refresh_token ?? '',
    'mac of a refresh token': refreshed.refresh_token.split('.')[3] ?? '',
    'login id': refreshed.refresh_token.split('.')[1] ?? '',
    code: login.code,
    verifier: login.verifier,
    'client secret': client.client_secret ?? '',
    'client id': client.client_id,
    'client name': 'Canary Client',
    'redirect URI': client.redirect_uris[0] ?? '',
    'state of the client': 'a-state-of-the-client',
    'state at the source': state,
    'consent request': fields['authorization'] ?? '',
    csrf: fields['csrf'] ?? '',
    'first upstream token': 'upstream-secret-0',
    'upstream token': 'upstream-secret-1',
    subject: 'idp|alice',
    person: 'Alice',
    'session id': session.sessionId,
    ...Object.fromEntries(
      [...consentCookies, ...browser.cookies.values()].map((value, index) => [`cookie ${index}`, value]),
    ),
  }
  expect(Object.entries(canaries).filter(([, text]) => text.length < 4)).toEqual([])
  expect(Object.keys(canaries).length).toBeGreaterThan(22)
  expect(await leaksIn(proxy.dataDir, canaries)).toEqual([])
  // The address stands where the operator has written it, and nowhere else; so it can be found.
  expect(await leaksIn(proxy.dataDir, { 'e-mail': 'alice@example.com' })).toEqual(['e-mail in users.json'])
  // Each stage has left something to be scanned.
  for (const collection of ['client', 'authorization', 'departure', 'code', 'login'])
    expect(await recordFiles(proxy.dataDir, collection)).not.toEqual([])
})

test('T95 the scan finds what it looks for, however it is written', async () => {
  await open()
  const text = 'upstream-secret-0'
  const ways = [
    `"${text}"`,
    Buffer.from(text).toString('hex'),
    Buffer.from(text).toString('base64url'),
    Buffer.from(`{"t":"${text}"}`).toString('base64'),
    Buffer.from(`xy${text}`).toString('base64'),
    `1${Buffer.from(`..${text}..`).toString('base64url')}`,
  ]
  for (const way of ways) {
    await writeFile(join(proxy.dataDir, 'planted'), way)
    expect([way, await leaksIn(proxy.dataDir, { it: text })]).toEqual([way, ['it in planted']])
  }
})

test('T95 files are for this user alone (0600, folders 0700), even where the umask would let others in', async () => {
  const before = process.umask(0)
  try {
    await open()
    const { client, tokens } = await proxy.tokens()
    await granted(await proxy.refresh(client, tokens.refresh_token))
    await proxy.login()
    await proxy.restart()
    await granted(await proxy.refresh(client, tokens.refresh_token))
    const entries = (await everythingIn(proxy.dataDir)).filter(({ name }) => name !== 'users.json')
    expect(entries.some(({ name }) => name === 'secret')).toBe(true)
    expect(entries.filter(({ name }) => name.endsWith('.data')).length).toBeGreaterThan(4)
    const others = entries.filter(({ mode, bytes }) => mode !== (bytes === undefined ? 0o700 : 0o600))
    expect(others.map(({ name, mode }) => `${name} ${mode.toString(8)}`)).toEqual([])
  } finally {
    process.umask(before)
  }
})

test('T95 two processes on one store: what one gives the other takes, and what one ends is over in both', async () => {
  await open()
  second = await openSecond(proxy.dataDir)
  const login = await proxy.login()
  const { answers } = await second.token(codeFields(login), 1)
  const tokens = answers[0]!.body
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  const here = await granted(await proxy.refresh(login.client, tokens.refresh_token))
  const fields = { grant_type: 'refresh_token', client_id: login.client.client_id }
  const there = await second.token({ ...fields, refresh_token: here.refresh_token }, 1)
  const last = there.answers[0]!.body
  expect(last.refresh_token).toContain('.2.')
  expect((await proxy.mcp(last.access_token)).status).toBe(200)
  expect((await revoke(login.client, last.access_token)).status).toBe(200)
  const refused = await second.token({ ...fields, refresh_token: last.refresh_token ?? '' }, 1)
  expect(refused.answers).toMatchObject([{ status: 400, body: { error: 'invalid_grant' } }])
  // And single use holds between them.
  await refusal(await proxy.token(codeFields(login)), 400, 'invalid_grant')
})

/** Nothing can be written. */
function fillDisk(rigged: RiggedStorage, code: 'ENOSPC' | 'EROFS' = 'ENOSPC'): void {
  rigged.before = ({ what }) => {
    if (what === 'write') throw diskError(code)
  }
}

/** The n-th write, counted from 0, fails, and no other; resolves how many writes were seen. */
function failWrite(rigged: RiggedStorage, at: number): () => number {
  let writes = 0
  rigged.before = ({ what }) => {
    if (what === 'write' && writes++ === at) throw diskError()
  }
  return () => writes
}

for (const code of ['ENOSPC', 'EROFS'] as const) {
  test(`T96 ${code} while a code is redeemed: 503 and no token; with the disk in order again the same code works`, async () => {
    const rigged = await openRigged()
    const login = await proxy.login()
    fillDisk(rigged, code)
    for (let tried = 0; tried < 3; tried++)
      await refusal(await proxy.token(codeFields(login)), 503, 'temporarily_unavailable')
    rigged.before = undefined
    const tokens = await granted(await proxy.token(codeFields(login)))
    expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
    await granted(await proxy.refresh(login.client, tokens.refresh_token))
  })

  test(`T96 ${code} while a token is refreshed: 503, the source is not even asked; what was given before goes on, and the same token works afterwards`, async () => {
    const rigged = await openRigged()
    const { client, tokens } = await proxy.tokens()
    fillDisk(rigged, code)
    for (let tried = 0; tried < 3; tried++)
      await refusal(await proxy.refresh(client, tokens.refresh_token), 503, 'temporarily_unavailable')
    expect(proxy.source.asked.filter(({ what }) => what === 'refresh')).toEqual([])
    proxy.pass(GLANCE)
    expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
    rigged.before = undefined
    const next = await granted(await proxy.refresh(client, tokens.refresh_token))
    expect(next.refresh_token).toContain('.1.')
    expect((await proxy.mcp(next.access_token)).status).toBe(200)
  })
}

test('T96 any one write of a code exchange fails: no token that cannot be refreshed, and the same code works afterwards', async () => {
  const rigged = await openRigged()
  let failures = 0
  for (let at = 0; ; at++) {
    const login = await proxy.login()
    const writes = failWrite(rigged, at)
    const response = await proxy.token(codeFields(login))
    rigged.before = undefined
    const isPast = writes() <= at
    if (response.status === 503) {
      failures++
      await refusal(response, 503, 'temporarily_unavailable')
    }
    const tokens = await granted(response.status === 503 ? await proxy.token(codeFields(login)) : response)
    expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
    await granted(await proxy.refresh(login.client, tokens.refresh_token))
    if (isPast) break
  }
  expect(failures).toBeGreaterThanOrEqual(2)
})

test('T96 any one write of a refresh fails: nobody is logged out, and the same token works 15 s later at the latest', async () => {
  const rigged = await openRigged()
  let failures = 0
  for (let at = 0; ; at++) {
    const { client, tokens } = await proxy.tokens()
    const writes = failWrite(rigged, at)
    const response = await proxy.refresh(client, tokens.refresh_token)
    rigged.before = undefined
    const isPast = writes() <= at
    if (response.status === 503) {
      failures++
      await refusal(response, 503, 'temporarily_unavailable')
    }
    proxy.pass(15_001)
    const next = await granted(response.status === 503 ? await proxy.refresh(client, tokens.refresh_token) : response)
    expect(next.refresh_token).toContain('.1.')
    expect((await proxy.mcp(next.access_token)).status).toBe(200)
    await granted(await proxy.refresh(client, next.refresh_token))
    if (isPast) break
  }
  expect(failures).toBeGreaterThanOrEqual(2)
})

test('T96 a full disk at /register, /authorize, consent, callback and /revoke: 503 from each, nothing given out, and afterwards everything works', async () => {
  const rigged = await openRigged()
  const client = await proxy.register()
  const { tokens } = await proxy.tokens(client)
  const browser = proxy.browser()
  const { fields } = await proxy.toConsent(browser, proxy.request(client).url)
  const other = proxy.browser()
  const begun = await proxy.toConsent(other, proxy.request(client).url)
  const approved = await other.submit('/consent', { ...begun.fields, action: 'approve' })
  const away = new URL(approved.headers.get('location') ?? '')
  const callback = `/auth/callback?state=${away.searchParams.get('state')}&code=x`
  const asked = proxy.source.asked.length

  fillDisk(rigged)
  await refusal(await proxy.registerRaw({ redirect_uris: client.redirect_uris }), 503, 'temporarily_unavailable')
  await refusal(await revoke(client, tokens.access_token), 503, 'temporarily_unavailable')
  const pages = [
    await browser.get(proxy.request(client).url),
    await browser.submit('/consent', { ...fields, action: 'approve' }),
    await other.get(callback),
  ]
  for (const page of pages) {
    const text = await page.text()
    expect([page.status, page.headers.get('location')]).toEqual([503, null])
    expect(page.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(page.headers.get('content-type')).toMatch(/^text\/html/)
    expect(text).not.toMatch(/ENOSPC|space|disk|rigged/)
  }
  expect(proxy.source.asked).toHaveLength(asked)

  rigged.before = undefined
  await registered(await proxy.registerRaw({ redirect_uris: client.redirect_uris }))
  // Nothing of it was used up: both logins can go on where they were.
  const gone = await browser.submit('/consent', { ...fields, action: 'approve' })
  expect(gone.headers.get('location')).toMatch(/^https:\/\/idp\.test\//)
  const back = await other.get(callback)
  expect(new URL(back.headers.get('location') ?? '').searchParams.get('code')).toMatch(/^[\w-]{43}$/)
  await proxy.tokens(client)
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  expect((await revoke(client, tokens.access_token)).status).toBe(200)
  expect((await proxy.mcp(tokens.access_token)).status).toBe(401)
})

test('T96 the disk is full just when the browser is back from the source: no code, and a new login works afterwards', async () => {
  const rigged = await openRigged()
  const client = await proxy.register()
  for (const collection of ['login', 'code']) {
    const browser = proxy.browser()
    const { fields } = await proxy.toConsent(browser, proxy.request(client).url)
    const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
    const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state')
    rigged.before = (step) => {
      if (step.what === 'write' && collectionOf(step) === collection) throw diskError()
    }
    const back = await browser.get(`/auth/callback?state=${state}&code=x`)
    rigged.before = undefined
    const answer = new URL(back.headers.get('location') ?? '').searchParams
    expect(answer.get('error')).toBe('temporarily_unavailable')
    expect(answer.has('code')).toBe(false)
    await proxy.tokens(client)
  }
})

test('T96 a stolen refresh token comes back while nothing can be written: refused, and the login ends as soon as it can', async () => {
  const rigged = await openRigged()
  const { client, tokens } = await proxy.tokens()
  const current = await granted(await proxy.refresh(client, tokens.refresh_token))
  proxy.pass(61_000)
  fillDisk(rigged)
  await refusal(await proxy.refresh(client, tokens.refresh_token), 503, 'temporarily_unavailable')
  rigged.before = undefined
  await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
  expect((await proxy.mcp(current.access_token)).status).toBe(401)
})

test('T96 nothing can be read: 503 everywhere, never 401 or 400, so that no client throws anything away', async () => {
  const rigged = await openRigged()
  const login = await proxy.login()
  const { client, tokens } = await proxy.tokens(login.client)
  rigged.before = () => {
    throw diskError('EIO')
  }
  proxy.pass(GLANCE)
  expect((await proxy.mcp(tokens.access_token)).status).toBe(503)
  await refusal(await proxy.refresh(client, tokens.refresh_token), 503, 'temporarily_unavailable')
  await refusal(await proxy.token(codeFields(login)), 503, 'temporarily_unavailable')
  await refusal(await revoke(client, tokens.access_token), 503, 'temporarily_unavailable')
  rigged.before = undefined
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  await granted(await proxy.refresh(client, tokens.refresh_token))
  await granted(await proxy.token(codeFields(login)))
})

test('T96 on real files, where no new one can be made: 503, and all is well when there is room again', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const drafts = join(proxy.dataDir, 'store', '.tmp')
  await rm(drafts, { recursive: true })
  // A file where the folder should be: whatever is written there first fails, for root too.
  await writeFile(drafts, '')
  await refusal(await proxy.registerRaw({ redirect_uris: client.redirect_uris }), 503, 'temporarily_unavailable')
  expect((await proxy.browser().get(proxy.request(client).url)).status).toBe(503)
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  await rm(drafts)
  await registered(await proxy.registerRaw({ redirect_uris: client.redirect_uris }))
  await proxy.tokens(client)
})
