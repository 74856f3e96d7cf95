import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { definePlugin, type UntypedConfig } from '../../core/index.ts'
import { messagesOf, postModern, type TestProxy } from '../harness.ts'
import { proxyFor, wireFor } from './support/ends.ts'
import { lives, startStateful, statefulEntry } from './support/stateful.ts'
import { until } from './support/until.ts'
import { jsonOf, type Wire } from './support/wire.ts'

/** The stateful server as `s`, over stdio, with these settings. */
function open(settings: object = {}, config: UntypedConfig = {}, flags: readonly string[] = []): Promise<TestProxy> {
  return proxyFor({ ...config, mcpServers: { s: { ...statefulEntry(...flags), ...settings } } })
}

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'mcp-proxy-isolation-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

const accept = () => ({ result: { action: 'accept', content: {} } })
const pidOf = async (wire: Wire): Promise<number> => (await wire.tool('s_whoami')).pid
const ask = (wire: Wire, kind = 'elicitation') => wire.tool('s_ask', { mark: wire.name, kind })
const asked = ({ heard }: Wire) => heard.filter(({ message }) => message.id !== undefined && message.method)
const splits = (proxy: TestProxy) => proxy.lines.filter(({ text }) => text.includes('each client has an instance'))

async function modernPid(url: string, headers?: Record<string, string>): Promise<number> {
  const [answer] = await messagesOf(await postModern(url, 'tools/call', { name: 's_whoami' }, headers))
  return jsonOf(answer).pid
}

const byHeader = definePlugin({
  name: 'auth-by-header',
  setup: () => ({
    auth: {
      authenticate(request) {
        const id = request.headers.get('x-user')
        return id === null ? undefined : { id, roles: [] }
      },
    },
  }),
})

describe('shared', () => {
  test('everybody has the one process, in both eras', async () => {
    const proxy = await open({ isolate: 'shared' })
    const [a, b] = await Promise.all([wireFor(proxy.url), wireFor(proxy.url)])
    const pids = [await pidOf(a), await pidOf(b), await modernPid(proxy.url)]
    expect(new Set(pids).size).toBe(1)
    expect(await a.tool('s_whoami')).toMatchObject({ calls: 4 })
  })

  test('the only client is asked; once there were two, nobody is, and the refusal names "isolate"', async () => {
    const proxy = await open({ isolate: 'shared' })
    const [a, b] = await Promise.all([wireFor(proxy.url, { answer: accept }), wireFor(proxy.url, { answer: accept })])
    expect(await ask(a)).toEqual({ result: { action: 'accept', content: {} } })
    await pidOf(b)
    const before = asked(a).length
    for (const wire of [a, b]) {
      for (const kind of ['elicitation', 'sampling', 'roots']) {
        expect(await ask(wire, kind)).toMatchObject({
          error: { code: -32601, message: expect.stringContaining('set "isolate" to "session"') },
        })
      }
    }
    expect([asked(a).length, asked(b).length]).toEqual([before, 0])
    expect(splits(proxy)).toEqual([])
    expect(await pidOf(a)).toBe(await pidOf(b))
  })

  test('roots are never declared, and who asks for them all the same asks nobody', async () => {
    const proxy = await open({ isolate: 'shared' }, {}, ['--roots'])
    const wire = await wireFor(proxy.url, { answer: () => ({ result: { roots: [{ uri: 'file:///mine' }] } }) })
    await wire.listen()
    expect((await wire.tool('s_whoami')).capabilities).not.toHaveProperty('roots')
    expect(await wire.tool('s_roots')).toMatchObject({ error: { code: -32601 } })
    expect(asked(wire)).toEqual([])
  })
})

