import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../core/auth.ts'
import { createStandingStreams } from '../../core/standing-streams.ts'
import { facesPerTest, messageReader, openAsked } from '../fixtures/core/faces.ts'
import { as, people, type People } from '../fixtures/core/people.ts'
import { sourceOf, toolsOf, userWith } from '../fixtures/core/source.ts'
import { node, openLegacy, openProxy, postModern, type TestProxy } from '../harness.ts'

const principal = (id: string): Principal => ({ id, roles: [] })

describe('the register', () => {
  /** Streams of these people; whoever is in `gone` is not current. */
  function open(...ids: string[]) {
    const gone = new Set<string>()
    const closed: string[] = []
    const asked: string[] = []
    const streams = createStandingStreams(async ({ id }) => {
      asked.push(id)
      return !gone.has(id)
    })
    for (const id of ids) {
      const leave = streams.add(principal(id), () => {
        closed.push(id)
        leave()
      })
    }
    return { streams, gone, closed, asked }
  }

  it('closes what is no longer current, and nothing else, once', async () => {
    const { streams, gone, closed, asked } = open('anna', 'bert', 'anna', 'cleo')
    await streams.recheck()
    expect(closed).toEqual([])
    gone.add('anna')
    await streams.recheck()
    expect(closed).toEqual(['anna', 'anna'])
    asked.length = 0
    await streams.recheck()
    expect([closed.length, asked]).toEqual([2, ['bert', 'cleo']])
    streams.stop()
  })

  it('leaves alone what has closed while it was being asked about', async () => {
    let answer = (_current: boolean): void => {}
    const streams = createStandingStreams(() => new Promise((resolve) => (answer = resolve)))
    const close = vi.fn<() => void>()
    const forget = streams.add(principal('anna'), close)
    const checked = streams.recheck()
    forget()
    answer(false)
    await checked
    expect(close).not.toHaveBeenCalled()
  })

  it('closes a stream though nobody can say anything of another', async () => {
    const streams = createStandingStreams(({ id }) => (id === 'anna' ? Promise.resolve(false) : new Promise(() => {})))
    const close = vi.fn<() => void>()
    streams.add(principal('bert'), vi.fn<() => void>())
    streams.add(principal('anna'), close)
    void streams.recheck()
    await vi.waitFor(() => expect(close).toHaveBeenCalledTimes(1))
    streams.stop()
  })

  it('closes a stream once, however often it is looked meanwhile', async () => {
    const { streams, gone, closed } = open('anna')
    gone.add('anna')
    await Promise.all([streams.recheck(), streams.recheck()])
    expect(closed).toEqual(['anna'])
  })

  describe('on a clock that goes when it is told to', () => {
    beforeEach(() => void vi.useFakeTimers())
    afterEach(() => void vi.useRealTimers())

    it('is looked through by itself', async () => {
      const { gone, closed, asked } = open('anna', 'bert')
      await vi.advanceTimersByTimeAsync(29_999)
      expect(asked).toEqual([])
      await vi.advanceTimersByTimeAsync(1)
      expect([asked, closed]).toEqual([['anna', 'bert'], []])
      gone.add('bert')
      await vi.advanceTimersByTimeAsync(30_000)
      expect(closed).toEqual(['bert'])
      gone.add('anna')
      await vi.advanceTimersByTimeAsync(30_000)
      expect(closed).toEqual(['bert', 'anna'])
    })

    it('needs one timer, while something is open', async () => {
      const streams = createStandingStreams(async () => true)
      expect(vi.getTimerCount()).toBe(0)
      const [first, second] = [
        streams.add(principal('anna'), vi.fn<() => void>()),
        streams.add(principal('bert'), vi.fn<() => void>()),
      ]
      expect(vi.getTimerCount()).toBe(1)
      first()
      first()
      expect(vi.getTimerCount()).toBe(1)
      second()
      expect(vi.getTimerCount()).toBe(0)
      streams.add(principal('anna'), vi.fn<() => void>())
      expect(vi.getTimerCount()).toBe(1)
      streams.stop()
      expect(vi.getTimerCount()).toBe(0)
    })

    it('needs none once all were closed', async () => {
      const { streams, gone, closed } = open('anna', 'bert')
      for (const id of ['anna', 'bert']) gone.add(id)
      await streams.recheck()
      expect([closed.length, vi.getTimerCount()]).toEqual([2, 0])
    })
  })
})

