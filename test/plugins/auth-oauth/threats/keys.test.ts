import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { everythingIn, recordFiles } from '../../../fixtures/oauth/files.ts'
import {
  codeFields,
  openOAuth,
  ORIGIN,
  type OAuthProxy,
  type OAuthProxyOptions,
} from '../../../fixtures/oauth/proxy.ts'
import { scriptedSource } from '../../../fixtures/oauth/source.ts'
import { withToken } from '../../../fixtures/oauth/tools.ts'
import { granted, refusal, registered } from '../../../fixtures/oauth/token-answers.ts'
import { openLegacy } from '../../../harness.ts'

const [OLD, NEW, NEWER] = ['old', 'new', 'newer'].map((name) => `${name}-secret`.padEnd(40, '.')) as [
  string,
  string,
  string,
]
const GLANCE = 5001

let dataDir: string
let proxy: OAuthProxy | undefined
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-keys-'))
})
afterEach(async () => {
  await proxy?.close()
  proxy = undefined
  await rm(dataDir, { recursive: true })
})

/** A proxy on the folder of this test, with this key ring. */
async function open(secret: string | undefined, more: OAuthProxyOptions = {}): Promise<OAuthProxy> {
  await proxy?.close()
  proxy = undefined
  return (proxy = await openOAuth({ dataDir, env: ringOf(secret), ...more }))
}

function ringOf(secret: string | undefined): Record<string, string> {
  return secret === undefined ? {} : { MCP_SECRET: secret }
}

/** Why a proxy with this key ring does not start. */
async function refusalToStart(secret: string | undefined): Promise<Error & { code?: string }> {
  await proxy?.close()
  proxy = undefined
  try {
    proxy = await openOAuth({ dataDir, env: ringOf(secret) })
  } catch (error) {
    return error as Error
  }
  throw new Error('it did start')
}

/** What is in the store, byte for byte. */
async function snapshot(): Promise<Record<string, string>> {
  const entries = await everythingIn(join(dataDir, 'store'))
  return Object.fromEntries(entries.flatMap(({ name, bytes }) => (bytes ? [[name, bytes.toString('latin1')]] : [])))
}

/** Somebody in every stage of a login. */
async function inEveryStage(oauth: OAuthProxy) {
  const client = await oauth.register({ token_endpoint_auth_method: 'client_secret_post' })
  const { tokens } = await oauth.tokens(client)
  const unredeemed = await oauth.login(client)
  const asked = oauth.browser()
  const consent = await oauth.toConsent(asked, oauth.request(client).url)
  const away = oauth.browser()
  const { fields } = await oauth.toConsent(away, oauth.request(client).url)
  const approved = await away.submit('/consent', { ...fields, action: 'approve' })
  const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state')
  const wire = await openLegacy(`${ORIGIN}/mcp`, '2025-11-25', withToken(oauth, tokens.access_token))
  return { client, tokens, unredeemed, asked, consent, away, callback: `/auth/callback?state=${state}&code=x`, wire }
}

