import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { holdings, untilReturned } from '../../e2e/support/holdings.ts'
import { until } from '../../e2e/support/until.ts'
import { people } from '../../fixtures/core/people.ts'
import { callOf } from '../../fixtures/core/source.ts'
import { openUpstream } from '../../fixtures/core/upstream.ts'
import { gate, openLive, type LiveProxy } from '../../fixtures/reload/live.ts'
import { offering } from '../../fixtures/reload/offering.ts'

const stateOf = ({ proxy }: LiveProxy, server: string) =>
  proxy.kernel.upstreams.find(({ name }) => name === server)?.state
const up = (live: LiveProxy, ...servers: string[]) =>
  until(`${servers.join()} up`, () => servers.every((server) => stateOf(live, server) === 'up'))

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'mcp-proxy-apply-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

describe('what runs', () => {
  test('is exchanged where the entry is another one, and left alone elsewhere', async () => {
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((type) => offering(type, { tools: ['who'] }))
    const live = await openLive([a!, b!, c!, d!], { a: { type: 'a' }, b: { type: 'b' }, c: { type: 'c' } })
    const client = await live.listen()
    await live.apply({ a: { type: 'a' }, b: { type: 'b', rev: 2 }, d: { type: 'd' } })
    await up(live, 'a', 'b', 'd')
    await until(
      'the servers that left are closed',
      () => b!.server.connections[0]?.over && c!.server.connections[0]?.over,
    )
    expect([a, b, c, d].map((one) => one!.server.connections.map(({ over }) => over))).toEqual([
      [false],
      [true, false],
      [true],
      [false],
    ])
    expect(await client.tools()).toEqual(['a_who', 'b_who', 'd_who'])
    expect(live.told).toEqual([{ added: ['d'], removed: ['c'], changed: ['b'] }])
    expect(live.proxy.kernel.upstreams.map(({ name }) => name)).toEqual(['a', 'b', 'd'])
    await expect(client.tool('c_who')).rejects.toThrow('Unknown tool: c_who')
    expect(live.proxy.log()).not.toMatch(/^(warn|error) /m)
  })

  test('stays when nothing but the place of the entry, or the order of its keys, is another one', async () => {
    const a = offering('a', { tools: ['who'] })
    const b = offering('b')
    const live = await openLive([a, b], { a: { type: 'a', x: 1, y: { p: 1, q: 2 } }, b: { type: 'b' } })
    await live.apply({ b: { type: 'b' }, a: { y: { q: 2, p: 1 }, x: 1, type: 'a' } })
    expect(a.server.connects).toBe(1)
    expect(live.told).toEqual([])
  })

  test('ends a call on the old instance while new ones go to the new one', async () => {
    const changed = offering('changed', { tools: ['who', 'slow'] })
    const removed = offering('removed', { tools: ['slow'] })
    const live = await openLive([changed, removed], { changed: { type: 'changed' }, removed: { type: 'removed' } })
    const client = await live.listen()
    const calls = [client.tool('changed_slow'), client.tool('removed_slow')]
    await until('both calls are there', () => changed.held.length + removed.held.length === 2)
    await live.apply({ changed: { type: 'changed', rev: 2 } })
    await up(live, 'changed')
    expect(await client.tool('changed_who')).toBe('changed 2')
    expect([changed, removed].map(({ server }) => server.connections[0]?.over)).toEqual([false, false])
    for (const answer of [...changed.held, ...removed.held]) answer()
    expect(await Promise.all(calls)).toEqual(['changed 1', 'removed 1'])
    await until('both are closed', () => [changed, removed].every(({ server }) => server.connections[0]?.over))
    expect(live.proxy.log()).not.toMatch(/^(warn|error) /m)
  })

  test('a call waits for a new instance that takes its time, and the old tools stay listed', async () => {
    const a = offering('a', { tools: ['who', 'old'] })
    const live = await openLive([a], { a: { type: 'a' } })
    const client = await live.listen()
    const door = gate()
    a.onconnect = () => door.passed
    a.offering.tools = ['who', 'new']
    await live.apply({ a: { type: 'a', rev: 2 } })
    expect(await client.tools()).toEqual(['a_who', 'a_old'])
    const call = client.tool('a_who')
    expect(client.changes()).toEqual([])
    door.open()
    expect(await call).toBe('a 2')
    await until('the change is heard of', () => client.changes().includes('tools'))
    expect(await client.tools()).toEqual(['a_who', 'a_new'])
  })

  test('prefix and tools are shown otherwise at once, and nothing is started', async () => {
    const a = offering('a', { tools: ['read', 'write', 'slow'], prompts: ['hello'] })
    const live = await openLive([a], { a: { type: 'a' } })
    const client = await live.listen()
    const call = client.tool('a_slow')
    await until('the call is there', () => a.held.length === 1)
    await live.apply({ a: { type: 'a', prefix: 'x', tools: { exclude: ['write', 'slow'] } } })
    expect(await client.tools()).toEqual(['x_read'])
    expect(live.proxy.kernel.upstreams).toMatchObject([{ name: 'a', tools: 1, state: 'up' }])
    expect(await client.tool('x_read')).toBe('a 1')
    await expect(client.tool('a_read')).rejects.toThrow('Unknown tool: a_read')
    await expect(client.tool('x_write')).rejects.toThrow('Unknown tool: x_write')
    await until('both changes are heard of', () => client.changes().length === 2)
    expect(client.changes().sort()).toEqual(['prompts', 'tools'])
    a.held[0]?.()
    expect(await call).toBe('a 1')
    await live.apply({ a: { type: 'a' } })
    expect(await client.tools()).toEqual(['a_read', 'a_write', 'a_slow'])
    expect([a.server.connects, live.told.length]).toEqual([1, 2])
  })

  test('names stay with those who have them', async () => {
    const a = offering('a', { tools: ['who'] })
    const b = offering('b', { tools: ['who'] })
    const live = await openLive([a, b], { a: { type: 'a', prefix: false } })
    const client = await live.listen()
    expect(await client.tools()).toEqual(['who'])
    await live.apply({ b: { type: 'b', prefix: false }, a: { type: 'a', prefix: false, rev: 2 } })
    await up(live, 'a', 'b')
    expect((await client.tools()).sort()).toEqual(['b_who', 'who'])
    expect(await client.tool('who')).toBe('a 2')
  })

  test('off, on, wrong and right again', async () => {
    const a = offering('a', { tools: ['who'] })
    const live = await openLive([a], { a: { type: 'a' } })
    const client = await live.listen()
    await live.apply({ a: { type: 'a', disabled: true } })
    expect([stateOf(live, 'a'), await client.tools()]).toEqual(['disabled', []])
    await until('its end is heard of', () => client.changes().length === 1)
    await until('it is closed', () => a.server.connections[0]?.over)
    await live.apply({ a: { type: 'a' } })
    await up(live, 'a')
    expect(await client.tool('a_who')).toBe('a 2')
    await until('its return is heard of', () => client.changes().length === 2)
    await live.apply({ a: { type: 'nothing' } })
    expect([stateOf(live, 'a'), await client.tools()]).toEqual(['invalid', []])
    await until('its mistake is heard of', () => client.changes().length === 3)
    expect(live.proxy.log()).toMatch(/^error \[a\] invalid: .*no plugin for transport "nothing"/m)
    await live.apply({ a: { type: 'a' } })
    await up(live, 'a')
    expect(await client.tool('a_who')).toBe('a 3')
    await until('its mending is heard of', () => client.changes().length === 4)
    expect(new Set(client.changes())).toEqual(new Set(['tools']))
  })
})