describe('streams of both eras', () => {
  const faces = facesPerTest()
  const listen = (url: string, id: string) => postModern(url, 'subscriptions/listen', { notifications: {} }, {}, id)
  afterEach(() => void vi.useRealTimers())

  it('leave neither entry nor timer, whoever ends them', async () => {
    const asked: Principal[] = []
    let current = true
    const { url, standing } = await faces([sourceOf('a', { tools: toolsOf('one') })], {
      isCurrent: async (principal) => asked.push(principal) > 0 && current,
    })
    const wire = await openAsked(url)
    // From here on: what has been opened so far has timers of its own.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const openBoth = async (signal: AbortSignal | null = null) => {
      const standing = await fetch(url, {
        headers: { 'mcp-session-id': wire.sessionId, accept: 'text/event-stream' },
        signal,
      })
      return [standing, await listen(url, 'sub')]
    }
    const count = async () => {
      asked.length = 0
      await standing.recheck()
      return asked.length
    }

    const first = await openBoth()
    expect([await count(), vi.getTimerCount()]).toEqual([2, 3])
    for (const { body } of first) await body?.cancel()
    await vi.waitFor(() => expect(vi.getTimerCount()).toBe(0))
    expect(await count()).toBe(0)

    const second = await openBoth()
    // The GET stream of a session takes the place of the one before.
    const third = await openBoth()
    expect([await count(), vi.getTimerCount()]).toEqual([3, 4])
    current = false
    await standing.recheck()
    for (const response of [...second, ...third]) await response.text()
    expect([await count(), vi.getTimerCount()]).toEqual([0, 0])
  })

  it('end in order: a session loses its stream and nothing else, a listener gets its result', async () => {
    let current = true
    const { url, standing, sessions } = await faces([sourceOf('a', { tools: toolsOf('one') })], {
      isCurrent: async () => current,
      authenticate: () => userWith('*'),
    })
    const wire = await openAsked(url)
    const old = await wire.stream()
    const modern = messageReader(await listen(url, 'sub'))
    expect((await modern()).method).toBe('notifications/subscriptions/acknowledged')
    current = false
    await standing.recheck()
    expect(await old()).toBeUndefined()
    expect(await modern()).toMatchObject({ id: 'sub', result: { resultType: 'complete' } })
    expect(await modern()).toBeUndefined()
    current = true
    expect(await wire.request('ping')).toMatchObject({ result: {} })
    expect([...sessions.live()].map(({ stream }) => stream)).toEqual([undefined])
    await wire.stream()
    await standing.recheck()
    expect([...sessions.live()].filter(({ stream }) => stream !== undefined)).toHaveLength(1)
  })

  it('are closed also where a GET came back with an id that leads nowhere any more', async () => {
    let current = true
    const { url, standing } = await faces([sourceOf('a')], { isCurrent: async () => current })
    const wire = await openAsked(url)
    const headers = { 'mcp-session-id': wire.sessionId, accept: 'text/event-stream' }
    const stray = await fetch(url, { headers: { ...headers, 'last-event-id': 'gone_1' } })
    expect(stray.status).toBe(200)
    current = false
    await standing.recheck()
    expect(await messageReader(stray)()).toBeUndefined()
  })

  it('are closed before they are acknowledged, too', async () => {
    let answer = (): void => {}
    const answered = new Promise<void>((resolve) => (answer = resolve))
    const slow = sourceOf('a', { tools: toolsOf('one'), resources: [{ uri: 'a://1' }] }, { watch: () => answered })
    let asked = 0
    const { url, standing } = await faces([slow], { isCurrent: async () => asked++ < 0 })
    const wish = { notifications: { resourceSubscriptions: ['a://1'] } }
    const response = postModern(url, 'subscriptions/listen', wish, {}, 'sub')
    await vi.waitFor(async () => {
      await standing.recheck()
      expect(asked).toBe(1)
    })
    answer()
    const next = messageReader(await response)
    expect(await next()).toMatchObject({ params: { notifications: {} } })
    expect(await next()).toMatchObject({ id: 'sub', result: { resultType: 'complete' } })
    expect(await next()).toBeUndefined()
    await standing.recheck()
    expect(asked).toBe(1)
  })
})

