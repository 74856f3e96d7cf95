import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Identified } from '../../../../plugins/auth-oauth/index.ts'
import { eventsOf, nextMessage } from '../../../fixtures/oauth/events.ts'
import { codeFields, ORIGIN, type Registered, type Tokens } from '../../../fixtures/oauth/proxy.ts'
import { recordsOf } from '../../../fixtures/oauth/records.ts'
import { ALICE, BOB, ISSUER } from '../../../fixtures/oauth/source.ts'
import { callTool, modernRequest, openTools, withToken, type ToolProxy } from '../../../fixtures/oauth/tools.ts'
import { messagesOf, openLegacy } from '../../../harness.ts'

const SECRET = 'the secret of the proxy under test has more than 32 bytes'
const RESOURCE = `${ORIGIN}/mcp`
const INVALID = `Bearer error="invalid_token", error_description="The access token is invalid, expired or revoked.", resource_metadata="${ORIGIN}/.well-known/oauth-protected-resource/mcp", scope="mcp:use"`

const ENTRIES = {
  'alice@example.com': { name: 'Alice', roles: [], allowed_tools: ['*'] },
  'bob@example.com': { name: 'Bob', roles: [], allowed_tools: ['*'] },
}
const { 'alice@example.com': _alice, ...WITHOUT_ALICE } = ENTRIES

/** Until the file has been read: it is looked at every second, and may settle for another one. */
const SOON = { timeout: 20_000, interval: 50 }

let proxy: ToolProxy
afterEach(() => proxy.close())

const open = async (users: object = ENTRIES) => void (proxy = await openTools({ users, env: { MCP_SECRET: SECRET } }))
const usersFile = (): string => join(proxy.dataDir, 'users.json')
const write = (users: object) => writeFile(usersFile(), JSON.stringify(users))
const logins = () => recordsOf(proxy.dataDir, SECRET, 'login')
const codes = () => recordsOf(proxy.dataDir, SECRET, 'code')
/** Until the log says so: something on disk has been seen. */
const seen = (text: string | RegExp) => vi.waitFor(() => expect(proxy.log()).toMatch(text), SOON)

async function login(who: Identified): Promise<{ client: Registered; tokens: Tokens }> {
  proxy.source.who = () => who
  proxy.source.again = (kept) => [ALICE, BOB].find((one) => isDeepStrictEqual(one.kept, kept)) ?? ALICE
  return proxy.tokens()
}

/** A whole login up to the client's callback. */
async function arrive(who: Identified, state = 'client state +/é'): Promise<{ back: URL; client: Registered }> {
  proxy.source.who = () => who
  const client = await proxy.register()
  return { client, back: await proxy.toClient(proxy.browser(), proxy.request(client, { state }).url) }
}

function expectDenied(back: URL, state = 'client state +/é'): void {
  expect(back.origin + back.pathname).toBe('http://localhost:3000/callback')
  const { error_description: description, ...rest } = Object.fromEntries(back.searchParams)
  expect(rest).toEqual({ error: 'access_denied', state, iss: ORIGIN })
  expect(description).toBe('This user may not use this server.')
}

