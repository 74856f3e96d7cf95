import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Config } from '../../../core/config/define.ts'
import { resolvePlugin } from '../../../core/resolve.ts'
import accessUsers, { addUser, removeUser, usersFileOf } from '../../../plugins/access-users/index.ts'
import { messageReader } from '../../fixtures/core/faces.ts'
import { hello, inside } from '../../fixtures/core/inside.ts'
import { as, people, type People } from '../../fixtures/core/people.ts'
import { node, openLegacy, openProxy, postModern, type TestProxy } from '../../harness.ts'

let dataDir: string
let file: string
const open: TestProxy[] = []

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-users-'))
  file = join(dataDir, 'users.json')
})
afterEach(async () => {
  for (const proxy of open.splice(0)) await proxy.close()
  await rm(dataDir, { recursive: true, force: true })
})

/** Who `anna` is: `x-user: anna` is anna@example.com. */
const write = (users: object | string) =>
  writeFile(file, typeof users === 'string' ? users : JSON.stringify(users, undefined, 2))

async function proxyWith(config: Config = {}, team: People = people()): Promise<TestProxy> {
  const plugins = ['transport-stdio', 'storage-fs', 'access-users', team.plugin, ...(config.plugins ?? [])]
  const proxy = await openProxy({ ...config, plugins, dataDir })
  open.push(proxy)
  return proxy
}

/** Status of an ordinary request of this user. */
const statusOf = async (proxy: TestProxy, user: string): Promise<number> => {
  const response = await postModern(proxy.url, 'tools/list', {}, { 'x-user': user })
  await response.arrayBuffer()
  return response.status
}

/** Within the time that a change of the file may take, and more. */
const soon = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 20_000, interval: 100 })

/** What a stream says as it comes, and whether it is over. */
function heard(response: Response) {
  const messages: any[] = []
  const next = messageReader(response)
  const stream = { messages, isOver: false }
  const listen = async (): Promise<void> => {
    for (let message = await next(); message !== undefined; message = await next()) messages.push(message)
  }
  // A stream that the proxy's end cuts off is over too.
  void listen().then(
    () => (stream.isOver = true),
    () => (stream.isOver = true),
  )
  return stream
}

describe('the plugin', () => {
  it('takes one option, and no other', () => {
    expect(accessUsers()).toMatchObject({ name: 'access-users', apiVersion: 1, options: {} })
    expect(accessUsers({ file: 'x.json' }).options).toEqual({ file: 'x.json' })
    const refused = expect.objectContaining({
      code: 'ERR_PROXY_PLUGIN',
      message: expect.stringContaining('its only option is "file"'),
    })
    expect(() => accessUsers({ path: 'x' } as never)).toThrow(refused)
    expect(() => accessUsers({ file: '' })).toThrow(refused)
    expect(() => accessUsers({ file: 1 } as never)).toThrow(refused)
  })

  it('is found by its name', async () => {
    expect(await resolvePlugin(['access-users', { file: 'x.json' }], dataDir)).toMatchObject({ name: 'access-users' })
  })

  it('reads the file of the variable, else of the option, else of the data folder', () => {
    const config = { rootDir: '/root', typedIn: '/typed', dataDir: '/data', env: {} }
    expect(usersFileOf(config)).toBe('/data/users.json')
    expect(usersFileOf(config, 'my/list.json')).toBe('/root/my/list.json')
    expect(usersFileOf({ ...config, env: { MCP_USERS_PATH: 'u.json' } }, 'my/list.json')).toBe('/typed/u.json')
    expect(usersFileOf({ ...config, env: { MCP_USERS_PATH: ' ' } })).toBe('/data/users.json')
  })

  it('lets in who is in the file of its option', async () => {
    const list = join(dataDir, 'other.json')
    await writeFile(list, '{"anna@example.com": {}}')
    const plugins = ['storage-fs', people().plugin, accessUsers({ file: list })]
    const proxy = await openProxy({ plugins, dataDir })
    open.push(proxy)
    expect([await statusOf(proxy, 'anna'), await statusOf(proxy, 'bert')]).toEqual([200, 403])
  })

  it('gives the roles of the file', async () => {
    await write({ 'anna@example.com': { roles: ['admin', 'x'] } })
    const seen: (readonly string[])[] = []
    const watcher = {
      name: 'test-roles',
      setup: () => ({
        middleware: (call: any, next: any) => {
          seen.push(call.principal.roles)
          return next(call)
        },
      }),
    }
    const proxy = await proxyWith({
      plugins: [watcher],
      mcpServers: { grows: node('test/fixtures/core/growing-server.ts') },
    })
    const anna = await openLegacy(proxy.url, '2025-11-25', as('anna'))
    await anna.request('tools/call', { name: 'grows_grow' })
    expect(seen).toContainEqual(['admin', 'x'])
  })

  it('T72 names nobody in the log whom the log shall not name', async () => {
    await write({ 'anna@example.com': {}, 'bert@example.com': {} })
    const proxy = await proxyWith({ log: { user: 'hash' } })
    await write('{"bert@example.com": {"role": []}}')
    await soon(async () => expect(proxy.log()).toContain('unknown key; did you mean "roles"?'))
    await write({ 'anna@example.com': {} })
    await soon(async () => expect(proxy.log()).toContain('user-removed'))
    expect(proxy.log()).not.toContain('@example.com')
  })
})

