import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RpcError } from '../../../core/errors.ts'
import type { Call } from '../../../core/gateway/call.ts'
import { notification, type JsonObject } from '../../../core/wire/jsonrpc.ts'
import { hello, inside, type Answer } from '../../fixtures/core/inside.ts'
import { callOf, peerOf } from '../../fixtures/core/source.ts'
import { openStore, openUpstream, type UpstreamFixture } from '../../fixtures/core/upstream.ts'

let closing: (() => Promise<void>)[] = []

beforeEach(() => void vi.useFakeTimers())
afterEach(async () => {
  await Promise.all(closing.map((close) => close()))
  closing = []
  vi.useRealTimers()
})

const settle = () => vi.advanceTimersByTimeAsync(0)
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const wish = (...uris: string[]) => new Set(uris)
const ABLE: JsonObject = { tools: {}, logging: {}, resources: { subscribe: true } }

/** A well-behaved server with one tool, unless `answer` knows better; `'silence'` is no answer. */
function behaving(
  answer: (...given: Parameters<Answer>) => JsonObject | 'silence' | undefined = () => undefined,
  capabilities: JsonObject = { tools: {} },
): Answer {
  return (request, connection) => {
    const given = answer(request, connection)
    if (given !== undefined) return given === 'silence' ? undefined : given
    if (request.method === 'initialize') return hello(capabilities)
    if (request.method === 'tools/list') return { tools: [{ name: 'a' }] }
    if (request.method === 'resources/list') return { resources: [] }
    if (request.method === 'resources/templates/list') return { resourceTemplates: [] }
    return {}
  }
}

async function open(options: UpstreamFixture) {
  const opened = await openUpstream(options)
  closing.push(() => opened.upstreams.close())
  return opened
}

/** The same, started and up. */
async function start(answer: Answer = behaving(), settings: object = {}, more: Partial<UpstreamFixture> = {}) {
  const opened = await open({ fake: inside(answer), settings, ...more })
  opened.upstreams.start()
  await settle()
  return opened
}

const call = (change: Partial<Call> = {}): Call => ({ ...callOf('tools/call', { name: 'a' }), ...change })
const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('a server', () => {
  it('is connecting, then up with what it offers', async () => {
    const { upstream, upstreams, statuses } = await open({ fake: inside(behaving()) })
    expect(upstream.status).toMatchObject({ state: 'connecting', tools: 0 })
    expect(upstreams.pending).toBe(true)
    upstreams.start()
    await settle()
    expect(upstream.status).toMatchObject({ state: 'up', tools: 1, transport: 'inside', took: expect.any(Number) })
    expect(upstreams.pending).toBe(false)
    expect(statuses.map(({ state }) => state)).toContain('up')
  })

  it('that never lists is down after its connect timeout, and tried again', async () => {
    const silent = behaving(({ method }) => (method === 'tools/list' ? 'silence' : undefined))
    const { upstream, server } = await start(silent, { connectTimeout: 5_000 })
    expect(upstream.status.state).toBe('connecting')
    await pass(5000)
    expect(upstream.status).toMatchObject({ state: 'down', reason: 'its lists did not come within 5 s' })
    expect(server.connections[0]?.over).toBe(true)
    await pass(1000)
    expect(server.connects).toBe(2)
    await pass(4 * 60_000)
    expect(server.connects).toBeGreaterThan(3)
    expect(server.connections.slice(0, -1).every(({ over }) => over)).toBe(true)
  })

  it('that never answers initialize is down after its connect timeout', async () => {
    const { upstream, server } = await start(() => undefined, { connectTimeout: 5_000 })
    await pass(5000)
    expect(upstream.status).toMatchObject({ state: 'down', reason: 'no answer within 5 s of connecting' })
    expect(server.connections[0]?.over).toBe(true)
  })

  it('that is lost after a healthy life is connected again at once; its tools stay meanwhile', async () => {
    const { upstream, server, lines } = await start()
    await pass(10_000)
    server.drop(new Error('the cable was cut'))
    await settle()
    expect(server.connects).toBe(2)
    expect(upstream.status).toMatchObject({ state: 'up', tools: 1 })
    expect(upstream.lists.tools).toEqual([{ name: 'a' }])
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([
      'warn: down: the cable was cut; next attempt in 0.0 s',
    ])
  })

  it('that stays away is one warning and then quiet, however often it is tried', async () => {
    const fake = inside(behaving(), (attempt) => {
      if (attempt > 1) throw new Error('connection refused')
    })
    const { upstreams, server, lines } = await open({ fake })
    upstreams.start()
    await settle()
    await pass(10_000)
    server.drop(new Error('gone'))
    await pass(10 * 60_000)
    expect(server.connects).toBeGreaterThan(10)
    expect(lines.filter((line) => line.includes('down:') && line.startsWith('warn'))).toHaveLength(2)
  })

  it('says why it is down until it is up again', async () => {
    const fake = inside(behaving(), (attempt) => {
      if (attempt === 1) throw new Error('connection refused')
    })
    const { upstreams, upstream } = await open({ fake })
    upstreams.start()
    await settle()
    expect(upstream.status).toMatchObject({ state: 'down', reason: 'connection refused' })
    await pass(1000)
    expect(upstream.status.state).toBe('up')
    expect(upstream.status).not.toHaveProperty('reason')
  })

  it('that is closed leaves no timer and no connection', async () => {
    const { upstreams, server } = await start()
    await upstreams.close()
    expect(server.connections.every(({ over }) => over)).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
    await pass(60_000)
    expect(server.connects).toBe(1)
  })

  it('that is closed while it connects leaves none either', async () => {
    const { upstreams, server } = await start(() => undefined)
    await upstreams.close()
    await pass(5 * 60_000)
    expect(server.connections.map(({ over }) => over)).toEqual([true])
  })
})