describe('session', () => {
  test('each session has its own process, which knows what that client can be asked', async () => {
    const proxy = await open({ isolate: 'session' })
    const [a, b] = await Promise.all([
      wireFor(proxy.url, { capabilities: { roots: { listChanged: true } } }),
      wireFor(proxy.url, { capabilities: { elicitation: { url: {} } } }),
    ])
    const [ofA, ofB] = await Promise.all([a.tool('s_whoami'), b.tool('s_whoami')])
    expect(ofA.pid).not.toBe(ofB.pid)
    expect(ofA.capabilities).toHaveProperty('roots')
    expect(ofA.capabilities).not.toHaveProperty('elicitation')
    expect(ofB.capabilities).toEqual({ elicitation: { url: {} } })
    expect(await a.tool('s_whoami')).toMatchObject({ pid: ofA.pid, calls: 2 })
    const modern = [await modernPid(proxy.url), await modernPid(proxy.url)]
    expect(modern[0]).toBe(modern[1])
    expect([ofA.pid, ofB.pid]).not.toContain(modern[0])
  })

  test('ends with its session, and with no other', async () => {
    const proxy = await open({ isolate: 'session' })
    const [a, b] = await Promise.all([wireFor(proxy.url), wireFor(proxy.url)])
    const [pidA, pidB] = await Promise.all([pidOf(a), pidOf(b)])
    expect(await a.end()).toBe(204)
    await until('the process of the session has ended', () => !lives(pidA))
    expect(await pidOf(b)).toBe(pidB)
  })

  test.each(['stdio', 'http'])('roots are asked of the session the instance belongs to, over %s', async (over) => {
    let settings: object = { isolate: 'session' }
    if (over === 'http') {
      const server = await startStateful('--roots')
      onTestFinished(server.close)
      settings = { ...settings, url: server.url, command: undefined, args: undefined }
    }
    const entry = JSON.parse(JSON.stringify({ ...statefulEntry('--roots'), ...settings }))
    const proxy = await proxyFor({ mcpServers: { s: entry } })
    const [a, b] = await Promise.all(
      ['a', 'b'].map(async (name) => {
        const answer = () => ({ result: { roots: [{ uri: `file:///${name}` }] } })
        const wire = await wireFor(proxy.url, { name, answer })
        await wire.listen()
        return wire
      }),
    )
    const roots = await Promise.all([a!.tool('s_roots'), b!.tool('s_roots')])
    expect(roots).toEqual(['a', 'b'].map((name) => ({ result: { roots: [{ uri: `file:///${name}` }] } })))
    expect(asked(a!).map(({ message }) => message.method)).toEqual(['roots/list'])
  })

  test('roots are asked of it also while the instance is still being prepared', async () => {
    const proxy = await open({ isolate: 'session' }, {}, ['--roots'])
    const wire = await wireFor(proxy.url, { answer: () => ({ result: { roots: [] } }) })
    await wire.listen()
    // The new instance is told this before it gets its first call.
    await wire.send('logging/setLevel', { level: 'debug' }).response
    expect(await wire.tool('s_roots')).toEqual({ result: { roots: [] } })
  })
})

test('a question outlives the other calls of its client, and all of them wait for the answer', async () => {
  const proxy = await open({ isolate: 'session', requestTimeout: 400 })
  const wire = await wireFor(proxy.url, {
    async answer() {
      await sleep(900)
      return accept()
    },
  })
  await pidOf(wire)
  // By the time the server asks, the newest call is another one, and it ends long before the answer.
  const asking = ask(wire)
  const other = wire.tool('s_sleep', { mark: 'other', ms: 100 })
  expect(await other).toEqual({ mark: 'other' })
  expect(await asking).toEqual(accept())
})

describe('user', () => {
  test('sessions and modern calls of one user share a process, other users have another', async () => {
    const proxy = await open(
      { isolate: 'user' },
      { plugins: [byHeader, 'transport-stdio', 'transport-streamable', 'storage-fs'] },
    )
    const ann = { 'x-user': 'ann' }
    const bob = { 'x-user': 'bob' }
    const [ann1, ann2, bob1] = await Promise.all(
      [ann, ann, bob].map((headers) => wireFor(proxy.url, { headers, answer: accept })),
    )
    const pid = await pidOf(ann1!)
    expect([await pidOf(ann2!), await modernPid(proxy.url, ann)]).toEqual([pid, pid])
    const other = await pidOf(bob1!)
    expect(other).not.toBe(pid)
    expect(await modernPid(proxy.url, bob)).toBe(other)
    // Of one user, but two clients: which of them would be meant cannot be told.
    expect(await ask(ann1!)).toMatchObject({ error: { message: expect.stringContaining('"isolate"') } })
    expect(await ann1!.end()).toBe(204)
    expect(await pidOf(ann2!)).toBe(pid)
  })
})