describe('the list and the proxy', () => {
  it('T73 who is taken off is off without a restart, and their open streams are closed; nobody else’s are', async () => {
    await write({ 'anna@example.com': {}, 'bert@example.com': {} })
    const proxy = await proxyWith({ mcpServers: { grows: node('test/fixtures/core/growing-server.ts') } })
    async function streamsOf(user: string) {
      const wire = await openLegacy(proxy.url, '2025-11-25', as(user))
      const headers = { 'mcp-session-id': wire.sessionId, accept: 'text/event-stream' }
      const old = heard(await as(user)(proxy.url, { headers }))
      const wish = { notifications: { toolsListChanged: true } }
      const modern = heard(await postModern(proxy.url, 'subscriptions/listen', wish, { 'x-user': user }, 'sub'))
      await soon(async () => expect(modern.messages[0]?.method).toBe('notifications/subscriptions/acknowledged'))
      return { wire, old, modern }
    }
    const anna = await streamsOf('anna')
    const bert = await streamsOf('bert')
    expect(await removeUser(file, 'anna@example.com')).toBe(true)
    await soon(async () => expect([anna.old.isOver, anna.modern.isOver]).toEqual([true, true]))
    expect(anna.modern.messages.at(-1)).toMatchObject({ id: 'sub', result: { resultType: 'complete' } })
    expect(await statusOf(proxy, 'anna')).toBe(403)
    expect([bert.old.isOver, bert.modern.isOver]).toEqual([false, false])
    const before = [bert.old.messages.length, bert.modern.messages.length]
    await bert.wire.request('tools/call', { name: 'grows_grow' })
    await soon(async () => {
      expect([bert.old.messages.length > before[0]!, bert.modern.messages.length > before[1]!]).toEqual([true, true])
    })
    expect(proxy.log()).toContain('anna@example.com')
    await addUser(file, 'Anna@Example.com')
    await soon(async () => expect(await statusOf(proxy, 'anna')).toBe(200))
  })

  it('T74 never fails open: missing, half-written, gone and back', async () => {
    const proxy = await proxyWith()
    const refused = await postModern(proxy.url, 'tools/list', {}, { 'x-user': 'anna' })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await refused.text()).not.toContain('users.json')
    expect(proxy.log()).toMatch(/users\.json is missing; nobody is let in; list whom to let in.*"you@example\.com"/)
    await write({ 'anna@example.com': {} })
    await soon(async () => expect(await statusOf(proxy, 'anna')).toBe(200))
    await write('{ "anna@example.com": {}, "bert@example.com": {')
    await soon(async () => expect(proxy.log()).toContain('the last valid list stays in force (1 user(s))'))
    expect([await statusOf(proxy, 'anna'), await statusOf(proxy, 'bert')]).toEqual([200, 403])
    await rename(file, `${file}.away`)
    await soon(async () => expect(proxy.log()).toContain('if it is not back within 5 s'))
    expect(await statusOf(proxy, 'anna')).toBe(200)
    await soon(async () => expect(await statusOf(proxy, 'anna')).toBe(503))
    expect(await statusOf(proxy, 'bert')).toBe(503)
    await write({ 'anna@example.com': {} })
    await soon(async () => expect(await statusOf(proxy, 'anna')).toBe(200))
    await write({})
    await soon(async () => expect(await statusOf(proxy, 'anna')).toBe(403))
  }, 60_000)

  it('T74 invalid at start: everybody gets 503, and it is said what is wrong', async () => {
    await write('{ "anna@example.com": { "allowed_tool": [] } }')
    const proxy = await proxyWith()
    expect(await statusOf(proxy, 'anna')).toBe(503)
    expect(proxy.log()).toContain('did you mean "allowed_tools"?')
    expect(proxy.log()).toContain('nobody is let in until it is corrected')
  })

  it.each(['__proto__', 'constructor', ''])('T81 %s is nobody', async (email) => {
    await write({ 'anna@example.com': {} })
    const auth = { name: 'test-auth', setup: () => ({ auth: { authenticate: () => ({ id: 'x', email, roles: [] }) } }) }
    const proxy = await openProxy({ plugins: ['storage-fs', 'access-users', auth], dataDir })
    open.push(proxy)
    expect(await statusOf(proxy, 'x')).toBe(403)
  })
})