describe('in a proxy with an auth plugin', () => {
  /** Both kinds of stream of one person: `next` of each. */
  async function streamsOf(proxy: TestProxy, user: string) {
    const wire = await openLegacy(proxy.url, '2025-11-25', as(user))
    const headers = { 'mcp-session-id': wire.sessionId, accept: 'text/event-stream' }
    const old = messageReader(await as(user)(proxy.url, { headers }))
    const wish = { notifications: { toolsListChanged: true } }
    const modern = messageReader(await postModern(proxy.url, 'subscriptions/listen', wish, { 'x-user': user }, 'sub'))
    expect((await modern()).method).toBe('notifications/subscriptions/acknowledged')
    return { wire, old, modern }
  }
  type Streams = Awaited<ReturnType<typeof streamsOf>>

  async function expectEnded({ old, modern }: Streams): Promise<void> {
    expect(await lastOf(old)).toBeUndefined()
    expect(await lastOf(modern)).toMatchObject({ id: 'sub', result: { resultType: 'complete' } })
    expect(await modern()).toBeUndefined()
  }

  /** The first that is no news of a list: such may have been on its way before. */
  async function lastOf(next: Streams['old']): Promise<unknown> {
    for (;;) {
      const message = await next()
      if (message?.method !== 'notifications/tools/list_changed') return message
    }
  }

  async function expectHearing({ wire, old, modern }: Streams): Promise<void> {
    await wire.request('tools/call', { name: 'grows_grow' })
    expect(await old()).toMatchObject({ method: 'notifications/tools/list_changed' })
    expect(await modern()).toMatchObject({ method: 'notifications/tools/list_changed' })
  }

  const open = ({ plugin }: People) =>
    openProxy({
      plugins: ['transport-stdio', 'storage-fs', plugin],
      mcpServers: { grows: node('test/fixtures/core/growing-server.ts') },
    })

  it('those of a login that has ended are closed, the others hear on, and nothing stays', async () => {
    const team = people()
    const proxy = await open(team)
    try {
      const anna = await streamsOf(proxy, 'anna')
      const bert = await streamsOf(proxy, 'bert')
      team.context.recheck()
      await expectHearing(bert)
      expect(await anna.old()).toMatchObject({ method: 'notifications/tools/list_changed' })
      expect(await anna.modern()).toMatchObject({ method: 'notifications/tools/list_changed' })
      team.ended.add('anna')
      team.context.recheck()
      await expectEnded(anna)
      await expectHearing(bert)
      const again = await as('anna')(proxy.url, { headers: { 'mcp-session-id': anna.wire.sessionId } })
      expect(again.status).toBe(401)

      team.asked.length = 0
      team.context.recheck()
      await vi.waitFor(() => expect(team.asked.map(({ id }) => id)).toEqual(['bert', 'bert']))
      team.ended.add('bert')
      team.context.recheck()
      await expectEnded(bert)
      team.asked.length = 0
      team.context.recheck()
      await expect(streamsOf(proxy, 'cleo')).resolves.toBeDefined()
      expect(team.asked).toEqual([])
    } finally {
      await proxy.close()
    }
  })

  it('those of changed permissions are closed, and come back with the new ones', async () => {
    const team = people({ anna: ['*'], bert: ['*'] })
    const proxy = await open(team)
    try {
      const anna = await streamsOf(proxy, 'anna')
      const bert = await streamsOf(proxy, 'bert')
      team.permissions?.set('anna', { allowedTools: [] })
      team.context.recheck()
      await expectEnded(anna)
      await expectHearing(bert)
      const back = await streamsOf(proxy, 'anna')
      expect((await back.wire.request('tools/list')).result.tools).toEqual([])

      team.permissions?.delete('anna')
      team.context.recheck()
      await expectEnded(back)
      expect((await as('anna')(proxy.url, { method: 'POST' })).status).toBe(403)
      await expectHearing(bert)
    } finally {
      await proxy.close()
    }
  })
})
