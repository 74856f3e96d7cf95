import { afterEach, describe, expect, it } from 'vitest'
import { createCallLog } from '../../core/call-log.ts'
import { RpcError } from '../../core/errors.ts'
import type { Call, Method } from '../../core/gateway/call.ts'
import { createLogger } from '../../core/logger.ts'
import { definePlugin, type Middleware } from '../../core/index.ts'
import { as, people } from '../fixtures/core/people.ts'
import { callOf } from '../fixtures/core/source.ts'
import { captureLog, openLegacy, openProxy, postModern, servers, type LogLine, type TestProxy } from '../harness.ts'

const opened: TestProxy[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((proxy) => proxy.close()))))

async function open(...[config]: Parameters<typeof openProxy>): Promise<TestProxy> {
  const proxy = await openProxy({
    ...config,
    plugins: ['transport-stdio', 'storage-fs', ...(config.plugins ?? [])],
    mcpServers: { good: servers.fault('echo') },
  })
  opened.push(proxy)
  return proxy
}

const USES = /^(?:tools|prompts|resources)\//
/** What was told of calls: the level, the words, the fields. */
function told(lines: readonly LogLine[]) {
  return lines
    .filter(({ text }) => USES.test(text))
    .map(({ level, text }) => {
      const at = text.indexOf('{')
      return { level, what: text.slice(0, at).trim(), fields: JSON.parse(text.slice(at)) as Record<string, unknown> }
    })
}

const echo = (text: string) => ({ name: 'good_echo', arguments: { text, password: 'hush-argument' } })

describe('a proxy with authentication', () => {
  it('tells of each use in one line: who, through what, which, how long', async () => {
    const proxy = await open({ plugins: [people().plugin] })
    const wire = await openLegacy(proxy.url, '2025-11-25', as('anna', { 'x-client': 'claude' }))
    expect((await wire.request('tools/call', echo('hello'))).result.content[0].text).toBe('hello')
    await (await postModern(proxy.url, 'tools/call', echo('hello'), { 'x-user': 'bert' })).text()
    expect(told(proxy.lines).filter(({ level }) => level === 'info')).toEqual([
      {
        level: 'info',
        what: 'tools/call good_echo',
        fields: { user: 'anna@example.com', client: 'claude', request: expect.any(String), ms: expect.any(Number) },
      },
      {
        level: 'info',
        what: 'tools/call good_echo',
        fields: { user: 'bert@example.com', request: expect.any(String), ms: expect.any(Number) },
      },
    ])
    const [first, second] = told(proxy.lines).filter(({ level }) => level === 'info')
    expect(first?.fields.request).not.toBe(second?.fields.request)
    for (const { fields } of told(proxy.lines)) expect(Number.isInteger(fields.ms)).toBe(true)
    expect(proxy.log()).not.toContain('hush-argument')
    expect(proxy.log()).not.toContain('hello')
  })

  it('tells how a use failed, and never the words of it', async () => {
    const broken: Middleware = async (call, next) => {
      if (call.params.name === 'good_sleep') throw new Error('hush-reason')
      return next(call)
    }
    const middleware = definePlugin({ name: 'test-broken', setup: () => ({ middleware: broken }) })
    const proxy = await open({ plugins: [people({ anna: ['*'], bert: ['good_s*'] }).plugin, middleware] })
    const anna = await openLegacy(proxy.url, '2025-11-25', as('anna'))
    const bert = await openLegacy(proxy.url, '2025-11-25', as('bert'))
    await anna.request('tools/call', { name: 'good_nothing' })
    await anna.request('tools/call', { name: 'good_sleep' })
    await bert.request('tools/call', echo('x'))
    await anna.request('resources/read', { uri: 'a://one?token=hush-query' })
    await anna.request('tools/call', { name: 7 })
    const uses = told(proxy.lines).filter(({ level }) => level === 'info')
    expect(uses.map(({ what, fields: { user, error } }) => [what, user, error])).toEqual([
      ['tools/call good_nothing', 'anna@example.com', -32602],
      ['tools/call good_sleep', 'anna@example.com', 'failed'],
      ['tools/call good_echo', 'bert@example.com', -32602],
      ['resources/read a://one', 'anna@example.com', -32002],
      ['tools/call', 'anna@example.com', -32602],
    ])
    expect(JSON.stringify(uses)).not.toContain('hush')
    expect(proxy.log()).not.toContain('hush-query')
  })

  it('tells of lists at debug only, and of who is refused at the door nothing', async () => {
    const proxy = await open({ plugins: [people().plugin] })
    const wire = await openLegacy(proxy.url, '2025-11-25', as('anna'))
    await wire.request('tools/list')
    await wire.request('ping')
    expect((await postModern(proxy.url, 'tools/call', echo('x'))).status).toBe(401)
    expect(told(proxy.lines).map(({ level, what, fields }) => [level, what, fields.user])).toEqual([
      ['debug', 'tools/list', 'anna@example.com'],
    ])
  })

  it('names nobody with log.user "hash": one pseudonym for each', async () => {
    const team = people()
    const proxy = await open({ plugins: [team.plugin], log: { user: 'hash' } })
    for (const user of ['anna', 'anna', 'bert']) {
      await (await postModern(proxy.url, 'tools/call', echo('x'), { 'x-user': user })).text()
    }
    const users = told(proxy.lines).map(({ fields }) => fields.user)
    expect(users).toEqual([users[0], users[0], users[2]])
    expect(users[0]).not.toBe(users[2])
    expect(users[0]).toBe(team.context.userLabel({ id: 'anna', email: 'anna@example.com' }))
    expect(proxy.log()).not.toMatch(/anna|bert|example\.com/)
  })
})