describe('what leaves', () => {
  test('while it is still connecting holds up nothing: not the start, not the one in its place', async () => {
    const stuck = offering('stuck', { tools: ['who'] })
    const other = offering('other', { tools: ['who'] })
    const door = gate()
    stuck.onconnect = () => door.passed
    const live = await openLive([stuck, other], { a: { type: 'stuck' }, b: { type: 'stuck' } }, { settled: false })
    await until('both connect', () => stuck.server.connects === 2)
    await live.apply({ b: { type: 'other' } })
    await live.proxy.kernel.ready
    await up(live, 'b')
    expect(await (await live.listen()).tools()).toEqual(['b_who'])
    door.open()
  })

  test('is closed at once where it only tries to connect', async () => {
    const a = offering('a', { tools: ['who'] })
    let isAborted = false
    a.adapter.connect = (_, { signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener('abort', () => {
          isAborted = true
          reject(signal.reason)
        }),
      )
    const live = await openLive([a], { a: { type: 'a' } }, { settled: false })
    await live.apply({})
    await until('it is given up', () => isAborted)
    expect(live.proxy.log()).not.toMatch(/^(warn|error) /m)
  })

  test('may take its time with what is under way, but not for ever', async () => {
    const a = offering('a', { tools: ['slow'] })
    const { upstream, upstreams, lines } = await openUpstream({
      fake: { ...a, adapter: a.adapter },
      settings: { type: 'a' },
    })
    upstreams.start()
    await upstreams.connected
    const call = upstream.call(callOf('tools/call', { name: 'slow' })).catch((error: Error) => error.message)
    await until('the call is there', () => a.held.length === 1)
    const left = upstream.retire(200, new AbortController().signal)
    expect(a.server.connections[0]?.over).toBe(false)
    await left
    expect(a.server.connections[0]?.over).toBe(true)
    expect(await call).toBe('server "in" ended during the call')
    expect(lines.join('\n')).toContain('warn: its entry has changed, and 1 call(s) are still under way: they are cut')
  })

  test('is no longer heard of, whatever becomes of it while its last call is under way', async () => {
    const [a, b] = [offering('a', { tools: ['slow'] }), offering('b', { tools: ['who'] })]
    const live = await openLive([a, b], { a: { type: 'a' } })
    const client = await live.listen()
    const call = client.tool('a_slow').catch((error: Error) => error.message)
    await until('the call is there', () => a.held.length === 1)
    await live.apply({})
    await until('its end is heard of', () => client.changes().length === 1)
    const statuses: string[] = []
    live.proxy.kernel.on(({ name }) => void statuses.push(name))
    const [old] = a.server.connections
    a.offering.tools = ['slow', 'more']
    old?.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
    await until('it is read again', () => old?.asked.filter((method) => method === 'tools/list').length === 2)
    old?.drop(new Error('the cable was cut'))
    expect(await call).toBe('server "a" ended during the call')
    // Changes of one moment are told as one.
    await sleep(100)
    await live.apply({ b: { type: 'b' } })
    await until('what comes later is heard of', () => client.changes().length > 1)
    expect(client.changes()).toEqual(['tools', 'tools'])
    expect(new Set(statuses)).toEqual(new Set(['b']))
  })

  test('is cut short by the end of the proxy', async () => {
    const a = offering('a', { tools: ['slow'] })
    const live = await openLive([a], { a: { type: 'a' } })
    const client = await live.listen()
    const call = client.tool('a_slow').catch(() => 'cut')
    await until('the call is there', () => a.held.length === 1)
    await live.apply({})
    await live.proxy.close()
    expect(await call).toBe('cut')
    expect(a.server.connections[0]?.over).toBe(true)
    expect(live.proxy.log()).not.toContain('did not close')
  })
})

describe('one after another', () => {
  test('the last of several counts, and each is told', async () => {
    const a = offering('a', { tools: ['who'] })
    const live = await openLive([a], {})
    const applied = [1, 2, 3].map((rev) => live.apply({ a: { type: 'a', rev } }))
    await Promise.all([...applied, live.apply({ a: { type: 'a', rev: 'last' }, b: { type: 'a' } })])
    await up(live, 'a', 'b')
    await until('the earlier ones are closed', () => a.server.connections.filter(({ over }) => !over).length === 2)
    expect(live.told).toEqual([
      { added: ['a'], removed: [], changed: [] },
      { added: [], removed: [], changed: ['a'] },
      { added: [], removed: [], changed: ['a'] },
      { added: ['b'], removed: [], changed: ['a'] },
    ])
  })

  test('back to what was before is a change like any other', async () => {
    const a = offering('a', { tools: ['old'] })
    const live = await openLive([a], { a: { type: 'a' } })
    const client = await live.listen()
    a.offering.tools = ['new']
    await live.apply({ a: { type: 'a', rev: 2 } })
    await until('it is heard of', () => client.changes().length === 1)
    expect(await client.tools()).toEqual(['a_new'])
    a.offering.tools = ['old']
    await live.apply({ a: { type: 'a' } })
    await until('it is heard of again', () => client.changes().length === 2)
    expect(await client.tools()).toEqual(['a_old'])
  })

  test('nothing is begun once the proxy closes', async () => {
    const a = offering('a', { tools: ['who'] })
    const live = await openLive([a], {})
    const closed = live.proxy.close()
    await live.apply({ a: { type: 'a' } }).catch(() => {})
    await closed
    await expect(live.apply({ a: { type: 'a' } })).rejects.toThrow()
    expect(a.server.connections.every(({ over }) => over)).toBe(true)
  })

  test('leaves nothing behind', async () => {
    const a = offering('a', { tools: ['who'], resources: ['x://1'] })
    // What a server has said, in a size that would show.
    const bulk = 'x'.repeat(200_000)
    a.onrequest = ({ method }) =>
      method === 'prompts/list' ? { prompts: [{ name: 'p', description: bulk + a.server.connects }] } : undefined
    const live = await openLive([a], { a: { type: 'a', isolate: 'shared' } })
    const client = await live.listen()
    await client.send('resources/subscribe', { uri: 'x://1' }).response
    let rev = 0
    const many = async (times: number) => {
      for (let at = 0; at < times; at++) {
        await live.apply({ a: { type: 'a', isolate: 'shared', rev: ++rev } })
        await up(live, 'a')
        await client.tool('a_who')
        // The fixture itself would hold on to what hears its connections.
        ;(a.server.connections as unknown[]).splice(0)
      }
    }
    await many(10)
    const before = holdings()
    await many(40)
    await untilReturned(before, 2_000_000)
  })
})

describe('clients hear list_changed', () => {
  test('when a server leaves, and when it comes back with what is still known of it', async () => {
    const a = offering('a', { tools: ['who'] })
    const live = await openLive([a], { a: { type: 'a' } })
    const client = await live.listen()
    await live.apply({})
    await until('its end is heard of', () => client.changes().length === 1)
    await live.apply({ a: { type: 'a' } })
    await up(live, 'a')
    expect(await client.tools()).toEqual(['a_who'])
    await until('its return is heard of', () => client.changes().length === 2)
  })

  test('when entry and prefix change together', async () => {
    const a = offering('a', { tools: ['who'] })
    const live = await openLive([a], { a: { type: 'a' } })
    const client = await live.listen()
    await live.apply({ a: { type: 'a', rev: 2, prefix: 'x' } })
    await up(live, 'a')
    expect(await client.tools()).toEqual(['x_who'])
    await until('it is heard of', () => client.changes().length > 0)
  })

  test('when a lazy server has changed and does not come up', async () => {
    const a = offering('a', { tools: ['who'] })
    const live = await openLive([a], { a: { type: 'a', lazy: true } })
    const client = await live.listen()
    expect(await client.tools()).toEqual(['a_who'])
    a.onconnect = () => Promise.reject(new Error('no'))
    await live.apply({ a: { type: 'a', lazy: true, rev: 2 } })
    expect(await client.tools()).toEqual([])
    await until('it is heard of', () => client.changes().length > 0)
  })

  test('not when a changed server offers what it did', async () => {
    const a = offering('a', { tools: ['who'] })
    const b = offering('b', { prompts: ['hello'] })
    const live = await openLive([a, b], { a: { type: 'a' }, b: { type: 'b' } })
    const client = await live.listen()
    await live.apply({ a: { type: 'a', rev: 2 }, b: { type: 'b' } })
    await up(live, 'a')
    await live.apply({ a: { type: 'a', rev: 2 } })
    await until('what comes later is heard of', () => client.changes().length > 0)
    expect(client.changes()).toEqual(['prompts'])
  })
})

describe('a resource subscription', () => {
  const updated = (client: { heard: readonly any[] }) =>
    client.heard.filter(({ message }) => message.method === 'notifications/resources/updated').length
  const notice = { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'x://1' } } as const
  const subscribed = (a: ReturnType<typeof offering>, at: number) =>
    a.server.connections[at]?.asked.includes('resources/subscribe')

  async function subscribe() {
    const a = offering('a', { resources: ['x://1'] })
    const live = await openLive([a], { a: { type: 'a', isolate: 'shared' } })
    const client = await live.listen()
    expect(await client.send('resources/subscribe', { uri: 'x://1' }).response).toMatchObject({ result: {} })
    return {
      a,
      live,
      client,
      change: () => live.apply({ a: { type: 'a', isolate: 'shared', rev: a.server.connects } }),
    }
  }

  test('moves to the new instance, and only that one is heard', async () => {
    const { a, client, change, live } = await subscribe()
    a.server.connections[0]?.say(notice)
    await until('the old one is heard', () => updated(client) === 1)
    await change()
    await until('it has moved', () => subscribed(a, 1))
    await until('the old one is closed', () => a.server.connections[0]?.over)
    a.server.connections[1]?.say(notice)
    await until('the new one is heard', () => updated(client) === 2)
    await live.apply({})
    await live.apply({ a: { type: 'a', isolate: 'shared', rev: 'back' } })
    await until('it has come back', () => subscribed(a, 2))
    a.server.connections[2]?.say(notice)
    await until('it is heard again', () => updated(client) === 3)
  })

  test.each([
    ['of another entry', ({ change }: Awaited<ReturnType<typeof subscribe>>) => change()],
    [
      'of an entry that was away',
      async ({ live }: Awaited<ReturnType<typeof subscribe>>) => {
        // Its lists are kept by then: they are the same when it is back.
        await sleep(1000)
        await live.apply({})
        await live.apply({ a: { type: 'a', isolate: 'shared' } })
      },
    ],
  ])('moves also where the new instance, %s, comes up at the second try with the same lists', async (_, exchange) => {
    const scene = await subscribe()
    const { a, client } = scene
    a.onconnect = () => {
      a.onconnect = () => {}
      throw new Error('not yet')
    }
    await exchange(scene)
    await until('it has moved', () => subscribed(a, 1))
    a.server.connections[1]?.say(notice)
    await until('the new one is heard', () => updated(client) === 1)
  })
})