describe('T72', () => {
  const someone = (more: object): Identified => ({
    identity: { issuer: ISSUER, subject: 'idp|mallory', email: 'mallory@example.com', emailVerified: true, ...more },
    kept: { token: 'upstream-secret-mallory' },
  })

  test.each<[string, Identified]>([
    ['an address that is not listed', someone({})],
    ['a listed address that nobody has verified', someone({ email: 'alice@example.com', emailVerified: false })],
    [
      'a listed address of which nobody says whether',
      someone({ email: 'alice@example.com', emailVerified: undefined }),
    ],
    [
      'a listed address as name and subject only',
      someone({ email: undefined, name: 'alice@example.com', subject: 'alice@example.com' }),
    ],
    ['a listed address as subject, with the mark of subjects', someone({ email: 'sub:alice@example.com' })],
    ['no address', someone({ email: undefined })],
    ['an empty address', someone({ email: '' })],
  ])('T72 login of %s → access_denied to the client, no grant', async (_who, who) => {
    await open()
    expectDenied((await arrive(who)).back)
    expect([await logins(), await codes()]).toEqual([[], []])
    expect(proxy.log()).not.toContain('upstream-secret-mallory')
  })

  test('T72 login with an empty list → access_denied to the client, no grant', async () => {
    await open({})
    expectDenied((await arrive(ALICE)).back)
    expect([await logins(), await codes()]).toEqual([[], []])
  })

  test('T72 control: a listed user gets in, whose login is the only one there is', async () => {
    await open()
    const { back } = await arrive(ALICE)
    expect(back.searchParams.get('error')).toBeNull()
    expect(await logins()).toMatchObject([{ user: { email: 'alice@example.com' } }])
    expect(await codes()).toHaveLength(1)
  })

  test('T72 user taken off the list on disk → the next login is refused; put back → it is not', async () => {
    await open()
    expect((await arrive(ALICE)).back.searchParams.get('code')).not.toBeNull()
    await write(WITHOUT_ALICE)
    await seen('1 removed')
    expectDenied((await arrive(ALICE)).back)
    await write(ENTRIES)
    await seen('1 added')
    expect((await arrive(ALICE)).back.searchParams.get('code')).not.toBeNull()
  })

  test('T72 user taken off between consent and callback → access_denied, no grant', async () => {
    await open()
    proxy.source.who = async () => {
      await write(WITHOUT_ALICE)
      await seen('1 removed')
      return ALICE
    }
    const client = await proxy.register()
    const { url } = proxy.request(client, { state: 's' })
    expectDenied(await proxy.toClient(proxy.browser(), url), 's')
    expect([await logins(), await codes()]).toEqual([[], []])
  })

  test('T72 user taken off between callback and redemption of the code → invalid_grant, the login is over', async () => {
    await open()
    const made = await proxy.login()
    await write(WITHOUT_ALICE)
    await seen('1 removed')
    const response = await proxy.token(codeFields(made))
    expect([response.status, await response.json()]).toEqual([
      400,
      { error: 'invalid_grant', error_description: expect.not.stringMatching(/alice|@|list/) },
    ])
    expect(await logins()).toEqual([])
  })

  test('T72 list missing at the callback → temporarily_unavailable, no grant', async () => {
    await open()
    await rm(usersFile())
    await seen('nobody is let in until it is back')
    const { back } = await arrive(ALICE)
    expect(back.searchParams.get('error')).toBe('temporarily_unavailable')
    expect([await logins(), await codes()]).toEqual([[], []])
  })
})

