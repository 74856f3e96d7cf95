import { afterEach, describe, expect, test, vi } from 'vitest'
import { ALL } from '../../../fixtures/core/asked.ts'
import { eventsOf, nextMessage } from '../../../fixtures/oauth/events.ts'
import { ORIGIN, type Registered, type Tokens } from '../../../fixtures/oauth/proxy.ts'
import { ALICE, BOB } from '../../../fixtures/oauth/source.ts'
import { modernRequest, openTools, withToken, type ToolProxy } from '../../../fixtures/oauth/tools.ts'
import { JSON_HEADERS, messagesOf, openLegacy } from '../../../harness.ts'

const URL_OF_MCP = `${ORIGIN}/mcp`
const USERS = Object.fromEntries(
  [ALICE, BOB].map(({ identity }) => [identity.email, { name: identity.name, roles: [], allowed_tools: ['*'] }]),
)
const CHANGED = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' } as const
const DONE = { content: [{ type: 'text', text: 'done' }] }

let proxy: ToolProxy
afterEach(() => proxy.close())

interface Login {
  readonly client: Registered
  readonly tokens: Tokens
  readonly fetch: typeof fetch
}

async function login(who: typeof ALICE, client?: Registered): Promise<Login> {
  proxy.source.who = () => who
  const made = await proxy.tokens(client)
  return { ...made, fetch: withToken(proxy, made.tokens.access_token) }
}

/** Alice with a session: its GET stream is open, and a call of hers is under way. */
async function openVictim() {
  proxy = await openTools({ users: USERS })
  const alice = await login(ALICE)
  const wire = await openLegacy(URL_OF_MCP, '2025-11-25', alice.fetch)
  const own = { 'mcp-session-id': wire.sessionId, accept: 'text/event-stream' }
  const get = (headers: Record<string, string> = {}) => alice.fetch(URL_OF_MCP, { headers: { ...own, ...headers } })
  const standing = eventsOf(await get())
  const standingId = (await standing())?.id ?? ''
  const params = { name: 'in_wait', arguments: {}, _meta: { progressToken: 'p' } }
  const answer = eventsOf(await wire.post({ jsonrpc: '2.0', id: 'call', method: 'tools/call', params }))
  expect((await answer())?.data).toBe('')
  const callId = (await answer())?.id ?? ''
  await vi.waitFor(() => expect(proxy.waiting).toHaveLength(1))
  expect([standingId, callId].filter((id) => id === '')).toEqual([])

  /** Everything of hers is as it was; ends her session in the end. */
  async function expectUnharmed(): Promise<void> {
    expect(proxy.server.heard).not.toContainEqual(expect.objectContaining({ method: 'notifications/cancelled' }))
    proxy.grow()
    expect(await nextMessage(standing)).toEqual(CHANGED)
    expect((await wire.request('ping')).result).toEqual({})
    expect((await wire.request('tools/list')).result.tools).toHaveLength(5)
    proxy.waiting[0]?.()
    expect(await nextMessage(answer)).toEqual({ jsonrpc: '2.0', id: 'call', result: DONE })
    expect(await answer()).toBeUndefined()
    // What she has missed, or would have: nobody else took it.
    const again = eventsOf(await get({ 'last-event-id': callId }))
    expect(await nextMessage(again)).toEqual({ jsonrpc: '2.0', id: 'call', result: DONE })
    const resumed = eventsOf(await get({ 'last-event-id': standingId }))
    expect(await nextMessage(resumed)).toEqual(CHANGED)
    expect((await alice.fetch(URL_OF_MCP, { method: 'DELETE', headers: own })).status).toBe(204)
    expect((await wire.post({ jsonrpc: '2.0', id: 9, method: 'ping' })).status).toBe(404)
  }

  return { alice, wire, own, standingId, callId, expectUnharmed }
}

type Victim = Awaited<ReturnType<typeof openVictim>>

const INTRUDERS: [string, (victim: Victim) => Promise<Login>][] = [
  ['another user', () => login(BOB)],
  ['another user, through the same OAuth client', ({ alice }) => login(BOB, alice.client)],
  ['the same user, through another OAuth client', () => login(ALICE)],
]

/** What an intruder tries with a session that is not theirs. */
const TRIES: [string, (victim: Victim) => RequestInit][] = [
  ['POST of a request', ({ own }) => posted(own, { jsonrpc: '2.0', id: 1, method: 'tools/list' })],
  [
    'POST of a call',
    ({ own }) => {
      return posted(own, { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'in_echo', arguments: {} } })
    },
  ],
  [
    'POST that cancels her call',
    ({ own }) => {
      return posted(own, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'call' } })
    },
  ],
  ['POST of a response', ({ own }) => posted(own, { jsonrpc: '2.0', id: 1, result: { roots: [] } })],
  [
    'POST that sets her log level',
    ({ own }) => {
      return posted(own, { jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level: 'emergency' } })
    },
  ],
  ['GET', ({ own }) => ({ headers: own })],
  ['GET that resumes her GET stream', ({ own, standingId }) => ({ headers: { ...own, 'last-event-id': standingId } })],
  ['GET that resumes the stream of her call', ({ own, callId }) => ({ headers: { ...own, 'last-event-id': callId } })],
  ['GET with an event id from nowhere', ({ own }) => ({ headers: { ...own, 'last-event-id': '0-0' } })],
  ['DELETE', ({ own }) => ({ method: 'DELETE', headers: own })],
]