test('a server that keeps nothing of its clients is not taken for one that does, since it is subscribed to anew', async () => {
  const a = offering('a', { tools: ['who'], resources: ['x://1'] }, 'modern')
  const live = await openLive([a], { a: { type: 'a' } })
  const client = await live.listen()
  const listens = (at: number) =>
    a.server.connections[at]?.heard.some((message) =>
      JSON.stringify(message).includes('"resourceSubscriptions":["x://1"]'),
    )
  expect(await client.send('resources/subscribe', { uri: 'x://1' }).response).toMatchObject({ result: {} })
  await until('it is subscribed to', () => listens(0))
  await live.apply({ a: { type: 'a', rev: 2 } })
  await until('the new one is', () => listens(1))
  await up(live, 'a')
  expect(await client.tool('a_who')).toBe('a 2')
  expect(live.proxy.log()).not.toContain('keeps state per client')
  expect(a.server.connects).toBe(2)
})

test('who may do what is edited as ever, also as to servers that came meanwhile', async () => {
  const dataDir = await folder()
  const may = (...globs: string[]) =>
    writeFile(join(dataDir, 'users.json'), JSON.stringify({ 'ada@example.com': { allowed_tools: globs } }))
  await may('a_*', 'b_one')
  const [a, b] = [offering('a', { tools: ['one', 'two'] }), offering('b', { tools: ['one', 'two'] })]
  const live = await openLive([a, b], { a: { type: 'a' } }, { dataDir, plugins: [people().plugin, 'access-users'] })
  const ada = await live.listen({ 'x-user': 'ada' })
  await live.apply({ a: { type: 'a', rev: 2 }, b: { type: 'b' } })
  await up(live, 'a', 'b')
  expect(await ada.tools()).toEqual(['a_one', 'a_two', 'b_one'])
  await may('b_*')
  await until('the edit counts', async () => (await ada.tools()).includes('b_two'))
  expect(await ada.tools()).toEqual(['b_one', 'b_two'])
  await expect(ada.tool('a_one')).rejects.toThrow('Unknown tool: a_one')
  await live.apply({ b: { type: 'b', rev: 2 } })
  await up(live, 'b')
  expect(await ada.tool('b_two')).toBe('b 2')
})