describe('a server that does not answer calls', () => {
  const deaf = (...methods: string[]) => behaving(({ method }) => (methods.includes(method) ? 'silence' : undefined))

  it('but a ping keeps its connection', async () => {
    const { upstream, server } = await start(deaf('tools/call'), { requestTimeout: 10_000 })
    const failure = failureOf(upstream.call(call()))
    await pass(10_000)
    expect(await failure).toMatchObject({ message: 'server "in" gave no answer to tools/call within 10 s' })
    await pass(10_000)
    expect(server.connections[0]?.asked.filter((method) => method === 'ping')).toHaveLength(1)
    expect(server.connects).toBe(1)
  })

  it('but refuses a ping keeps it too: that is an answer', async () => {
    const answer = behaving(({ method }) => {
      if (method === 'ping') throw new RpcError(-32601, 'unknown')
      return method === 'tools/call' ? 'silence' : undefined
    })
    const { upstream, server } = await start(answer, { requestTimeout: 10_000 })
    const failure = failureOf(upstream.call(call()))
    await pass(30_000)
    expect(await failure).toBeInstanceOf(Error)
    expect(server.connects).toBe(1)
  })

  it('nor a ping is dropped and connected again; other calls end with it', async () => {
    const { upstream, server, lines } = await start(deaf('tools/call', 'ping'), { requestTimeout: 10_000 })
    const first = failureOf(upstream.call(call()))
    await pass(9000)
    const second = failureOf(upstream.call(call()))
    await pass(1000)
    expect(await first).toMatchObject({ message: expect.stringContaining('within 10 s') })
    expect(server.connections[0]?.over).toBe(false)
    await pass(5000)
    expect(server.connections[0]?.over).toBe(true)
    await pass(1)
    expect(server.connects).toBe(2)
    expect(lines.join('\n')).toContain('down: it no longer answers')
    expect(await second).toMatchObject({ name: 'RpcError', message: 'server "in" ended during the call' })
  })

  it('is asked once whether it is there, however many calls failed', async () => {
    const { upstream, server } = await start(deaf('tools/call', 'ping'), { requestTimeout: 10_000 })
    const failures = Array.from({ length: 20 }, () => failureOf(upstream.call(call())))
    await pass(10_000)
    await Promise.all(failures)
    expect(server.connections[0]?.asked.filter((method) => method === 'ping')).toHaveLength(1)
  })
})