describe('a proxy without authentication', () => {
  it('tells at debug', async () => {
    const proxy = await open({})
    const wire = await openLegacy(proxy.url)
    await wire.request('tools/call', echo('x'))
    expect(told(proxy.lines).map(({ level, what, fields }) => [level, what, fields.user])).toEqual([
      ['debug', 'tools/call good_echo', 'local'],
    ])
    expect(proxy.log()).not.toContain('hush-argument')
  })

  it('has nothing to tell, and nobody to tell it, at info', () => {
    const { logger } = captureLog()
    logger.level = 3
    expect(createCallLog({ logger, userLabel: ({ id }) => id, authenticated: false })).toBeUndefined()
    logger.level = 4
    expect(createCallLog({ logger, userLabel: ({ id }) => id, authenticated: false })).toBeTypeOf('function')
  })
})

describe('a line', () => {
  /** What is written of one call, as the log's own reporters write it. */
  function lineOf(method: Method, params: Call['params'], error?: unknown): string {
    const written: string[] = []
    const stream = { isTTY: false, write: (text: string | Uint8Array) => written.push(String(text)) > 0 }
    const logger = createLogger({ level: 'info', format: 'json', stream })
    const oncall = createCallLog({ logger, userLabel: ({ id }) => id, authenticated: true })
    oncall?.({ ...callOf(method, params), requestId: 'r-1' }, 1.6, error)
    return written.join('')
  }
  const message = (...call: Parameters<typeof lineOf>): string => JSON.parse(lineOf(...call)).message

  it('has fields that a machine can read', () => {
    const line = JSON.parse(lineOf('tools/call', { name: 'a_b', arguments: { hush: 1 } }))
    expect(line).toEqual({
      time: expect.any(String),
      level: 'info',
      message: 'tools/call a_b',
      user: 'local',
      request: 'r-1',
      ms: 2,
    })
    const failed = JSON.parse(lineOf('prompts/get', { name: 'a_b' }, new RpcError(-32000, 'hush', { hush: 1 })))
    expect(failed).toMatchObject({ message: 'prompts/get a_b', error: -32000 })
    expect(JSON.stringify(failed)).not.toContain('hush')
  })

  it.each([
    ['https://a.example/x?token=hush', 'https://a.example/x'],
    ['https://a.example/x#hush', 'https://a.example/x'],
    ['a://one?x\n?hush', 'a://one'],
    ['a://one#x?\nhush', 'a://one'],
    ['postgres://user:hush@db.example/people?hush', 'postgres://db.example/people'],
    ['https://hush@a.example/x@y', 'https://a.example/x@y'],
    ['https://a.example/x@y:z', 'https://a.example/x@y:z'],
    ['mailto:anna@example.com', 'mailto:anna@example.com'],
    ['file:///tmp/a@b', 'file:///tmp/a@b'],
  ])('shows of the URI %j what holds no secret', (uri, shown) => {
    expect(message('resources/read', { uri })).toBe(`resources/read ${shown}`)
  })

  it('is no longer than what is told, and one line whatever a client sends', () => {
    expect(message('tools/call', { name: 'x'.repeat(10_000) })).toHaveLength('tools/call '.length + 128)
    expect(message('resources/read', { uri: `a://${'x'.repeat(10_000)}` })).toHaveLength('resources/read '.length + 256)
    const forged = lineOf('tools/call', { name: 'x\n{"level":"error","message":"forged"}\u001b[31m' })
    expect(forged.match(/\n/g)).toHaveLength(1)
    expect(JSON.parse(forged)).toMatchObject({ level: 'info' })
    for (const name of [undefined, null, 7, {}, ['x']]) expect(message('tools/call', { name })).toBe('tools/call')
  })

  it('is not there for lists', () => {
    for (const method of ['tools/list', 'resources/list', 'completion/complete'] as const) {
      expect(lineOf(method, {})).toBe('')
    }
  })
})
