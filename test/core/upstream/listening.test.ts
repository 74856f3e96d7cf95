import { afterEach, describe, expect, it, vi } from 'vitest'
import { createListening } from '../../../core/upstream/listening.ts'
import type { UpstreamEvent } from '../../../core/upstream/face.ts'
import { notification, success, type JsonObject, type RpcResponse } from '../../../core/wire/jsonrpc.ts'
import { ConnectionError, RpcError } from '../../../core/errors.ts'
import type { Exchange } from '../../../core/transport.ts'
import { openModern, said, toolWith, WIRES, type ModernFixture } from '../../fixtures/core/modern.ts'
import { CAPABILITIES, type Behaviour } from '../../fixtures/modern-server.ts'
import { memoryLogger, until } from '../../fixtures/transport/context.ts'

const never = new AbortController().signal
const opened: ModernFixture[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((each) => each.close()))))

async function open(wire: (typeof WIRES)[number], behaviour: Behaviour = {}) {
  const made = await openModern(wire, behaviour)
  opened.push(made)
  await made.face.start(never)
  const happen = (what: string, uri?: string) => made.face.call(toolWith('happen', { what, ...(uri && { uri }) }))
  const heard = async (): Promise<any[]> => said(await made.face.call(toolWith('heard')))
  return { ...made, happen, heard, listens: async () => (await heard()).filter(({ method }) => method === LISTEN) }
}
const LISTEN = 'subscriptions/listen'
const MISSED = [
  { kind: 'tools', missed: true },
  { kind: 'resources', missed: true },
]
const wish = (...uris: string[]) => new Set(uris)

describe.each(WIRES)('a modern server over %s', (wire) => {
  it('is listened to for what it announces, from the start', async () => {
    const { happen, events } = await open(wire)
    await happen('tools')
    await happen('resources')
    // It does not announce these.
    await happen('prompts')
    await vi.waitFor(() => expect(events).toEqual([{ kind: 'tools' }, { kind: 'resources' }]))
  })

  it('that announces nothing is left alone, until there is a wish', async () => {
    const { face, happen, listens, events } = await open(wire, {
      capabilities: { tools: {}, resources: { subscribe: true } },
    })
    expect(await listens()).toEqual([])
    expect(await face.watch(wish('test://a'), never)).toEqual(new Map())
    expect(await listens()).toHaveLength(1)
    await happen('updated', 'test://a')
    await vi.waitFor(() => expect(events).toEqual([{ kind: 'resource', uri: 'test://a' }]))
    await face.watch(wish(), never)
    await happen('updated', 'test://a')
    expect(events).toHaveLength(1)
  })

  it('that has no subscriptions refuses each', async () => {
    const { face } = await open(wire, { capabilities: { resources: {} } })
    const refused = await face.watch(wish('a', 'b'), never)
    expect([...refused.keys()]).toEqual(['a', 'b'])
    expect(refused.get('a')).toMatchObject({ name: 'RpcError', code: -32601 })
  })

  it('may refuse one resource: the others are watched', async () => {
    const { face, happen, events } = await open(wire)
    const refused = await face.watch(wish('test://a', 'secret:b'), never)
    expect([...refused.keys()]).toEqual(['secret:b'])
    expect(refused.get('secret:b')).toMatchObject({ name: 'RpcError', message: expect.stringContaining('server "x"') })
    await happen('updated', 'test://a')
    await vi.waitFor(() => expect(events).toEqual([{ kind: 'resource', uri: 'test://a' }]))
  })

  it('tells everything once across a new wish, which replaces the old stream', async () => {
    const { face, happen, heard, events } = await open(wire)
    await face.watch(wish('test://a'), never)
    await face.watch(wish('test://a', 'test://b'), never)
    await happen('updated', 'test://a')
    await happen('updated', 'test://b')
    await happen('tools')
    await vi.waitFor(() => expect(events).toHaveLength(3))
    expect(events).toEqual([
      { kind: 'resource', uri: 'test://a' },
      { kind: 'resource', uri: 'test://b' },
      { kind: 'tools' },
    ])
    const listens = (await heard()).filter(({ method }) => method === LISTEN)
    expect(listens.map(({ id }) => id)).toEqual(['listen-1', 'listen-2', 'listen-3'])
    // The new one before the old one is dropped, which over HTTP is no message.
    const order = (await heard()).flatMap(({ id, method, requestId }) =>
      method === LISTEN ? [`+${id}`] : String(requestId).startsWith('listen') ? [`-${requestId}`] : [],
    )
    const opened = ['+listen-1', '+listen-2', '+listen-3']
    expect(order).toEqual(wire === 'http' ? opened : opened.toSpliced(2, 0, '-listen-1').concat('-listen-2'))
  })

  it('asks nothing twice for the same wish', async () => {
    const { face, listens } = await open(wire)
    await face.watch(wish('test://a', 'secret:b'), never)
    const before = (await listens()).length
    expect([...(await face.watch(wish('secret:b', 'test://a'), never)).keys()]).toEqual(['secret:b'])
    expect(await listens()).toHaveLength(before)
  })

  it('that ends the stream is listened to again; its lists count as changed', async () => {
    const { face, happen, events, listens } = await open(wire)
    await face.watch(wish('test://a'), never)
    await happen('end')
    await vi.waitFor(() => expect(events).toEqual(MISSED), 5000)
    expect(await listens()).toHaveLength(3)
    await happen('updated', 'test://a')
    await vi.waitFor(() => expect(events.at(-1)).toEqual({ kind: 'resource', uri: 'test://a' }))
  })

  it('that takes the stream back is listened to again', async () => {
    const { happen, events, listens } = await open(wire)
    await happen('cancel')
    await vi.waitFor(() => expect(events).toEqual(MISSED), 5000)
    expect(await listens()).toHaveLength(2)
    await happen('tools')
    await vi.waitFor(() => expect(events).toHaveLength(3))
  })

  it('that acknowledges nothing starts all the same; a wish fails when its time is over', async () => {
    const { face } = await open(wire, { deaf: true, capabilities: { tools: {}, resources: { subscribe: true } } })
    const refused = await face.watch(wish('test://a'), AbortSignal.timeout(100))
    expect(refused.get('test://a')).toMatchObject({ code: -32603, message: expect.stringContaining('acknowledge') })
  })

  it('that announces listening without having it is asked once', async () => {
    const { face, happen, lines } = await open(wire, { capabilities: CAPABILITIES, missing: [LISTEN] })
    expect(face.hears?.('tools')).toBe(false)
    expect(lines.filter((line) => line.includes(`${LISTEN} ended`))).toHaveLength(1)
    await happen('tools')
  })
})

