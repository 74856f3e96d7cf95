import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { RpcError } from '../../../core/errors.ts'
import { complete, type Call } from '../../../core/gateway/call.ts'
import { memoryStore } from '../../../core/store.ts'
import { messagesOf } from '../../harness.ts'
import { asSession, facesPerTest, openAsked } from '../../fixtures/core/faces.ts'
import { logOf, sourceOf, toolsOf, watchedSource, type Refuse } from '../../fixtures/core/source.ts'

const open = facesPerTest()

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']
const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'a_talk' } }

/** A server whose tool `talk` logs at every level. */
function talking() {
  const calls: Call[] = []
  const server = sourceOf(
    'a',
    { tools: toolsOf('talk') },
    {
      async call(call) {
        calls.push(call)
        for (const level of [...LEVELS, 'loud']) call.notify(logOf(level, level))
        call.notify({ jsonrpc: '2.0', method: 'notifications/unheard-of' })
        return complete({ done: true })
      },
    },
  )
  return { server, calls }
}

const heardOn = async (response: Response) =>
  (await messagesOf(response)).flatMap(({ method, params }) =>
    method === 'notifications/message' ? [params.level] : [],
  )

describe('the log in a session', () => {
  it('is declared, begins at "info", and follows logging/setLevel', async () => {
    const { server, calls } = talking()
    const { url } = await open([server])
    const wire = await openAsked(url)
    expect(wire.initialized.result.capabilities).toMatchObject({
      logging: {},
      resources: { subscribe: true, listChanged: true },
    })
    const messages = await messagesOf(await wire.post(call))
    expect(messages.map(({ method, params }) => [method, params?.level])).toEqual([
      ...LEVELS.slice(1).map((level) => ['notifications/message', level]),
      [undefined, undefined],
    ])
    for (const level of ['error', 'debug', 'emergency']) {
      expect(await wire.request('logging/setLevel', { level })).toMatchObject({ result: {} })
      expect(await heardOn(await wire.post(call))).toEqual(LEVELS.slice(LEVELS.indexOf(level)))
    }
    expect(calls.map(({ logLevel }) => logLevel)).toEqual(['info', 'error', 'debug', 'emergency'])
    // Another client has its own.
    const other = await openAsked(url)
    expect(await heardOn(await other.post(call))).toEqual(LEVELS.slice(1))
  })

  it.each([{}, { level: 'loud' }, { level: 3 }, { level: 'constructor' }, { level: null }])(
    'takes no level %j',
    async (params) => {
      const { url } = await open([talking().server])
      const wire = await openAsked(url)
      expect(await wire.request('logging/setLevel', params)).toMatchObject({ error: { code: -32602 } })
      expect(await heardOn(await wire.post(call))).toEqual(LEVELS.slice(1))
    },
  )

  it('comes on the GET stream where it belongs to no call, from the same level up', async () => {
    const parties: string[] = []
    const server = sourceOf(
      'a',
      { tools: toolsOf('talk') },
      {
        async call({ party }) {
          parties.push(party)
          return complete({})
        },
      },
    )
    const { url, gateway } = await open([server])
    const wire = await openAsked(url)
    await wire.request('tools/call', { name: 'a_talk' })
    const next = await wire.stream()
    const [party = ''] = parties
    const say = (level: string, party: string) =>
      gateway.heard(server, { kind: 'message', party, message: logOf(level, `${level} for ${party}`) })
    say('debug', party)
    say('error', 'somebody else')
    say('info', party)
    expect((await next()).params).toEqual({ level: 'info', data: `info for ${party}` })
    await wire.request('logging/setLevel', { level: 'critical' })
    say('error', party)
    say('critical', party)
    expect((await next()).params.level).toBe('critical')
    const peer = gateway.peerOf(party)
    peer?.notify(logOf('error', 'too low'))
    peer?.notify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1 } })
    peer?.notify(logOf('alert', 'by the peer'))
    expect((await next()).params.data).toBe('by the peer')
  })
})