/** All of them can go on. */
async function goOn(oauth: OAuthProxy, all: Awaited<ReturnType<typeof inEveryStage>>): Promise<void> {
  const { client, tokens, unredeemed, asked, consent, away, callback, wire } = all
  expect((await oauth.mcp(tokens.access_token)).status).toBe(200)
  expect(await wire.request('tools/list')).toHaveProperty('result')
  const refreshed = await granted(await oauth.refresh(client, tokens.refresh_token))
  expect((await oauth.mcp(refreshed.access_token)).status).toBe(200)
  // A retry of the old token is still one of the same login.
  await granted(await oauth.refresh(client, tokens.refresh_token))
  await granted(await oauth.token(codeFields(unredeemed)))
  const approved = await asked.submit('/consent', { ...consent.fields, action: 'approve' })
  expect(approved.headers.get('location')).toMatch(/^https:\/\/idp\.test\//)
  const back = await away.get(callback)
  expect(new URL(back.headers.get('location') ?? '').searchParams.get('code')).toMatch(/^[\w-]{43}$/)
}

test('T94 a new secret before the old one: tokens, sessions, codes, consents and logins under way all go on', async () => {
  const oauth = await open(OLD)
  const source = oauth.source
  const all = await inEveryStage(oauth)
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  await goOn(oauth, all)
  expect(source.asked.some(({ what }) => what === 'revoke')).toBe(false)
  expect(oauth.log()).not.toContain('cannot read')
})

test('T94 and so they do after one more restart with both, and after one on the way back', async () => {
  const oauth = await open(OLD)
  const all = await inEveryStage(oauth)
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  const { client, tokens } = await oauth.tokens()
  await oauth.restart({ env: ringOf(` ${NEW} , ${OLD} ,`) })
  await oauth.restart({ env: ringOf(`${OLD},${NEW}`) })
  await goOn(oauth, all)
  expect((await oauth.mcp(tokens.access_token)).status).toBe(200)
  await granted(await oauth.refresh(client, tokens.refresh_token))
})

test('T94 what was ended and spent before a rotation stays so after it', async () => {
  const oauth = await open(OLD)
  const login = await oauth.login()
  const tokens = await granted(await oauth.token(codeFields(login)))
  const next = await granted(await oauth.refresh(login.client, tokens.refresh_token))
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  oauth.pass(61_000)
  await refusal(await oauth.refresh(login.client, tokens.refresh_token), 400, 'invalid_grant')
  expect((await oauth.mcp(next.access_token)).status).toBe(401)
  const other = await oauth.login()
  await granted(await oauth.token(codeFields(other)))
  await oauth.restart({ env: ringOf(`${NEWER},${NEW},${OLD}`) })
  await refusal(await oauth.token(codeFields(other)), 400, 'invalid_grant')
})

test('T94 20 redemptions at once of a code from before the rotation: one gets tokens', async () => {
  const oauth = await open(OLD, { options: { codeReplay: 'deny' } })
  const login = await oauth.login()
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  const responses = await Promise.all(Array.from({ length: 20 }, () => oauth.token(codeFields(login))))
  expect(responses.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(responses.filter(({ status }) => status === 400)).toHaveLength(19)
})

test('T94 new tokens are made with the new secret: they work when the old one has left the ring', async () => {
  const oauth = await open(OLD)
  await oauth.tokens()
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  const { client, tokens } = await oauth.tokens(await oauth.register())
  await oauth.restart({ env: ringOf(NEW) })
  expect((await oauth.mcp(tokens.access_token)).status).toBe(200)
  await granted(await oauth.refresh(client, tokens.refresh_token))
})

test('T94 the old secret leaves the ring after one start with both: it starts, old tokens get 401 and never 500, and one logs in again', async () => {
  const oauth = await open(OLD)
  const { client, tokens, unredeemed, asked, consent, away, callback, wire } = await inEveryStage(oauth)
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  await oauth.restart({ env: ringOf(NEW) })
  const refused = await oauth.mcp(tokens.access_token)
  expect(refused.status).toBe(401)
  expect(refused.headers.get('www-authenticate')).toContain('error="invalid_token"')
  await refusal(await oauth.refresh(client, tokens.refresh_token), 401, 'invalid_client')
  await refusal(await oauth.token(codeFields(unredeemed)), 401, 'invalid_client')
  expect((await asked.submit('/consent', { ...consent.fields, action: 'approve' })).status).toBeGreaterThanOrEqual(400)
  expect((await away.get(callback)).status).toBe(400)
  expect((await wire.post({ jsonrpc: '2.0', id: 9, method: 'tools/list' })).status).toBe(401)
  // A client whose registration is in the configuration, or that registers anew, just logs in.
  const again = await oauth.tokens(await oauth.register())
  expect((await oauth.mcp(again.tokens.access_token)).status).toBe(200)
  expect(oauth.lines.filter(({ level, text }) => level === 'error' && !text.includes('users'))).toEqual([])
})

test('T94 a refresh token made with a secret that has left the ring is forged for all we know: invalid_grant, the login lives', async () => {
  const clients = [{ id: 'fixed', secret: 'a secret of the operator', redirectUris: ['http://localhost/cb'] }]
  const client = { client_id: 'fixed', client_secret: clients[0]!.secret, redirect_uris: ['http://localhost:1/cb'] }
  const oauth = await open(OLD, { options: { clients } })
  const { tokens } = await oauth.tokens(client)
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  const current = await granted(await oauth.refresh(client, tokens.refresh_token))
  await oauth.restart({ env: ringOf(NEW) })
  // Everything under the old secret is out of reach, the login too: nobody has a token any more that would bring it back.
  for (const { access_token, refresh_token } of [tokens, current]) {
    expect((await oauth.mcp(access_token)).status).toBe(401)
    await refusal(await oauth.refresh(client, refresh_token), 400, 'invalid_grant')
  }
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  await granted(await oauth.refresh(client, current.refresh_token))
})

test('T94 the secret of the upstream has nothing to do with it: whatever the source is given, logins live', async () => {
  const oauth = await open(OLD)
  const { client, tokens } = await oauth.tokens()
  const source = scriptedSource()
  await open(OLD, { source })
  expect((await proxy!.mcp(tokens.access_token)).status).toBe(200)
  await granted(await proxy!.refresh(client, tokens.refresh_token))
})

test('T94 a secret of another deployment on the same address: its tokens, codes and sessions are nothing here', async () => {
  const oauth = await open(OLD)
  const { client, tokens } = await oauth.tokens()
  const login = await oauth.login(client)
  const elsewhere = await openOAuth({ env: ringOf(NEW) })
  try {
    expect((await elsewhere.mcp(tokens.access_token)).status).toBe(401)
    await refusal(await elsewhere.refresh(client, tokens.refresh_token), 401, 'invalid_client')
    const theirs = await elsewhere.register()
    await refusal(await elsewhere.refresh(theirs, tokens.refresh_token), 400, 'invalid_grant')
    await refusal(await elsewhere.token(codeFields({ ...login, client: theirs })), 400, 'invalid_grant')
  } finally {
    await elsewhere.close()
  }
})

for (const [name, ring] of [
  ['another secret', NEW],
  ['another secret, and the right one nowhere in the ring', `${NEW},${NEWER}`],
  ['no secret: one is made', undefined],
] as const) {
  test(`T93 a store that was written with a secret that is gone (${name}): it does not start, says what to do, and touches nothing`, async () => {
    const oauth = await open(OLD)
    const { client, tokens } = await oauth.tokens()
    await oauth.close()
    proxy = undefined
    const before = await snapshot()
    for (let tried = 0; tried < 2; tried++) {
      const error = await refusalToStart(ring)
      expect(error.code).toBe('ERR_PROXY_CONFIG')
      expect(error.message).toContain('MCP_SECRET ("new,old")')
      expect(error.message).toContain('<data>/secret')
      expect(error.message).toContain('delete <data>/store')
      expect(error.message).not.toContain(OLD)
      expect(error.message).not.toContain(NEW)
    }
    expect(await snapshot()).toEqual(before)
    // As it says: with the old one back everything is there, behind the new one too.
    const back = await open(ring === undefined ? OLD : `${ring},${OLD}`)
    expect((await back.mcp(tokens.access_token)).status).toBe(200)
    await granted(await back.refresh(client, tokens.refresh_token))
  })
}

test('T93 the file with the made secret is lost: it does not start; brought back it does; without the store it starts anew', async () => {
  const oauth = await open(undefined)
  const { tokens } = await oauth.tokens()
  const path = join(dataDir, 'secret')
  const secret = await readFile(path, 'utf8')
  await oauth.close()
  proxy = undefined
  await rm(path)
  expect((await refusalToStart(undefined)).code).toBe('ERR_PROXY_CONFIG')
  await writeFile(path, secret, { mode: 0o600 })
  expect((await (await open(undefined)).mcp(tokens.access_token)).status).toBe(200)
  await proxy!.close()
  proxy = undefined
  await rm(path)
  await rm(join(dataDir, 'store'), { recursive: true })
  const anew = await open(undefined)
  expect((await anew.mcp(tokens.access_token)).status).toBe(401)
  await anew.tokens()
})

test('T93 the old secret left the ring before it was ever there together with the new one: refused, and not once the mistake is mended', async () => {
  await open(OLD)
  await proxy!.tokens()
  expect((await refusalToStart(NEW)).code).toBe('ERR_PROXY_CONFIG')
  await open(`${NEW},${OLD}`)
  await open(NEW)
  // Now the old one alone is the wrong one.
  expect((await refusalToStart(OLD)).code).toBe('ERR_PROXY_CONFIG')
  await open(`${OLD},${NEW}`)
})

test('T93 the record that proves the ring is damaged: it starts where it can read the rest, or refuses; it never wipes anything', async () => {
  const oauth = await open(OLD)
  const { client, tokens } = await oauth.tokens()
  await oauth.close()
  proxy = undefined
  const entries = await everythingIn(join(dataDir, 'store', 'ring'))
  const proof = entries.find(({ name }) => name.endsWith('.data'))!
  for (const rubbish of ['', 'x', '1[', '1["keys:proof",null]', '2["keys:proof",null,"x"]', '\0'.repeat(40)]) {
    await writeFile(proof.path, rubbish)
    const again = await open(OLD)
    expect((await again.mcp(tokens.access_token)).status).toBe(200)
    await granted(await again.refresh(client, tokens.refresh_token))
    await again.close()
    proxy = undefined
    // Where it is kept may change with each writing.
    const now = (await everythingIn(join(dataDir, 'store', 'ring'))).find(({ name }) => name.endsWith('.data'))!
    Object.assign(proof, { path: now.path })
  }
  // A bit of the seal itself: as far as anybody can tell another secret, so it asks instead of guessing.
  const text = await readFile(proof.path, 'utf8')
  const damaged = text.replace(/.(?="\]$)/, (last) => (last === 'A' ? 'B' : 'A'))
  expect(damaged).not.toBe(text)
  await writeFile(proof.path, damaged)
  const before = await snapshot()
  expect((await refusalToStart(OLD)).code).toBe('ERR_PROXY_CONFIG')
  expect(await snapshot()).toEqual(before)
})

test('T94 with the ring rotated, what is written in place keeps its single use: a login refreshed under both rings has one current token', async () => {
  const oauth = await open(OLD)
  const { client, tokens } = await oauth.tokens()
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  const all = await Promise.all(
    Array.from({ length: 8 }, async () => granted(await oauth.refresh(client, tokens.refresh_token))),
  )
  expect(new Set(all.map(({ refresh_token }) => refresh_token)).size).toBe(1)
  expect(oauth.source.asked.filter(({ what }) => what === 'refresh')).toHaveLength(1)
  oauth.pass(GLANCE)
  expect(await recordFiles(dataDir, 'login')).toHaveLength(1)
  const revoked = await oauth.fetch('/revoke', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: tokens.access_token, client_id: client.client_id }).toString(),
  })
  expect(revoked.status).toBe(200)
  expect(await recordFiles(dataDir, 'login')).toEqual([])
  expect((await oauth.mcp(all[0]!.access_token)).status).toBe(401)
})

test('T94 a client of before the rotation is changed where it is: there are never two of it', async () => {
  const oauth = await open(OLD)
  const client = await oauth.register({ token_endpoint_auth_method: 'client_secret_post' })
  await oauth.restart({ env: ringOf(`${NEW},${OLD}`) })
  const other = await registered(await oauth.registerRaw({ redirect_uris: client.redirect_uris }))
  expect(other['client_id']).not.toBe(client.client_id)
  expect(await recordFiles(dataDir, 'client')).toHaveLength(2)
  await oauth.tokens(client)
  expect(await recordFiles(dataDir, 'client')).toHaveLength(2)
})