it('a stream that breaks over HTTP is opened again', async () => {
  const { server, events, happen } = await open('http')
  server!.cut()
  await vi.waitFor(() => expect(events).toEqual(MISSED), 5000)
  await happen('tools')
  await vi.waitFor(() => expect(events).toHaveLength(3))
})

/** A server of which the test says each word. */
function scripted({ perRequestStream = true } = {}) {
  const asked: { readonly params: JsonObject; readonly signal: AbortSignal; say: Exchange['onmessage'] }[] = []
  const settles: { resolve(response: RpcResponse): void; reject(error: Error): void }[] = []
  const events: UpstreamEvent[] = []
  const told: string[] = []
  const delays: number[] = []
  let silences = 0
  const listening = createListening({
    connection: { perRequestStream, send: async () => {} } as never,
    name: 'x',
    logger: memoryLogger().logger,
    request(_, params, signal, say) {
      asked.push({ params, signal, say })
      return new Promise((resolve, reject) => {
        settles.push({ resolve, reject })
        signal.addEventListener('abort', () =>
          reject(new ConnectionError('given up', { delivered: true, lost: false })),
        )
      })
    },
    onmessage: ({ method }) => void told.push(method),
    onevent: (event) => void events.push(event),
    onsilence: () => void silences++,
    delay: (attempt) => (delays.push(attempt), 0),
  })
  const acknowledge = (at: number, uris: readonly string[] = []) =>
    asked[at]!.say(
      notification('notifications/subscriptions/acknowledged', { notifications: { resourceSubscriptions: uris } }),
    )
  const count = (wanted: number) => until(() => asked.length >= wanted)
  /** Opens the first stream. */
  async function begin(): Promise<void> {
    const begun = listening.begin(both, never)
    await count(1)
    acknowledge(0)
    await begun
  }
  return { begin, listening, asked, settles, events, told, delays, acknowledge, count, silences: () => silences }
}
const both = { tools: { listChanged: true }, resources: { subscribe: true } }