describe('subscriptions of a session', () => {
  const make = (refuse?: Refuse) =>
    watchedSource(
      'a',
      {
        tools: toolsOf('one'),
        resources: [{ uri: 'a://1' }, { uri: 'a://2' }],
        templates: [{ uriTemplate: 'a://{id}' }],
      },
      refuse && { refuse },
    )
  const other = () => sourceOf('b', { tools: toolsOf('one'), resources: [{ uri: 'b://1' }] })
  const wishesOf = ({ wishes }: ReturnType<typeof make>) => [...wishes.values()]

  it('tell of updates on the GET stream until they are ended', async () => {
    const server = make()
    const { url, gateway } = await open([server, other()])
    const wire = await openAsked(url)
    const next = await wire.stream()
    for (const uri of ['a://1', 'a://2', 'a://1']) {
      expect(await wire.request('resources/subscribe', { uri })).toMatchObject({ result: {} })
    }
    expect(wishesOf(server)).toEqual([['a://1', 'a://2']])
    gateway.heard(server, { kind: 'resource', uri: 'a://1' })
    expect(await next()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/resources/updated',
      params: { uri: 'a://1' },
    })
    for (const uri of ['a://1', 'a://1', 'q://never']) {
      expect(await wire.request('resources/unsubscribe', { uri })).toMatchObject({ result: {} })
    }
    expect(wishesOf(server)).toEqual([['a://2']])
    gateway.heard(server, { kind: 'resource', uri: 'a://1' })
    gateway.heard(server, { kind: 'resource', uri: 'a://2' })
    expect((await next()).params).toEqual({ uri: 'a://2' })
  })

  it('made without a stream take effect with the next one, and end with it', async () => {
    const server = make()
    const { url, gateway } = await open([server, other()])
    const wire = await openAsked(url)
    expect(await wire.request('resources/subscribe', { uri: 'a://1' })).toMatchObject({ result: {} })
    expect(await wire.request('resources/subscribe', { uri: 'q://1' })).toMatchObject({ error: { code: -32002 } })
    expect(server.told).toBe(0)
    const abort = new AbortController()
    const next = await wire.stream(abort.signal)
    await vi.waitFor(() => expect(wishesOf(server)).toEqual([['a://1']]))
    gateway.heard(server, { kind: 'resource', uri: 'a://1' })
    expect((await next()).params).toEqual({ uri: 'a://1' })
    abort.abort()
    await vi.waitFor(() => expect(wishesOf(server)).toEqual([]))
    // A stream that takes over does so without a gap.
    await wire.stream()
    await vi.waitFor(() => expect(wishesOf(server)).toEqual([['a://1']]))
    const told = server.told
    await wire.stream()
    await wire.request('ping')
    expect([server.told, wishesOf(server)]).toEqual([told, [['a://1']]])
  })

  it('to what is not there are refused, and to what a server refuses with its words', async () => {
    // It takes its time: what is asked meanwhile must not be refused along with the bad one.
    const server = make((uris) =>
      sleep(20, uris.has('a://2') ? new RpcError(-32602, 'Not that one', { uri: 'a://2' }) : undefined),
    )
    const { url } = await open([server, other()])
    const wire = await openAsked(url)
    await wire.stream()
    const subscribe = (uri: unknown) => wire.request('resources/subscribe', { uri })
    const answers = await Promise.all(['a://1', 'a://2', 'q://1', 7, 'a://3'].map(subscribe))
    expect(answers).toMatchObject([
      { result: {} },
      { error: { code: -32602, message: 'Not that one', data: { uri: 'a://2' } } },
      { error: { code: -32002, message: 'Resource not found: q://1', data: { uri: 'q://1' } } },
      { error: { code: -32602 } },
      { result: {} },
    ])
    expect(await wire.request('resources/unsubscribe', {})).toMatchObject({ error: { code: -32602 } })
    expect(wishesOf(server)).toEqual([['a://1', 'a://3']])
  })

  it('are 1,000 at most', async () => {
    const server = make()
    const { url } = await open([server])
    const wire = await openAsked(url)
    const answers: unknown[] = []
    for (let from = 0; from < 1002; from += 167) {
      const part = Array.from({ length: 167 }, (_, index) =>
        wire.request('resources/subscribe', { uri: `a://${from + index}` }),
      )
      answers.push(...(await Promise.all(part)))
    }
    const refused = answers.filter((answer) => 'error' in (answer as object))
    expect(refused).toHaveLength(2)
    expect(refused[0]).toMatchObject({ error: { code: -32602, message: expect.stringContaining('1000') } })
  })

  it('and the level survive a restart, and end with the session', async () => {
    const store = memoryStore()
    const before = await open([make(), other()], { store })
    const wire = await openAsked(before.url)
    await wire.request('resources/subscribe', { uri: 'a://1' })
    await wire.request('resources/subscribe', { uri: 'b://1' })
    await wire.request('resources/unsubscribe', { uri: 'b://1' })
    await wire.request('logging/setLevel', { level: 'alert' })

    const { server: talker } = talking()
    const server = { ...make(), call: talker.call, lists: { ...make().lists, tools: toolsOf('talk') } }
    const after = await open([server], { store })
    const again = asSession(after.url, wire.sessionId)
    expect(await heardOn(await again.post(call))).toEqual(['alert', 'emergency'])
    await again.stream()
    await vi.waitFor(() => expect(wishesOf(server)).toEqual([['a://1']]))
    await again.remove()
    expect(wishesOf(server)).toEqual([])
    const third = await open([make()], { store })
    expect((await asSession(third.url, wire.sessionId).post(call)).status).toBe(404)
    for await (const [key] of store.scan('session-settings')) throw new Error(`${key} is still there`)
  })

  it('of a store that cannot be written live on in memory', async () => {
    const store = { ...memoryStore(), put: () => Promise.reject(new Error('the disk is full')) }
    const faces = await open([make()], { store })
    const wire = await openAsked(faces.url)
    expect(await wire.request('resources/subscribe', { uri: 'a://1' })).toMatchObject({ result: {} })
    expect(faces.log()).toContain('the settings of a session could not be kept: the disk is full')
  })
})

