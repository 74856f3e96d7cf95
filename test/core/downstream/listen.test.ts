import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../../core/auth.ts'
import { createListeners } from '../../../core/downstream/listen.ts'
import type { Gateway, GatewayEvent } from '../../../core/gateway/gateway.ts'
import type { Source } from '../../../core/gateway/source.ts'
import { createStandingStreams } from '../../../core/standing-streams.ts'
import { node, openLegacy, openProxy, postModern } from '../../harness.ts'
import { facesPerTest, messageReader, openAsked } from '../../fixtures/core/faces.ts'
import { logOf, peerOf, sourceOf, toolsOf, userWith, watchedSource } from '../../fixtures/core/source.ts'

const TAG = 'io.modelcontextprotocol/subscriptionId'

const open = facesPerTest()

const make = (refuse?: () => Error | undefined) => ({
  a: watchedSource(
    'a',
    { tools: toolsOf('one'), resources: [{ uri: 'a://1' }, { uri: 'a://2' }] },
    refuse && { refuse },
  ),
  b: watchedSource('b', { tools: toolsOf('one'), resources: [{ uri: 'b://1' }] }),
})

const begin = ({ url }: { url: string }, notifications: unknown, id: string) =>
  postModern(url, 'subscriptions/listen', { notifications }, {}, id)
const listen = async (...args: Parameters<typeof begin>) => messageReader(await begin(...args))
const acknowledged = (id: string, notifications: object) => ({
  jsonrpc: '2.0',
  method: 'notifications/subscriptions/acknowledged',
  params: { notifications, _meta: { [TAG]: id } },
})
const updated = (id: string, uri: string) => ({
  jsonrpc: '2.0',
  method: 'notifications/resources/updated',
  params: { uri, _meta: { [TAG]: id } },
})