describe('a lazy server', () => {
  const lazy = { lazy: true, idleStop: 60_000 }

  /** What an earlier run leaves behind. */
  async function earlierRun() {
    const store = openStore()
    const { upstreams } = await start(behaving(), lazy, { store })
    await pass(1000)
    await upstreams.close()
    return store
  }

  it('that is not known yet is connected to be listed, stops when idle and keeps its tools', async () => {
    const { upstream, server } = await start(behaving(), lazy)
    expect(upstream.status).toMatchObject({ state: 'up', tools: 1 })
    await pass(60_000)
    expect(upstream.status).toMatchObject({ state: 'idle', tools: 1 })
    expect(server.connections[0]?.over).toBe(true)
    expect(upstream.lists.tools).toEqual([{ name: 'a' }])
    await pass(10 * 60_000)
    expect(server.connects).toBe(1)
  })

  it('that is known from an earlier run is idle at once, with its tools, until it is called', async () => {
    const { upstream, upstreams, server } = await start(behaving(), lazy, { store: await earlierRun() })
    expect(server.connects).toBe(0)
    expect(upstream.status).toMatchObject({ state: 'idle', tools: 1 })
    expect(upstreams.pending).toBe(false)
    await upstream.call(call())
    expect(server.connects).toBe(1)
    expect(upstream.status.state).toBe('up')
    await pass(60_000)
    expect(upstream.status.state).toBe('idle')
    await upstream.call(call())
    expect(server.connects).toBe(2)
  })

  it('keeps nobody waiting for readiness, though lists wait for it while it is not known', async () => {
    const { upstreams } = await start(() => undefined, { ...lazy, connectTimeout: 5_000 })
    let connected = false
    void upstreams.connected.then(() => (connected = true))
    await settle()
    expect(connected).toBe(true)
    expect(upstreams.pending).toBe(true)
    await pass(5000)
    expect(upstreams.pending).toBe(false)
  })

  it('that crashed when nobody needed it is opened by the next call, not before', async () => {
    const { upstream, server } = await start(behaving(), lazy)
    server.drop(new Error('crash'))
    await pass(5 * 60_000)
    expect(upstream.status).toMatchObject({ state: 'down', reason: 'crash' })
    expect(server.connects).toBe(1)
    await upstream.call(call())
    expect(upstream.status.state).toBe('up')
  })
})

describe('a server known from an earlier run', () => {
  async function known(answer = behaving()) {
    const store = openStore()
    const { upstreams } = await start(answer, {}, { store })
    await upstreams.close()
    return store
  }

  it('has its tools before it is up; a call waits for it', async () => {
    const store = await known()
    let release: () => void = () => {}
    const gate = new Promise<void>((resolve) => (release = resolve))
    const fake = inside(behaving(), () => gate)
    const { upstream, upstreams, changes } = await open({ fake, store })
    expect(upstreams.pending).toBe(false)
    upstreams.start()
    expect(upstream.status).toMatchObject({ state: 'connecting', tools: 1 })
    expect(upstream.lists.tools).toEqual([{ name: 'a' }])
    const answer = upstream.call(call())
    await pass(1000)
    release()
    expect(await answer).toMatchObject({ kind: 'complete' })
    expect(changes).toEqual([])
  })

  it('that keeps state per client is split from the start', async () => {
    const asks = behaving(({ method }, connection) => {
      if (method !== 'tools/call') return undefined
      connection.say({ jsonrpc: '2.0', id: 'q', method: 'roots/list' })
      return {}
    })
    const store = openStore()
    const first = await start(asks, {}, { store })
    await first.upstream.call(call())
    await settle()
    expect(first.lines.join('\n')).toContain('keeps state per client')
    await first.upstreams.close()
    const second = await start(behaving(), {}, { store })
    await second.upstream.call(call({ ...peerOf('alice') }))
    await second.upstream.call(call({ ...peerOf('bob') }))
    expect(second.server.connects).toBe(3)
  })
})

describe('what is declared and told to a server', () => {
  it('is what all clients of a shared one can be asked, and what the one client of its own can', async () => {
    const alice = { ...peerOf('alice'), client: { capabilities: { roots: { listChanged: true }, experimental: {} } } }
    const { upstream, server } = await start(behaving(), { isolate: 'session' })
    await upstream.call(call(alice))
    const declared = server.connections.map(({ heard: [message] }) => message)
    expect(declared).toMatchObject([
      { method: 'initialize', params: { capabilities: { sampling: {}, elicitation: {} } } },
      { method: 'initialize', params: { capabilities: { roots: { listChanged: true } } } },
    ])
    expect(declared[0]).not.toHaveProperty('params.capabilities.roots')
    expect(declared[1]).toHaveProperty('params.capabilities', { roots: { listChanged: true } })
  })

  it('is the level a call needs, where the server has logging', async () => {
    const { upstream, server } = await start(behaving(undefined, ABLE))
    await upstream.call(call({ logLevel: 'debug' }))
    expect(server.connections[0]?.asked).toContain('logging/setLevel')
    const without = await start()
    await without.upstream.call(call({ logLevel: 'debug' }))
    expect(without.server.connections[0]?.asked).not.toContain('logging/setLevel')
  })

  it('a level that it refuses fails no call', async () => {
    const refuses = behaving(({ method }) => {
      if (method === 'logging/setLevel') throw new RpcError(-32603, 'no such level')
      return undefined
    }, ABLE)
    const { upstream } = await start(refuses)
    expect(await upstream.call(call({ logLevel: 'debug' }))).toMatchObject({ kind: 'complete' })
  })

  it('are level and subscriptions anew after it was lost', async () => {
    const { upstream, server } = await start(behaving(undefined, ABLE), { isolate: 'shared' })
    await upstream.call(call({ logLevel: 'debug' }))
    await upstream.watch(peerOf('alice'), wish('file:///a'))
    await pass(10_000)
    server.drop(new Error('lost'))
    await settle()
    expect(server.connections[1]?.heard).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ method: 'logging/setLevel', params: { level: 'debug' } }),
        expect.objectContaining({ method: 'resources/subscribe', params: { uri: 'file:///a' } }),
      ]),
    )
  })
})