describe('T73', () => {
  async function expectOver(tokens: Tokens, client: Registered): Promise<void> {
    const response = await proxy.mcp(tokens.access_token)
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, INVALID])
    const text = await response.text()
    expect(JSON.parse(text)).toMatchObject({ error: 'invalid_token' })
    expect(text).not.toMatch(/alice|example\.com/)
    const refreshed = await proxy.refresh(client, tokens.refresh_token)
    expect([refreshed.status, await refreshed.json()]).toEqual([
      400,
      { error: 'invalid_grant', error_description: 'The refresh token is invalid.' },
    ])
  }

  test('T73 user taken off the list while holding tokens → 401 invalid_token, refresh invalid_grant; nobody else notices', async () => {
    await open()
    const alice = await login(ALICE)
    const bob = await login(BOB)
    expect((await proxy.mcp(alice.tokens.access_token)).status).toBe(200)
    await write(WITHOUT_ALICE)
    await vi.waitFor(async () => expect((await proxy.mcp(alice.tokens.access_token)).status).toBe(401), SOON)
    await expectOver(alice.tokens, alice.client)
    expect(await logins()).toMatchObject([{ user: { email: 'bob@example.com' } }])
    expect(proxy.source.asked.filter(({ what }) => what === 'revoke')).toEqual([{ what: 'revoke', kept: ALICE.kept }])
    expect((await proxy.mcp(bob.tokens.access_token)).status).toBe(200)
    expect((await proxy.refresh(bob.client, bob.tokens.refresh_token)).status).toBe(200)
    // Back on the list: what has ended stays so, a new login is possible.
    await write(ENTRIES)
    await seen('1 added')
    await expectOver(alice.tokens, alice.client)
    const again = await login(ALICE)
    expect((await proxy.mcp(again.tokens.access_token)).status).toBe(200)
  })

  test('T73 user taken off, first heard of by a refresh → invalid_grant, and the access token is over too', async () => {
    await open()
    const { client, tokens } = await login(ALICE)
    await write(WITHOUT_ALICE)
    await seen('1 removed')
    const refreshed = await proxy.refresh(client, tokens.refresh_token)
    expect([refreshed.status, await refreshed.json()]).toMatchObject([400, { error: 'invalid_grant' }])
    // The source is not asked about somebody who may not come in anyway.
    expect(proxy.source.asked.map(({ what }) => what)).not.toContain('refresh')
    await expectOver(tokens, client)
    expect(await logins()).toEqual([])
  })

  test.each(['POST', 'GET', 'DELETE'])('T73 user taken off with a legacy session: %s → 401', async (method) => {
    await open()
    const { tokens } = await login(ALICE)
    const fetcher = withToken(proxy, tokens.access_token)
    const wire = await openLegacy(RESOURCE, '2025-11-25', fetcher)
    await write(WITHOUT_ALICE)
    await seen('1 removed')
    const headers = { 'mcp-session-id': wire.sessionId, accept: 'text/event-stream' }
    const response =
      method === 'POST'
        ? await wire.post({ jsonrpc: '2.0', id: 1, method: 'ping' })
        : await fetcher(RESOURCE, { method, headers })
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, INVALID])
    expect(await logins()).toEqual([])
  })

  /** Both kinds of streams that stay open, of one user. */
  async function openStreams({ access_token: token }: Tokens) {
    const fetcher = withToken(proxy, token)
    const wire = await openLegacy(RESOURCE, '2025-11-25', fetcher)
    const get = await fetcher(RESOURCE, { headers: { 'mcp-session-id': wire.sessionId, accept: 'text/event-stream' } })
    const listen = await fetcher(
      RESOURCE,
      modernRequest('subscriptions/listen', { notifications: { toolsListChanged: true } }),
    )
    expect([get.status, listen.status]).toEqual([200, 200])
    const [legacy, modern] = [eventsOf(get), eventsOf(listen)]
    expect(await nextMessage(modern)).toMatchObject({ method: 'notifications/subscriptions/acknowledged' })
    return { legacy, modern }
  }

  async function expectClosed({ legacy, modern }: Awaited<ReturnType<typeof openStreams>>): Promise<void> {
    expect(await lastMessage(legacy)).toBeUndefined()
    expect(await lastMessage(modern)).toMatchObject({ result: { resultType: 'complete' } })
    expect(await nextMessage(modern)).toBeUndefined()
  }

  /** The first that is no news of a list: a server that has just come may still have had some. */
  async function lastMessage(events: Parameters<typeof nextMessage>[0]): Promise<any> {
    for (;;) {
      const message = await nextMessage(events)
      if (message?.method !== 'notifications/tools/list_changed') return message
    }
  }

  async function expectOpen({ legacy, modern }: Awaited<ReturnType<typeof openStreams>>): Promise<void> {
    proxy.grow()
    expect(await nextMessage(legacy)).toMatchObject({ method: 'notifications/tools/list_changed' })
    expect(await nextMessage(modern)).toMatchObject({ method: 'notifications/tools/list_changed' })
  }

  test('T73 user taken off with open streams → they close without any request; those of others stay', async () => {
    await open()
    const alice = await login(ALICE)
    const bob = await login(BOB)
    const streams = { alice: await openStreams(alice.tokens), bob: await openStreams(bob.tokens) }
    await expectOpen(streams.alice)
    await nextMessage(streams.bob.legacy)
    await nextMessage(streams.bob.modern)
    await write(WITHOUT_ALICE)
    await expectClosed(streams.alice)
    await expectOpen(streams.bob)
    await expectOver(alice.tokens, alice.client)
  })

  test('T73 user taken off and put back before they ask for anything → their logins have ended all the same', async () => {
    await open()
    const { client, tokens } = await login(ALICE)
    await write(WITHOUT_ALICE)
    await seen('1 removed')
    await write(ENTRIES)
    await seen('1 added')
    await expectOver(tokens, client)
  })

  test('T73 tools taken away while logged in → streams close, tokens stay, the tool answers like an unknown one', async () => {
    await open()
    const { client, tokens } = await login(ALICE)
    const streams = await openStreams(tokens)
    expect(await messagesOf(await callTool(proxy, tokens.access_token, 'echo'))).toMatchObject([{ result: {} }])
    await write({ ...ENTRIES, 'alice@example.com': { ...ENTRIES['alice@example.com'], allowed_tools: ['in_wait'] } })
    await expectClosed(streams)
    const [listed] = await messagesOf(await proxy.mcp(tokens.access_token))
    expect(listed.result.tools.map(({ name }: { name: string }) => name)).toEqual(['in_wait'])
    const answers = await Promise.all(
      ['echo', 'never'].map(async (name) => messagesOf(await callTool(proxy, tokens.access_token, name))),
    )
    expect(answers).toEqual(
      ['in_echo', 'in_never'].map((name) => [
        { jsonrpc: '2.0', id: 1, error: { code: -32602, message: `Unknown tool: ${name}` } },
      ]),
    )
    expect((await proxy.refresh(client, tokens.refresh_token)).status).toBe(200)
  })

  test('T73 list missing → 503 on the endpoint and at /token, nothing is revoked; back → the same tokens work', async () => {
    await open()
    const alice = await login(ALICE)
    const bob = await login(BOB)
    const streams = await openStreams(bob.tokens)
    proxy.source.who = () => ALICE
    const code = await proxy.login()
    await rm(usersFile())
    await vi.waitFor(async () => expect((await proxy.mcp(alice.tokens.access_token)).status).toBe(503), SOON)
    const responses = {
      'access token': await proxy.mcp(alice.tokens.access_token),
      GET: await withToken(proxy, alice.tokens.access_token)(RESOURCE),
      'refresh token': await proxy.refresh(alice.client, alice.tokens.refresh_token),
      code: await proxy.token(codeFields(code)),
    }
    for (const [what, response] of Object.entries(responses)) {
      expect([what, response.status]).toEqual([what, 503])
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(response.headers.get('www-authenticate')).toBeNull()
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(await response.json()).toMatchObject({ error: 'temporarily_unavailable' })
    }
    // Who would be told of anything is not known for now; their clients come back.
    await expectClosed(streams)
    expect(await logins()).toHaveLength(3)
    await write(ENTRIES)
    await vi.waitFor(async () => expect((await proxy.mcp(alice.tokens.access_token)).status).toBe(200), SOON)
    expect((await proxy.refresh(alice.client, alice.tokens.refresh_token)).status).toBe(200)
    expect((await proxy.mcp(bob.tokens.access_token)).status).toBe(200)
    expect((await proxy.refresh(bob.client, bob.tokens.refresh_token)).status).toBe(200)
    expect((await proxy.token(codeFields(code))).status).toBe(200)
    await expectOpen(await openStreams(bob.tokens))
    expect(proxy.log()).not.toContain('login-ended')
  })
})