describe('kept lists', () => {
  test('are the new server’s', async () => {
    const dataDir = await folder()
    const a = offering('a', { tools: ['old'] })
    const first = await openLive([a], { a: { type: 'a' } }, { dataDir })
    a.offering.tools = ['new']
    await first.apply({ a: { type: 'a', rev: 2 } })
    await up(first, 'a')
    await first.proxy.close()
    const door = gate()
    a.onconnect = () => door.passed
    const second = await openLive([a], { a: { type: 'a', rev: 2 } }, { dataDir, settled: false })
    expect(await (await second.listen()).tools()).toEqual(['a_new'])
    door.open()
  })

  test('are not the old server’s because the new one has not said yet what it offers', async () => {
    const dataDir = await folder()
    const a = offering('a', { tools: ['old'], resources: ['x://1'] })
    const first = await openLive([a], { a: { type: 'a' } }, { dataDir })
    const client = await first.listen()
    a.onrequest = ({ method }) => (method === 'tools/list' ? 'nothing' : undefined)
    await first.apply({ a: { type: 'a', rev: 2 } })
    // Something worth keeping happens before it has: it is shown to keep state per client.
    await until('the new one is asked', () => a.server.connections[1]?.asked.includes('tools/list'))
    void client.send('resources/subscribe', { uri: 'x://1' }).response.catch(() => {})
    await until('it is split', () => first.proxy.log().includes('an instance of its own'))
    await first.proxy.close()
    const door = gate()
    a.onconnect = () => door.passed
    const second = await openLive([a], { a: { type: 'a', rev: 2 } }, { dataDir, settled: false })
    expect(second.proxy.kernel.upstreams).toMatchObject([{ name: 'a', tools: 0 }])
    door.open()
  })
})
