import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { EventSourceMessage } from 'eventsource-parser'
import { ALL } from '../../../fixtures/core/asked.ts'
import { eventsOf, nextMessage } from '../../../fixtures/oauth/events.ts'
import { openOAuth, ORIGIN, type OAuthProxy, type Registered, type Tokens } from '../../../fixtures/oauth/proxy.ts'
import { ALICE, BOB } from '../../../fixtures/oauth/source.ts'
import { callTool, modernRequest, openTools, withToken, type ToolProxy } from '../../../fixtures/oauth/tools.ts'
import { messagesOf, openLegacy } from '../../../harness.ts'

const SECRET = 'the secret of the proxy under test has more than 32 bytes'
const RESOURCE = `${ORIGIN}/mcp`
const USERS = Object.fromEntries(
  [ALICE, BOB].map(({ identity }) => [identity.email, { name: identity.name, roles: [], allowed_tools: ['*'] }]),
)
const HOUR = 3_600_000
const DAY = 24 * HOUR
/** How often open streams are looked at by themselves, and how long a login that was read is believed, in ms. */
const LOOK = 30_000
const GLANCE = 5001
const DONE = { content: [{ type: 'text', text: 'done' }] }

let proxy: ToolProxy
afterEach(async () => {
  vi.useRealTimers()
  await proxy.close()
})

interface Login {
  readonly client: Registered
  readonly tokens: Tokens
}

const open = async () => void (proxy = await openTools({ users: USERS, env: { MCP_SECRET: SECRET } }))

async function login(who = ALICE): Promise<Login> {
  proxy.source.who = () => who
  return proxy.tokens()
}

async function revoke({ client, tokens }: Login, at: Pick<OAuthProxy, 'fetch'> = proxy): Promise<void> {
  const response = await at.fetch(`${ORIGIN}/revoke`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: tokens.refresh_token ?? '', client_id: client.client_id }),
  })
  expect(response.status).toBe(200)
}

type Next = () => Promise<EventSourceMessage | undefined>

const STREAMS: [string, (token: string) => Promise<Next>][] = [
  [
    'GET stream of a session',
    async (token) => {
      const fetcher = withToken(proxy, token)
      const { sessionId } = await openLegacy(RESOURCE, '2025-11-25', fetcher)
      return eventsOf(
        await fetcher(RESOURCE, { headers: { 'mcp-session-id': sessionId, accept: 'text/event-stream' } }),
      )
    },
  ],
  [
    'subscriptions/listen',
    async (token) => {
      const wish = { notifications: { toolsListChanged: true } }
      const next = eventsOf(await withToken(proxy, token)(RESOURCE, modernRequest('subscriptions/listen', wish)))
      expect(await nextMessage(next)).toMatchObject({ method: 'notifications/subscriptions/acknowledged' })
      return next
    },
  ],
]

/** The stream still tells what happens. */
async function expectOpen(next: Next): Promise<void> {
  proxy.grow()
  expect(await nextMessage(next)).toMatchObject({ method: 'notifications/tools/list_changed' })
}

/** It ends, in the modern era with a result, and says nothing else. */
async function expectClosed(next: Next): Promise<void> {
  const said: any[] = []
  for (let message = await nextMessage(next); message !== undefined; message = await nextMessage(next))
    said.push(message)
  // A server that has just come may still have had news of its lists.
  const isNews = ({ method, result }: any) => method?.endsWith('/list_changed') || result?.resultType === 'complete'
  expect(said.filter((message) => !isNews(message))).toEqual([])
}

/** Lets the regular look at open streams happen, and whatever it reads. */
async function letLook(): Promise<void> {
  await vi.advanceTimersByTimeAsync(LOOK)
}

describe.each(STREAMS)('T105 %s', (what, begin) => {
  test(`T105 ${what} longer than the life of its token → stays; closed once its login is revoked`, async () => {
    await open()
    const alice = await login()
    const next = await begin(alice.tokens.access_token)
    await expectOpen(next)
    proxy.pass(2 * HOUR)
    expect((await proxy.mcp(alice.tokens.access_token)).status).toBe(401)
    await expectOpen(next)
    // The end of another login has every stream looked at.
    await revoke(await login(BOB))
    await expectOpen(next)
    await revoke(alice)
    await expectClosed(next)
  })

  test(`T105 ${what} longer than the life of its token → stays at every regular look, and when its tokens are refreshed`, async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    await open()
    const { client, tokens } = await login()
    const next = await begin(tokens.access_token)
    for (const hours of [2, 24, 240]) {
      proxy.pass(hours * HOUR)
      await letLook()
      await expectOpen(next)
    }
    expect((await proxy.refresh(client, tokens.refresh_token)).status).toBe(200)
    await letLook()
    await expectOpen(next)
  })

  test(`T105 ${what}, login revoked by another process on the same store → closed at the next regular look`, async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    await open()
    const other = await openOAuth({ dataDir: proxy.dataDir, users: USERS, env: { MCP_SECRET: SECRET } })
    try {
      const alice = await login()
      const next = await begin(alice.tokens.access_token)
      await revoke(alice, other)
      proxy.pass(GLANCE)
      await letLook()
      await expectClosed(next)
    } finally {
      await other.close()
    }
  })

  test(`T105 ${what}, login not refreshed until it ends by itself → closed at the next regular look`, async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    await open()
    const { tokens } = await login()
    const next = await begin(tokens.access_token)
    proxy.pass(29 * DAY)
    await letLook()
    await expectOpen(next)
    proxy.pass(2 * DAY)
    await letLook()
    await expectClosed(next)
  })
})