describe('subscriptions', () => {
  it('bring news to the parties that are subscribed, and to nobody after that', async () => {
    const { upstream, server, events } = await start(behaving(undefined, ABLE), { isolate: 'shared' })
    const news = () => server.say(notification('notifications/resources/updated', { uri: 'a' }))
    news()
    await upstream.watch(peerOf('alice'), wish('a'))
    news()
    await upstream.watch(peerOf('alice'), wish())
    news()
    expect(events).toEqual([{ kind: 'resource', uri: 'a', party: 'alice' }])
    expect(server.connections[0]?.asked.slice(-2)).toEqual(['resources/subscribe', 'resources/unsubscribe'])
  })

  it('to a server without them are refused', async () => {
    const { upstream, server } = await start(behaving(undefined, { tools: {}, resources: {} }), { isolate: 'shared' })
    await expect(upstream.watch(peerOf('alice'), wish('a'))).rejects.toMatchObject({
      name: 'RpcError',
      message: 'server "in" has no subscriptions',
    })
    expect(server.connections[0]?.asked).not.toContain('resources/subscribe')
  })

  it('that the server refuses are rejected with its error, also on an instance opened for them', async () => {
    const refuses = behaving(({ method }) => {
      if (method === 'resources/subscribe') throw new RpcError(-32002, 'no such resource')
      return undefined
    }, ABLE)
    for (const isolate of ['shared', 'session', 'auto']) {
      const { upstream } = await start(refuses, { isolate })
      const failure = await failureOf(upstream.watch(peerOf('alice'), wish('a')))
      expect([isolate, failure]).toMatchObject([isolate, { code: -32002, message: 'no such resource' }])
    }
  })

  it('to a server that is down are refused without saying why', async () => {
    const fake = inside(behaving(), () => {
      throw new Error('http://10.0.0.7 refused')
    })
    const { upstreams, upstream } = await open({ fake })
    upstreams.start()
    await settle()
    await expect(upstream.watch(peerOf('alice'), wish('a'))).rejects.toMatchObject({
      name: 'RpcError',
      message: 'server "in" could not be subscribed to',
    })
  })

  it('to a server that never answers are given up after 10 s', async () => {
    const mute = behaving(({ method }) => (method === 'resources/subscribe' ? 'silence' : undefined), ABLE)
    const { upstream } = await start(mute, { isolate: 'shared' })
    const failure = failureOf(upstream.watch(peerOf('alice'), wish('a')))
    await pass(10_000)
    expect(await failure).toMatchObject({ name: 'RpcError', message: 'server "in" could not be subscribed to' })
  })
})

describe('a client of its own instance', () => {
  it('that leaves takes it along', async () => {
    const { upstream, server } = await start(behaving(), { isolate: 'session' })
    await upstream.call(call(peerOf('alice')))
    await upstream.call(call(peerOf('bob')))
    upstream.release('alice')
    await settle()
    expect(server.connections.map(({ over }) => over)).toEqual([false, true, false])
  })

  it('that leaves an instance which it adopted is no failure of the server', async () => {
    const { upstream, server, statuses, lines } = await start(behaving(undefined, ABLE))
    await upstream.call(call(peerOf('alice')))
    await upstream.watch(peerOf('alice'), wish('a'))
    expect(server.connects).toBe(1)
    statuses.length = 0
    upstream.release('alice')
    await settle()
    expect(server.connections.map(({ over }) => over)).toEqual([true, false])
    expect(statuses.map(({ state }) => state).filter((state) => state !== 'up')).toEqual([])
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([])
  })

  it('loses it without anybody else noticing', async () => {
    const { upstream, server } = await start(behaving(), { isolate: 'session' })
    await upstream.call(call(peerOf('alice')))
    server.drop(new Error('crash'))
    await settle()
    expect(upstream.status.state).toBe('up')
    await upstream.call(call(peerOf('bob')))
    await upstream.call(call(peerOf('alice')))
    expect(server.connects).toBe(4)
  })
})