describe('T82 what a user may use', () => {
  const tools = ['now', 'zone'].map((name) => ({ name, inputSchema: { type: 'object' } }))
  const prompts = [{ name: 'ask' }]

  async function proxy() {
    const { plugin } = inside(({ method }) => {
      if (method === 'initialize') return hello()
      if (method === 'tools/list') return { tools }
      if (method === 'prompts/list') return { prompts }
      if (method === 'tools/call') return { content: [] }
      if (method === 'prompts/get') return { messages: [] }
      return {}
    })
    await write({
      'anna@example.com': { allowed_tools: ['time_*'] },
      'bert@example.com': { allowed_tools: [] },
      'cleo@example.com': { allowed_tools: ['now', 'me_now', 'time_no', '*_zone'] },
      'dora@example.com': {},
    })
    const mcpServers = { time: { type: 'inside' }, other: { type: 'inside' } } as never
    return proxyWith({ plugins: [plugin], mcpServers })
  }

  const ALL = ['other_now', 'other_zone', 'time_now', 'time_zone']

  it.each([
    ['anna', ['time_now', 'time_zone'], ['time_ask']],
    ['bert', [], []],
    ['cleo', ['other_zone', 'time_zone'], []],
    ['dora', ALL, ['other_ask', 'time_ask']],
  ])('%s sees and uses the whole exposed names that match, in both eras', async (user, mine, asks) => {
    const { url } = await proxy()
    const wire = await openLegacy(url, '2025-11-25', as(user))
    const modern = async (method: string, params = {}) =>
      (await (await postModern(url, method, params, { 'x-user': user })).json()) as any
    const names = (items: { name: string }[]) => items.map(({ name }) => name).sort()
    expect(names((await wire.request('tools/list')).result.tools)).toEqual(mine)
    expect(names((await modern('tools/list')).result.tools)).toEqual(mine)
    expect(names((await wire.request('prompts/list')).result.prompts)).toEqual(asks)
    expect(names((await modern('prompts/list')).result.prompts)).toEqual(asks)
    for (const name of ALL) {
      const isMine = mine.includes(name)
      const answers = [await wire.request('tools/call', { name }), await modern('tools/call', { name })]
      for (const answer of answers) expect([name, 'result' in answer]).toEqual([name, isMine])
    }
  })

  it.each([
    ['tools/call', 'other_now', 'other_non'],
    ['prompts/get', 'other_ask', 'other_asp'],
  ])(
    '%s of a forbidden name is answered like that of an unknown one, byte for byte',
    async (method, forbidden, unknown) => {
      const { url } = await proxy()
      for (const user of ['anna', 'bert']) {
        const wire = await openLegacy(url, '2025-11-25', as(user))
        const legacy = async (name: string) => {
          const response = await wire.post({ jsonrpc: '2.0', id: 7, method, params: { name } })
          return { status: response.status, text: await response.text() }
        }
        const modern = async (name: string) => {
          const response = await postModern(url, method, { name }, { 'x-user': user }, 7)
          return { status: response.status, text: await response.text() }
        }
        for (const ask of [legacy, modern]) {
          const answer = await ask(forbidden)
          expect(answer.text).toContain('-32602')
          expect(answer.text).toContain(forbidden)
          const { status, text } = await ask(unknown)
          expect({ status, text: text.replaceAll(unknown, forbidden) }).toEqual(answer)
        }
      }
    },
  )
})