/** Calls that are under way, with how to hear of their end. */
const CALLS: [string, (token: string) => Promise<() => Promise<unknown>>][] = [
  [
    '2025-11-25',
    async (token) => {
      const wire = await openLegacy(RESOURCE, '2025-11-25', withToken(proxy, token))
      const params = { name: 'in_wait', arguments: {}, _meta: { progressToken: 'p' } }
      const next = eventsOf(await wire.post({ jsonrpc: '2.0', id: 'call', method: 'tools/call', params }))
      expect(await nextMessage(next)).toMatchObject({ method: 'notifications/progress' })
      return () => nextMessage(next)
    },
  ],
  [
    '2025-06-18',
    async (token) => {
      const wire = await openLegacy(RESOURCE, '2025-06-18', withToken(proxy, token))
      const answer = wire.request('tools/call', { name: 'in_wait', arguments: {} }, 'call')
      return () => answer
    },
  ],
  [
    '2026-07-28',
    async (token) => {
      const answer = callTool(proxy, token, 'wait').then(messagesOf)
      return async () => (await answer).at(-1)
    },
  ],
]

describe.each(CALLS)('T105 call of %s', (version, begin) => {
  test(`T105 call of ${version} longer than the life of its token → its result comes`, async () => {
    await open()
    const { tokens } = await login()
    const end = await begin(tokens.access_token)
    await vi.waitFor(() => expect(proxy.waiting).toHaveLength(1))
    proxy.pass(2 * HOUR)
    expect((await proxy.mcp(tokens.access_token)).status).toBe(401)
    proxy.waiting[0]?.()
    expect(await end()).toMatchObject({ result: DONE })
  })
})

const ENDS: [string, (login: Login) => Promise<void>][] = [
  ['revoked by its client', (alice) => revoke(alice)],
  [
    'ended because its code was redeemed twice',
    async ({ client }) => {
      const { code, verifier } = redeemed
      const response = await proxy.token({
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        client_id: client.client_id,
      })
      expect(response.status).toBe(400)
    },
  ],
  [
    'ended because an old refresh token came again',
    async ({ client, tokens }) => {
      expect((await proxy.refresh(client, tokens.refresh_token)).status).toBe(200)
      proxy.pass(61_000)
      expect((await proxy.refresh(client, tokens.refresh_token)).status).toBe(400)
    },
  ],
  [
    'ended because its user was taken off the list',
    async ({ tokens }) => {
      await writeFile(join(proxy.dataDir, 'users.json'), JSON.stringify({}))
      const status = async () => (await proxy.mcp(tokens.access_token)).status
      await vi.waitFor(async () => expect(await status()).toBe(401), { timeout: 20_000, interval: 100 })
    },
  ],
]
let redeemed = { code: '', verifier: '' }

describe.each(ENDS)('T106 login %s', (what, end) => {
  test.each(CALLS)(`T106 login ${what}, call of %s in flight → completes; no new call`, async (_version, begin) => {
    await open()
    const made = await proxy.login()
    redeemed = made
    const { client, code, verifier } = made
    const response = await proxy.token({
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      client_id: client.client_id,
    })
    const alice: Login = { client, tokens: (await response.json()) as Tokens }
    const { access_token: token } = alice.tokens
    const other = await openLegacy(RESOURCE, '2025-11-25', withToken(proxy, token))
    const finish = await begin(token)
    await vi.waitFor(() => expect(proxy.waiting).toHaveLength(1))
    await end(alice)
    expect((await callTool(proxy, token, 'echo')).status).toBe(401)
    const again = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'in_echo', arguments: {} } }
    expect((await other.post(again)).status).toBe(401)
    const calls = proxy.server.heard.filter((message) => 'method' in message && message.method === 'tools/call')
    expect(calls).toHaveLength(1)
    proxy.waiting[0]?.()
    expect(await finish()).toMatchObject({ result: DONE })
  })

  test(`T106 login ${what}, call waits for its user → the answer is refused and never reaches the server`, async () => {
    await open()
    const made = await proxy.login()
    redeemed = made
    const { client, code, verifier } = made
    const response = await proxy.token({
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      client_id: client.client_id,
    })
    const alice: Login = { client, tokens: (await response.json()) as Tokens }
    const fetcher = withToken(proxy, alice.tokens.access_token)
    const _meta = { 'io.modelcontextprotocol/clientCapabilities': ALL }
    const call = { name: 'in_ask', arguments: {}, _meta }
    const [{ result }] = await messagesOf(await fetcher(RESOURCE, modernRequest('tools/call', call)))
    const [question = ''] = Object.keys(result.inputRequests)
    await end(alice)
    const inputResponses = { [question]: { action: 'accept', content: {} } }
    const retry = modernRequest('tools/call', { ...call, requestState: result.requestState, inputResponses })
    expect((await fetcher(RESOURCE, retry)).status).toBe(401)
    expect(proxy.server.heard.filter((message) => 'result' in message)).toEqual([])
  })
})