describe('auto', () => {
  test('splits at the first question: who was alone keeps the process and is asked, others get their own', async () => {
    const proxy = await open()
    const [a, b] = await Promise.all([wireFor(proxy.url, { answer: accept }), wireFor(proxy.url, { answer: accept })])
    const first = await pidOf(a)
    expect(await ask(a)).toEqual({ result: { action: 'accept', content: {} } })
    expect(await pidOf(a)).toBe(first)
    const second = await pidOf(b)
    expect(second).not.toBe(first)
    expect(await ask(b)).toEqual({ result: { action: 'accept', content: {} } })
    expect([first, second]).not.toContain(await modernPid(proxy.url))
    expect(splits(proxy)).toMatchObject([{ level: 'info', tag: 's' }])
  })

  test('of two who shared, the first question is refused; then each has a process of its own', async () => {
    const proxy = await open()
    const [a, b] = await Promise.all([wireFor(proxy.url, { answer: accept }), wireFor(proxy.url, { answer: accept })])
    const shared = await pidOf(a)
    expect(await pidOf(b)).toBe(shared)
    expect(await ask(a)).toMatchObject({ error: { message: expect.stringContaining('"isolate"') } })
    expect(await Promise.all([ask(a), ask(b)])).toEqual([accept(), accept()])
    const pids = [shared, await pidOf(a), await pidOf(b)]
    expect(new Set(pids).size).toBe(3)
    expect(splits(proxy)).toHaveLength(1)
  })

  test('splits at the first subscription; changes reach only who subscribed', async () => {
    const proxy = await open()
    const [a, b] = await Promise.all([wireFor(proxy.url), wireFor(proxy.url)])
    await Promise.all([a.listen(), b.listen()])
    expect(await pidOf(a)).toBe(await pidOf(b))
    const { result } = await a.send('resources/subscribe', { uri: 'state://a' }).response
    expect(result).toEqual({})
    expect(splits(proxy)).toHaveLength(1)
    expect(await a.tool('s_whoami')).toMatchObject({ watched: ['state://a'] })
    expect(await b.tool('s_whoami')).toMatchObject({ watched: [] })
    expect(await b.tool('s_touch', { uri: 'state://a' })).toEqual({ told: false })
    expect(await a.tool('s_touch', { uri: 'state://a' })).toEqual({ told: true })
    const updates = ({ heard }: Wire) => heard.filter(({ message }) => message.method?.endsWith('resources/updated'))
    await until('the change is told', () => updates(a).length > 0)
    expect(updates(a)).toMatchObject([{ on: 'get', message: { params: { uri: 'state://a' } } }])
    expect(updates(b)).toEqual([])
  })

  test('the split is remembered by the next run, and not told again', async () => {
    const dataDir = await folder()
    const before = await open({}, { dataDir })
    await ask(await wireFor(before.url, { answer: accept }))
    await before.close()
    const after = await open({}, { dataDir })
    const [a, b] = await Promise.all([wireFor(after.url), wireFor(after.url)])
    expect(await pidOf(a)).not.toBe(await pidOf(b))
    expect(splits(after)).toEqual([])
  })

  test('what served a party alone ends with its session; the next one finds nothing of it', async () => {
    const proxy = await open()
    const a = await wireFor(proxy.url, { answer: accept })
    await ask(a)
    const pid = await pidOf(a)
    await a.end()
    await until('its process has ended', () => !lives(pid))
    const b = await wireFor(proxy.url, { answer: accept })
    expect(await b.tool('s_whoami')).toMatchObject({ calls: 1 })
  })
})

describe('idle', () => {
  test('an instance rests after idleStop, and the next call starts one; a call under way keeps it', async () => {
    const proxy = await open({ isolate: 'session', idleStop: 200 })
    const wire = await wireFor(proxy.url)
    const pid = await pidOf(wire)
    expect(await wire.tool('s_sleep', { mark: 'long', ms: 900 })).toEqual({ mark: 'long' })
    expect(await pidOf(wire)).toBe(pid)
    await until('the process has ended', () => !lives(pid))
    const next = await wire.tool('s_whoami')
    expect(next.pid).not.toBe(pid)
    expect(next.calls).toBe(1)
    await until('the one for the lists rests too', () => proxy.kernel.upstreams[0]?.state === 'idle')
    expect(proxy.log()).not.toMatch(/^(warn|error) \[s\]/m)
  })

  test('a subscription keeps an instance', async () => {
    const proxy = await open({ isolate: 'session', idleStop: 200 })
    const [watcher, other] = await Promise.all([wireFor(proxy.url), wireFor(proxy.url)])
    await watcher.listen()
    // First of all: on a busy machine the instance might else have rested before.
    await watcher.send('resources/subscribe', { uri: 'state://b' }).response
    const [kept, ended] = [await pidOf(watcher), await pidOf(other)]
    await until('the other one has ended', () => !lives(ended))
    expect(lives(kept)).toBe(true)
    await watcher.send('resources/unsubscribe', { uri: 'state://b' }).response
    await until('without the subscription it ends too', () => !lives(kept))
  })

  test('a lazy server whose lists are known is not started before its first call', async () => {
    const dataDir = await folder()
    const starts = join(dataDir, 'starts')
    const count = async () => (existsSync(starts) ? (await readFile(starts, 'utf8')).trim().split('\n').length : 0)
    const before = await open({ lazy: true }, { dataDir }, ['--starts', starts])
    await until('its lists are known', () => before.kernel.upstreams[0]?.state === 'up')
    expect(await count()).toBe(1)
    await before.close()
    const after = await open({ lazy: true }, { dataDir }, ['--starts', starts])
    const wire = await wireFor(after.url)
    const { result } = await wire.send('tools/list').response
    expect(result.tools.map(({ name }: { name: string }) => name)).toContain('s_whoami')
    expect(after.kernel.upstreams).toMatchObject([{ state: 'idle', tools: result.tools.length }])
    expect(await count()).toBe(1)
    expect(await wire.tool('s_whoami')).toMatchObject({ calls: 1 })
    expect(await count()).toBe(2)
  })
})