describe('subscriptions/listen', () => {
  it('acknowledges first, with what is granted and nothing else', async () => {
    const { a, b } = make()
    const faces = await open([a, b])
    const resourceSubscriptions = ['a://1', 'q://unknown', 7, 'b://1', 'a://1']
    const wish = { toolsListChanged: true, promptsListChanged: false, resourceSubscriptions, other: true }
    const next = await listen(faces, wish, 'sub')
    expect(await next()).toEqual(
      acknowledged('sub', { toolsListChanged: true, resourceSubscriptions: ['a://1', 'b://1'] }),
    )
    expect([[...a.wishes.values()], [...b.wishes.values()]]).toEqual([[['a://1']], [['b://1']]])
  })

  it.each([undefined, null, [[]], 'all', { resourceSubscriptions: 'a://1' }, { resourceSubscriptions: ['q://1'] }])(
    'grants nothing where nothing can be granted: %j',
    async (wish) => {
      const { a, b } = make()
      const faces = await open([a, b])
      const next = await listen(faces, wish, 'sub')
      expect(await next()).toEqual(acknowledged('sub', {}))
      expect([a.told, b.told]).toEqual([0, 0])
    },
  )

  it('leaves out what a server refuses or the principal may not see', async () => {
    const { a, b } = make(() => new Error('no'))
    const wish = { resourceSubscriptions: ['a://1', 'b://1'] }
    const next = await listen(await open([a, b]), wish, 'sub')
    expect(await next()).toEqual(acknowledged('sub', { resourceSubscriptions: ['b://1'] }))
    const { a: hidden, b: allowed } = make()
    const faces = await open([hidden, allowed], { authenticate: () => userWith('b_*') })
    expect(await (await listen(faces, wish, 'sub'))()).toEqual(
      acknowledged('sub', { resourceSubscriptions: ['b://1'] }),
    )
    expect(hidden.told).toBe(0)
  })

  it('says nothing later of what was not granted', async () => {
    const { a, b } = make()
    const all: Source[] = [a, b]
    const faces = await open(all)
    const next = await listen(faces, { resourceSubscriptions: ['a://1', 'c://1'] }, 'sub')
    expect(await next()).toEqual(acknowledged('sub', { resourceSubscriptions: ['a://1'] }))
    const c = watchedSource('c', { tools: toolsOf('one'), resources: [{ uri: 'c://1' }] })
    all.push(c)
    faces.gateway.refresh(['resources'])
    expect(c.told).toBe(0)
    faces.gateway.heard(c, { kind: 'resource', uri: 'c://1' })
    faces.gateway.heard(a, { kind: 'resource', uri: 'a://1' })
    expect(await next()).toEqual(updated('sub', 'a://1'))
  })

  it('does not acknowledge before the servers know, and forgets nothing of what happens meanwhile', async () => {
    let answer = (): void => {}
    const known = vi.fn<Source['watch']>(() => new Promise<void>((resolve) => void (answer = resolve)))
    const slow = { ...make().a, watch: known }
    const faces = await open([slow, make().b])
    const wish = { toolsListChanged: true, resourceSubscriptions: ['a://1'] }
    const response = begin(faces, wish, 'sub')
    await vi.waitFor(() => expect(known).toHaveBeenCalledTimes(1))
    faces.gateway.heard(slow, { kind: 'resource', uri: 'a://1' })
    faces.gateway.heard(slow, { kind: 'resource', uri: 'a://1' })
    // Not even headers come: they would be sent with the first message.
    expect(await Promise.race([response, sleep(50, 'nothing yet')])).toBe('nothing yet')
    answer()
    const next = messageReader(await response)
    expect(await next()).toEqual(acknowledged('sub', wish))
    expect(await next()).toEqual(updated('sub', 'a://1'))
    faces.gateway.heard(slow, { kind: 'resource', uri: 'a://1/part' })
    expect(await next()).toEqual(updated('sub', 'a://1/part'))
  })

  it('tells each stream of what it asked for, tagged, and of nothing else', async () => {
    const { a, b } = make()
    const faces = await open([a, b])
    const streams = {
      tools: await listen(faces, { toolsListChanged: true }, 'tools'),
      one: await listen(faces, { resourceSubscriptions: ['a://1'] }, 'one'),
      both: await listen(faces, { resourcesListChanged: true, resourceSubscriptions: ['a://1', 'a://2'] }, 'both'),
    }
    for (const next of Object.values(streams)) await next()
    // One user, one party: what it wishes in all.
    expect([...a.wishes.values()]).toEqual([['a://1', 'a://2']])
    faces.gateway.heard(a, { kind: 'message', party: 'local', message: logOf('alert', 'never here') })
    for (const uri of ['a://2', 'a://1']) faces.gateway.heard(a, { kind: 'resource', uri })
    expect(await streams.both()).toEqual(updated('both', 'a://2'))
    expect(await streams.both()).toEqual(updated('both', 'a://1'))
    expect(await streams.one()).toEqual(updated('one', 'a://1'))
    faces.gateway.refresh(['tools', 'templates'])
    const changed = (list: string, id: string) => ({
      jsonrpc: '2.0',
      method: `notifications/${list}/list_changed`,
      params: { _meta: { [TAG]: id } },
    })
    expect(await streams.tools()).toEqual(changed('tools', 'tools'))
    expect(await streams.both()).toEqual(changed('resources', 'both'))
    await faces.close()
    expect(await streams.tools()).toMatchObject({ id: 'tools', result: { resultType: 'complete' } })
    expect(await streams.one()).toMatchObject({ id: 'one' })
  })

  it('ends with an empty result when the proxy closes', async () => {
    const faces = await open([])
    const next = await listen(faces, {}, 'sub')
    await next()
    await faces.close()
    expect(await next()).toEqual({
      jsonrpc: '2.0',
      id: 'sub',
      result: { resultType: 'complete', _meta: { [TAG]: 'sub' } },
    })
    expect(await next()).toBeUndefined()
  })

  it('ends its wishes when the client goes; a party of one stream is gone with it', async () => {
    const { a, b } = make()
    for (const oneParty of [true, false]) {
      const faces = await open([a, b], { oneParty })
      const wish = { resourceSubscriptions: ['a://1'] }
      const streams = [await begin(faces, wish, 'one'), await begin(faces, wish, 'two')]
      expect(a.wishes.size).toBe(oneParty ? 1 : 2)
      for (const { body } of streams) await body?.cancel()
      await vi.waitFor(() => expect(a.wishes.size).toBe(0))
      expect(new Set(a.gone).size).toBe(oneParty ? 0 : 2)
    }
  })

  it('leaves nothing behind, however the stream ends', async () => {
    const ears = new Set<(event: GatewayEvent) => void>()
    let ended = 0
    const asked = vi.fn<(principal: Principal) => Promise<boolean>>(async () => true)
    const standing = createStandingStreams(asked)
    const gateway: Pick<Gateway, 'subscribe'> = {
      subscribe(_, on) {
        ears.add(on)
        return { set: async () => new Map(), close: () => void ears.delete(on) }
      },
    }
    const listeners = createListeners(gateway, standing)
    const abort = new AbortController()
    const start = (signal: AbortSignal | null) =>
      listeners.listen(
        new Request('http://localhost/mcp', { method: 'POST', signal }),
        { jsonrpc: '2.0', id: 1, method: 'subscriptions/listen' },
        peerOf('p'),
        () => ended++,
      )
    const [, left] = await Promise.all([start(abort.signal), start(null), start(null)])
    expect(ears.size).toBe(3)
    await standing.recheck()
    expect(asked).toHaveBeenCalledTimes(3)
    abort.abort()
    await left?.body?.cancel()
    await vi.waitFor(() => expect(ears.size).toBe(1))
    await start(abort.signal)
    listeners.close()
    expect([ears.size, ended]).toEqual([0, 4])
    await standing.recheck()
    expect(asked).toHaveBeenCalledTimes(3)
  })

  it('and the GET stream of a session tell of the same change of a real server', async () => {
    const proxy = await openProxy({ mcpServers: { grows: node('test/fixtures/core/growing-server.ts') } })
    try {
      const wire = await openLegacy(proxy.url)
      const headers = { 'mcp-session-id': wire.sessionId, accept: 'text/event-stream' }
      const old = messageReader(await fetch(proxy.url, { headers }))
      const modern = await listen(proxy, { toolsListChanged: true }, 'sub')
      await modern()
      await wire.request('tools/call', { name: 'grows_grow' })
      expect(await old()).toEqual({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
      expect(await modern()).toMatchObject({ method: 'notifications/tools/list_changed' })
      await vi.waitFor(async () => expect((await wire.request('tools/list')).result.tools).toHaveLength(2))
    } finally {
      await proxy.close()
    }
  })
})

describe('a resource of a session and of a stream', () => {
  it('is watched for each party, and both hear of it', async () => {
    const { a, b } = make()
    const faces = await open([a, b, sourceOf('c')])
    const wire = await openAsked(faces.url)
    const old = await wire.stream()
    await wire.request('resources/subscribe', { uri: 'a://1' })
    const modern = await listen(faces, { resourceSubscriptions: ['a://1'] }, 'sub')
    await modern()
    expect(a.wishes.size).toBe(2)
    faces.gateway.heard(a, { kind: 'resource', uri: 'a://1' })
    expect((await old()).params).toEqual({ uri: 'a://1' })
    expect(await modern()).toEqual(updated('sub', 'a://1'))
  })
})
