import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Store } from '../../../core/storage.ts'
import { callWith, modernEntry, said, toolWith, WIRES } from '../../fixtures/core/modern.ts'
import { inside } from '../../fixtures/core/inside.ts'
import { peerOf } from '../../fixtures/core/source.ts'
import { openStore, openUpstream } from '../../fixtures/core/upstream.ts'
import type { Behaviour } from '../../fixtures/modern-server.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** A real modern server as the gateway sees it. */
async function open(
  wire: (typeof WIRES)[number],
  { behaviour = {}, settings = {}, store }: { behaviour?: Behaviour; settings?: object; store?: Store } = {},
) {
  const { entry, adapter, server, close } = await modernEntry(wire, behaviour)
  const type = wire === 'stdio' ? 'stdio' : 'http'
  const made = await openUpstream({
    fake: { ...inside(() => undefined), adapter },
    settings: { type, ...entry, ...settings },
    ...(store && { store }),
  })
  closing.push(close, () => made.upstreams.close())
  made.upstreams.start()
  await made.upstreams.connected
  const heard = async (): Promise<any[]> => said(await made.upstream.call(toolWith('heard')))
  return { ...made, server, heard }
}

describe.each(WIRES)('a modern server over %s', (wire) => {
  it('is up, with its lists and what it says about keeping them', async () => {
    const caching = [
      { ttlMs: 60_000, cacheScope: 'public' },
      { ttlMs: 50_000, cacheScope: 'private' },
    ]
    const { upstream, lines } = await open(wire, { behaviour: { caching } })
    expect(upstream.status).toMatchObject({ state: 'up' })
    expect(upstream.lists.tools.map(({ name }) => name)).toContain('region')
    expect(upstream.instructions).toBe('be modern')
    expect(upstream.caching).toEqual({
      tools: { ttlMs: 50_000, cacheScope: 'private' },
      prompts: { ttlMs: 0, cacheScope: 'public' },
      resources: { ttlMs: 0, cacheScope: 'public' },
      templates: { ttlMs: 0, cacheScope: 'public' },
    })
    expect(lines.filter((line) => /^(warn|error)/.test(line))).toEqual([])
    expect(lines.filter((line) => line.includes('speaks the modern era'))).toHaveLength(1)
  })

  it('serves two clients at once, each its own words', async () => {
    const { upstream } = await open(wire, { settings: { isolate: 'shared' } })
    const calls = ['alice', 'bob'].map((party) => toolWith('work', { text: party }, { party, progress: true }))
    await Promise.all(calls.map((call) => upstream.call(call)))
    expect(calls.map(({ heard }) => heard.map(({ params }) => params?.message))).toEqual([['alice'], ['bob']])
  })

  it('is shared by all who subscribe: it keeps nothing of them', async () => {
    const { upstream, heard, events, lines } = await open(wire, { settings: { isolate: 'auto' } })
    const [alice, bob] = [peerOf('alice'), peerOf('bob')]
    await upstream.watch(alice, new Set(['test://a']))
    await upstream.watch(bob, new Set(['test://a', 'test://b']))
    await expect(upstream.watch(bob, new Set(['secret:x']))).rejects.toMatchObject({ name: 'RpcError' })
    await upstream.call(toolWith('happen', { what: 'updated', uri: 'test://b' }))
    // Which of both wished for it, the gateway knows.
    await vi.waitFor(() =>
      expect(events).toEqual(['alice', 'bob'].map((party) => ({ kind: 'resource', uri: 'test://b', party }))),
    )
    expect((await heard()).filter(({ method }) => method === 'server/discover')).toHaveLength(1)
    expect(lines.join()).not.toContain('keeps state per client')
  })

  it('whose list changes is read again', async () => {
    const { upstream, heard, server } = await open(wire)
    const reads = async () => (await heard()).filter(({ method }) => method === 'tools/list').length
    const before = await reads()
    await upstream.call(toolWith('happen', { what: 'tools' }))
    await vi.waitFor(async () => expect(await reads()).toBeGreaterThan(before))
    expect(server === undefined).toBe(wire === 'stdio')
  })

  it('may need the client', async () => {
    const { upstream } = await open(wire)
    expect(await upstream.call(toolWith('need'))).toMatchObject({ kind: 'input_required' })
  })
})

it('a server that is replaced by one of the older era is found out: the call that met it is not lost', async () => {
  let isOld = false
  const old = { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: {} }
  const refuse = (code: number, data?: object): never => {
    throw Object.assign(new Error('no'), { code, data })
  }
  const behaviour: Behaviour = {
    capabilities: { tools: {} },
    answers: {
      'server/discover': () =>
        isOld
          ? refuse(-32022, { supported: ['2025-06-18'] })
          : { supportedVersions: ['2026-07-28'], capabilities: { tools: {} } },
      initialize: () => (isOld ? old : refuse(-32601)),
      'tools/list': () => ({ tools: [{ name: 'a', inputSchema: { type: 'object' } }] }),
      'tools/call': ({ params }) =>
        isOld && params?._meta !== undefined ? refuse(-32022, { supported: ['2025-06-18'] }) : { content: [], isOld },
    },
  }
  const store = openStore()
  const { upstream, server, lines } = await open('http', { behaviour, store })
  expect((await upstream.call(toolWith('a'))).result).toMatchObject({ isOld: false })
  isOld = true
  expect((await upstream.call(toolWith('a'))).result).toMatchObject({ isOld: true })
  expect(server!.requests.map(({ message }) => message.method)).toContain('initialize')
  expect(lines.filter((line) => /speaks the (\w+) era/.test(line))).toHaveLength(2)
})

it('headers are known to every user’s instance, though only the first one reads the lists', async () => {
  const { upstream, server } = await open('http')
  for (const id of ['alice', 'bob']) {
    const call = toolWith('region', { region: 'eu' }, { party: id, principal: { id, roles: [] } })
    expect(said(await upstream.call(call))).toBe('eu')
  }
  const asked = server!.requests.map(({ message }) => message.method)
  expect(asked.filter((method) => method === 'server/discover')).toHaveLength(2)
  expect(asked.filter((method) => method === 'tools/call')).toHaveLength(2)
})

it('a cut of all streams is one reading, however many users there are', async () => {
  const { upstream, server } = await open('http')
  for (const id of ['alice', 'bob', 'carol'])
    await upstream.call(toolWith('echo', {}, { party: id, principal: { id, roles: [] } }))
  const count = (wanted: string) => server!.requests.filter(({ message }) => message.method === wanted).length
  const [reads, streams] = [count('resources/list'), count('subscriptions/listen')]
  expect(streams).toBeGreaterThan(2)
  server!.cut()
  await vi.waitFor(() => expect(count('subscriptions/listen')).toBe(2 * streams), 5000)
  // Whatever they lead to is asked by now.
  await upstream.call(toolWith('echo'))
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(count('resources/list')).toBe(reads + 1)
})

it('a name with any character reaches the server', async () => {
  const { upstream } = await open('http')
  const { result } = await upstream.call(callWith('resources/read', { uri: 'test://ü/日本' }))
  expect(result).toMatchObject({ contents: [{ uri: 'test://ü/日本' }] })
})