describe('listening', () => {
  it('keeps the old stream until the new one is acknowledged, and hears each word once', async () => {
    const { begin, listening, asked, told, acknowledge, count } = scripted()
    await begin()
    const watching = listening.watch(wish('a'), never)
    await count(2)
    expect(asked[0]!.signal.aborted).toBe(false)
    const word = notification('notifications/tools/list_changed')
    asked[0]!.say(word)
    // Not its turn yet.
    asked[1]!.say(word)
    expect(told).toHaveLength(1)
    acknowledge(1, ['a'])
    expect(asked[0]!.signal.aborted).toBe(true)
    asked[0]!.say(word)
    asked[1]!.say(word)
    expect(told).toHaveLength(2)
    expect(await watching).toEqual(new Map())
    expect(asked[1]!.params).toEqual({ notifications: { toolsListChanged: true, resourceSubscriptions: ['a'] } })
    listening.close()
    expect(asked[1]!.signal.aborted).toBe(true)
  })

  it('stays with the old stream when the new one fails', async () => {
    const { begin, listening, asked, settles, told, count } = scripted()
    await begin()
    const watching = listening.watch(wish('a'), never)
    await count(2)
    settles[1]!.reject(new RpcError(-32000, 'full'))
    expect((await watching).get('a')).toMatchObject({ code: -32000, message: 'full' })
    asked[0]!.say(notification('notifications/tools/list_changed'))
    expect(told).toHaveLength(1)
    listening.close()
  })

  it('tries again, ever more slowly, and suspects a server that cannot be reached', async () => {
    const { begin, listening, asked, settles, delays, events, acknowledge, count, silences } = scripted()
    await begin()
    settles[0]!.resolve(success(1, {}))
    await count(2)
    settles[1]!.reject(new ConnectionError('refused', { delivered: false, lost: false }))
    await count(3)
    settles[2]!.reject(new RpcError(-32603, 'not now'))
    await count(4)
    expect(events).toEqual([])
    acknowledge(3)
    await until(() => events.length > 0)
    expect(events).toEqual([{ kind: 'tools', missed: true }])
    expect(delays).toEqual([0, 1, 2])
    expect(silences()).toBe(1)
    listening.close()
    expect(asked).toHaveLength(4)
  })

  it('tries again when the new stream ends as soon as it is acknowledged', async () => {
    const { begin, listening, settles, events, acknowledge, count } = scripted()
    await begin()
    settles[0]!.resolve(success(1, {}))
    await count(2)
    acknowledge(1)
    settles[1]!.resolve(success(1, {}))
    await count(3)
    expect(events).toEqual([])
    acknowledge(2)
    await until(() => events.length > 0)
    listening.close()
  })

  it('ends with a connection that is lost, and with close', async () => {
    const { begin, listening, asked, settles, delays } = scripted()
    await begin()
    settles[0]!.reject(new ConnectionError('exited', { delivered: true, lost: true }))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(asked).toHaveLength(1)
    expect(delays).toEqual([])
    listening.close()
    expect([...(await listening.watch(wish('a'), never)).keys()]).toEqual(['a'])
  })

  it('that is acknowledged late tells of the lists: they may have changed before', async () => {
    const { listening, events, acknowledge, count } = scripted()
    await Promise.all([listening.begin(both, AbortSignal.timeout(10)), count(1)])
    expect(events).toEqual([])
    acknowledge(0)
    await until(() => events.length > 0)
    expect(events).toEqual([{ kind: 'tools', missed: true }])
    listening.close()
  })

  it.each([
    new ConnectionError('no', { delivered: true, lost: false, status: 404 }),
    new ConnectionError('no', { delivered: true, lost: false, status: 405 }),
    new RpcError(-32601, 'no'),
  ])('that the server does not know is asked for once: %o', async (unknown) => {
    const { listening, asked, settles, events, count } = scripted()
    const begun = listening.begin(both, never)
    await count(1)
    expect(listening.hears('tools')).toBe(true)
    settles[0]!.reject(unknown)
    await begun
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(asked).toHaveLength(1)
    expect(listening.hears('tools')).toBe(false)
    // Its lists are not read yet.
    expect(events).toEqual([])
    listening.close()
  })

  it('that turns out late not to be known makes its lists be read: now they are read by the clock', async () => {
    const { listening, settles, events, count } = scripted()
    await Promise.all([listening.begin(both, AbortSignal.timeout(10)), count(1)])
    settles[0]!.reject(new RpcError(-32601, 'no'))
    await until(() => events.length > 0)
    expect(events).toEqual([{ kind: 'tools', missed: true }])
    expect(listening.hears('tools')).toBe(false)
    listening.close()
  })
})