function posted(own: Record<string, string>, message: object): RequestInit {
  return { method: 'POST', headers: { ...own, ...JSON_HEADERS }, body: JSON.stringify(message) }
}

describe.each(INTRUDERS)('T98 %s', (who, intrude) => {
  test.each(TRIES)(
    `T98 ${who} with a session id that is not theirs: %s → 404, owner unharmed`,
    async (_what, attempt) => {
      const victim = await openVictim()
      const intruder = await intrude(victim)
      const response = await intruder.fetch(URL_OF_MCP, attempt(victim))
      expect(response.status).toBe(404)
      expect(response.headers.get('mcp-session-id')).toBeNull()
      const told = await response.text()
      // To the letter what a session is told that never was.
      const sessionId = `${victim.wire.sessionId.slice(0, -8)}AAAAAAAA`
      const { headers, ...init } = attempt(victim)
      const unknown = await intruder.fetch(URL_OF_MCP, {
        ...init,
        headers: { ...(headers as object), 'mcp-session-id': sessionId },
      })
      expect([unknown.status, await unknown.text()]).toEqual([404, told])
      await victim.expectUnharmed()
    },
  )

  test(`T98 ${who}: all of it at once, and again after a restart → 404, owner unharmed`, async () => {
    const victim = await openVictim()
    const intruder = await intrude(victim)
    const responses = await Promise.all(TRIES.map(([, attempt]) => intruder.fetch(URL_OF_MCP, attempt(victim))))
    expect(responses.map(({ status }) => status)).toEqual(TRIES.map(() => 404))
    await proxy.restart()
    // Nobody has asked for the session yet: what it belongs to is in its id.
    for (const [, attempt] of TRIES) {
      expect((await intruder.fetch(URL_OF_MCP, attempt(victim))).status).toBe(404)
    }
    expect((await victim.wire.request('ping')).result).toEqual({})
    expect((await victim.alice.fetch(URL_OF_MCP, { method: 'DELETE', headers: victim.own })).status).toBe(204)
  })

  test(`T98 ${who}, in a session of their own, with her event ids → nothing of hers`, async () => {
    const victim = await openVictim()
    const intruder = await intrude(victim)
    proxy.waiting[0]?.()
    const { sessionId } = await openLegacy(URL_OF_MCP, '2025-11-25', intruder.fetch)
    for (const id of [victim.callId, victim.standingId]) {
      const headers = { 'mcp-session-id': sessionId, accept: 'text/event-stream', 'last-event-id': id }
      const response = await intruder.fetch(URL_OF_MCP, { headers })
      expect(response.status).toBe(200)
      const next = eventsOf(response)
      proxy.grow()
      // The first thing that comes is what happens now.
      expect(await nextMessage(next)).toEqual(CHANGED)
    }
  })
})

test('T98 control: the same user through the same OAuth client, logged in anew → the session goes on', async () => {
  const victim = await openVictim()
  const again = await login(ALICE, victim.alice.client)
  expect(again.tokens.access_token).not.toBe(victim.alice.tokens.access_token)
  const response = await again.fetch(URL_OF_MCP, posted(victim.own, { jsonrpc: '2.0', id: 1, method: 'ping' }))
  expect([response.status, await messagesOf(response)]).toEqual([200, [{ jsonrpc: '2.0', id: 1, result: {} }]])
  await victim.expectUnharmed()
})

test.each(['POST', 'GET', 'DELETE'])('T98 a session id without a token: %s → 401, owner unharmed', async (method) => {
  const victim = await openVictim()
  const init =
    method === 'POST' ? posted(victim.own, { jsonrpc: '2.0', id: 1, method: 'ping' }) : { headers: victim.own }
  const response = await proxy.fetch(URL_OF_MCP, { ...init, method })
  expect(response.status).toBe(401)
  await victim.expectUnharmed()
})

describe('T98 requestState', () => {
  const call = (more: object = {}) => {
    const _meta = { 'io.modelcontextprotocol/clientCapabilities': ALL }
    return modernRequest('tools/call', { name: 'in_ask', arguments: {}, ...more, _meta })
  }

  test.each<[string, (alice: Login) => Promise<Login>]>([
    ['another user', () => login(BOB)],
    ['another user, through the same OAuth client', (alice) => login(BOB, alice.client)],
    ['the same user, through another OAuth client', () => login(ALICE)],
  ])('T98 %s with the requestState of a call that waits → refused, owner unharmed', async (_who, intrude) => {
    proxy = await openTools({ users: USERS })
    const alice = await login(ALICE)
    const [{ result }] = await messagesOf(await alice.fetch(URL_OF_MCP, call()))
    expect(result.resultType).toBe('input_required')
    const [question] = Object.keys(result.inputRequests)
    const retry = (action: string) =>
      call({ requestState: result.requestState, inputResponses: { [question ?? '']: { action, content: {} } } })
    const intruder = await intrude(alice)
    const [refused] = await messagesOf(await intruder.fetch(URL_OF_MCP, retry('decline')))
    expect(refused.error).toMatchObject({ code: expect.any(Number) })
    const answers = () => proxy.server.heard.filter((message) => 'result' in message)
    expect(answers()).toEqual([])
    const finished = alice.fetch(URL_OF_MCP, retry('accept'))
    await vi.waitFor(() => expect(answers()).toMatchObject([{ result: { action: 'accept' } }]))
    proxy.waiting[0]?.()
    expect(await messagesOf(await finished)).toMatchObject([{ result: DONE }])
  })
})