describe('clients that come and go', () => {
  it('by the hundred leave nothing behind, said goodbye or not', async () => {
    const server = watchedSource('a', { tools: toolsOf('one'), templates: [{ uriTemplate: 'a://{id}' }] })
    const faces = await open([server])
    const abort = new AbortController()
    const wires = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const wire = await openAsked(faces.url)
        await wire.stream(abort.signal)
        await wire.request('resources/subscribe', { uri: `a://${index}` })
        return wire
      }),
    )
    expect(server.wishes.size).toBe(100)
    await Promise.all(wires.slice(0, 50).map((wire) => wire.remove()))
    expect([server.wishes.size, server.gone.length]).toEqual([50, 50])
    abort.abort()
    await vi.waitFor(() => expect(server.wishes.size).toBe(0))
    const live = [...faces.sessions.live()]
    expect(live).toHaveLength(50)
    expect(live.every(({ stream, calls }) => stream === undefined && calls.size === 0)).toBe(true)
  })
})

describe('a client that does not read its stream', () => {
  it('is cut off, and its wishes end; others hear on', async () => {
    const server = watchedSource('a', { tools: toolsOf('one'), templates: [{ uriTemplate: 'a://{id}' }] })
    const { url, gateway } = await open([server])
    const [slow, quick] = [await openAsked(url), await openAsked(url)]
    for (const wire of [slow, quick]) await wire.request('resources/subscribe', { uri: 'a://1' })
    await slow.stream()
    await vi.waitFor(() => expect(server.wishes.size).toBe(1))
    const [party = ''] = server.wishes.keys()
    const next = await quick.stream()
    for (let count = 0; count < 12; count++) {
      gateway.heard(server, { kind: 'message', party, message: logOf('info', 'x'.repeat(1024 * 1024)) })
    }
    await vi.waitFor(() => expect([...server.wishes.keys()]).not.toContain(party))
    expect(gateway.peerOf(party)).toBeUndefined()
    gateway.heard(server, { kind: 'resource', uri: 'a://1' })
    expect((await next()).params).toEqual({ uri: 'a://1' })
  })
})

describe('instructions', () => {
  it('of servers come with initialize', async () => {
    const { url } = await open([sourceOf('a', {}, { instructions: 'Be brief.' }), sourceOf('b')])
    expect((await openAsked(url)).initialized.result.instructions).toBe('## a\n\nBe brief.')
    const mute = await open([sourceOf('b')])
    expect((await openAsked(mute.url)).initialized.result).not.toHaveProperty('instructions')
  })
})
