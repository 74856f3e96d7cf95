import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { isBusy } from '../../../core/downstream/session.ts'
import { RpcError } from '../../../core/errors.ts'
import { complete, type Call } from '../../../core/gateway/call.ts'
import { asSession, openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { logOf, toolsOf, watchedSource } from '../../fixtures/core/source.ts'
import { JSON_HEADERS } from '../../harness.ts'

const LOST = 'The connection was lost, and with it the answer: the request may have been carried out or not'

const opened: Faces[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((faces) => faces.close()))))

/** Reads the events of a stream as they come; `undefined` at its end. */
function eventsOf(response: Response): () => Promise<EventSourceMessage | undefined> {
  const chunks = response.body!.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]()
  const ready: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (event) => void ready.push(event) })
  return async () => {
    while (ready.length === 0) {
      const { done, value } = await chunks.next()
      if (done) return undefined
      parser.feed(value)
    }
    return ready.shift()
  }
}

async function rest(next: () => Promise<EventSourceMessage | undefined>): Promise<EventSourceMessage[]> {
  const events: EventSourceMessage[] = []
  for (let event = await next(); event !== undefined; event = await next()) events.push(event)
  return events
}

const dataOf = (events: readonly (EventSourceMessage | undefined)[]) =>
  events.map((event) => {
    if (event === undefined || event.data === '') return event?.data
    const { params, id, result, error, method } = JSON.parse(event.data)
    return method === 'notifications/message' ? params.data : (method ?? { id, ...(result ? { result } : { error }) })
  })

/** Faces before a server whose calls stay open until they are told how to end. */
async function open(protocolVersion = '2025-11-25', capabilities: object = {}) {
  const calls: { readonly call: Call; end(result?: object): void; say(text: string): void }[] = []
  const server = watchedSource(
    'a',
    { tools: toolsOf('wait') },
    {
      call: (call) =>
        new Promise((resolve) => {
          call.signal.addEventListener('abort', () => resolve(complete({})))
          calls.push({
            call,
            end: (result = {}) => resolve(Promise.resolve(result).then((result) => complete(result as {}))),
            say: (text) => call.notify(logOf('error', text)),
          })
        }),
    },
  )
  const faces = await openFaces([server])
  opened.push(faces)
  const { url } = faces
  async function begin() {
    const params = { protocolVersion, capabilities, clientInfo: { name: 'wire', version: '1' } }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
    const response = await fetch(url, { method: 'POST', headers: JSON_HEADERS, body })
    const sessionId = response.headers.get('mcp-session-id') ?? ''
    const wire = asSession(url, sessionId, await response.json())
    const get = (lastEventId?: string, signal?: AbortSignal) => {
      const resumption = lastEventId === undefined ? undefined : { 'last-event-id': lastEventId }
      const headers = { 'mcp-session-id': sessionId, accept: 'text/event-stream', ...resumption }
      return fetch(url, { headers, signal: signal ?? null })
    }
    /** Posts a call, which says something, and reads its stream up to there. */
    async function call(id: number, abort = new AbortController()) {
      const before = calls.length
      const request = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'a_wait' } }
      const answer = fetch(url, {
        method: 'POST',
        headers: { ...JSON_HEADERS, 'mcp-session-id': sessionId },
        body: JSON.stringify(request),
        signal: abort.signal,
      })
      await vi.waitFor(() => expect(calls.length).toBeGreaterThan(before))
      const running = calls[before]!
      running.say(`${id}: one`)
      return { ...running, next: eventsOf(await answer), cut: () => abort.abort() }
    }
    const session = () => [...faces.sessions.live()].find(({ id }) => id === sessionId)!
    return { wire, get, call, session }
  }
  return { ...faces, server, calls, begin, ...(await begin()) }
}

describe('a stream that was cut', () => {
  it('goes on where the client left it, until the response has come', async () => {
    const { call, get, session } = await open()
    const { next, cut, say, end } = await call(7)
    const [primed, first] = [await next(), await next()]
    expect(primed?.data).toBe('')
    expect(dataOf([first])).toEqual(['7: one'])
    expect(new Set([primed?.id, first?.id]).size).toBe(2)
    cut()
    say('two')
    say('three')
    expect(isBusy(session())).toBe(true)
    const again = eventsOf(await get(first?.id))
    const events = [await again(), await again(), await again()]
    expect(dataOf(events)).toEqual(['', 'two', 'three'])
    // A connection that is cut before anything came goes on from the same place.
    expect(events[0]?.id).toBe(first?.id)
    say('four')
    end({ fine: 1 })
    expect(dataOf(await rest(again))).toEqual(['four', { id: 7, result: { fine: 1 } }])
    expect(isBusy(session())).toBe(false)
    // From the start, from the middle, and from the end, where there is no more to come.
    const all = ['', '7: one', 'two', 'three', 'four', { id: 7, result: { fine: 1 } }]
    const last = await rest(eventsOf(await get(primed?.id)))
    expect(dataOf(last)).toEqual(all)
    expect(dataOf(await rest(eventsOf(await get(events[1]?.id))))).toEqual(['', ...all.slice(3)])
    const over = await get(last.at(-1)?.id)
    expect([over.status, await over.text()]).toEqual([204, ''])
  })

  it('ends while nobody is there: the response waits', async () => {
    const { call, get } = await open()
    const { next, cut, end } = await call(1)
    const primed = await next()
    cut()
    end({ late: true })
    await vi.waitFor(async () => {
      expect(dataOf(await rest(eventsOf(await get(primed?.id))))).toEqual([
        '',
        '1: one',
        { id: 1, result: { late: true } },
      ])
    })
  })

  it('holds the questions of its call', async () => {
    const { call, get, wire } = await open('2025-11-25', { roots: {} })
    const running = await call(1)
    const primed = await running.next()
    await running.next()
    running.cut()
    const answer = running.call.ask({ method: 'roots/list' }, running.call.signal)
    const next = eventsOf(await get(primed?.id))
    const [, , question] = [await next(), await next(), await next()]
    const { id, method } = JSON.parse(question?.data ?? '')
    expect(method).toBe('roots/list')
    await wire.post({ jsonrpc: '2.0', id, result: { roots: [] } })
    expect(await answer).toEqual({ roots: [] })
    running.end()
    expect(dataOf(await rest(next))).toEqual([{ id: 1, result: {} }])
  })

  it('is nobody else’s: each goes on with its own, the standing stream and another session with theirs', async () => {
    const { call, get, begin, gateway, server } = await open()
    const other = await begin()
    const standing = eventsOf(await get())
    await standing()
    const [one, two, theirs] = [await call(1), await call(2), await other.call(1)]
    const [first] = [await one.next(), await two.next(), await theirs.next()]
    one.cut()
    one.say('of the first')
    two.say('of the second')
    gateway.heard(server, { kind: 'message', party: one.call.party, message: logOf('error', 'of the session') })
    theirs.say('of the other session')
    const again = eventsOf(await get(first?.id))
    const stolen = await other.get(first?.id)
    for (const each of [one, two, theirs]) each.end()
    expect(dataOf(await rest(again))).toEqual(['', '1: one', 'of the first', { id: 1, result: {} }])
    expect(dataOf(await rest(two.next))).toEqual(['2: one', 'of the second', { id: 2, result: {} }])
    expect(dataOf(await rest(theirs.next))).toEqual(['1: one', 'of the other session', { id: 1, result: {} }])
    // To that session the id means nothing: it gets a stream of its own, on which nothing of this one comes.
    expect(stolen.status).toBe(200)
    gateway.heard(server, { kind: 'message', party: theirs.call.party, message: logOf('error', 'yours') })
    const seen = eventsOf(stolen)
    expect(dataOf([await seen(), await seen()])).toEqual(['', 'yours'])
    expect(dataOf([await standing()])).toEqual(['of the session'])
  })

  it('of which nothing is left ends the request with an error: it began in another run, or its end is long ago', async () => {
    const { call, get } = await open()
    const first = await (await call(7)).next()
    const unknown = first?.id?.replace(/\.p\d+/, '.p99')
    const ended = await rest(eventsOf(await get(unknown)))
    expect(dataOf(ended)).toEqual([{ id: 7, error: { code: -32603, message: LOST } }])
    // It comes back with the id of that error, as the SDK 1.x does: there is no more to say about the request.
    const again = eventsOf(await get(ended[0]?.id))
    expect(dataOf([await again()])).toEqual([''])
  })

  it('is taken over by who comes last', async () => {
    const { call, get } = await open()
    const { next, end } = await call(1)
    const primed = await next()
    await next()
    const second = eventsOf(await get(primed?.id))
    expect(await next()).toBeUndefined()
    end()
    expect(dataOf(await rest(second))).toEqual(['', '1: one', { id: 1, result: {} }])
  })

  it('is no cancellation, and can still be cancelled', async () => {
    const { call, get, wire, session } = await open()
    const running = await call(1)
    const primed = await running.next()
    running.cut()
    await wire.request('ping')
    expect([running.call.signal.aborted, session().calls.size]).toEqual([false, 1])
    await wire.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } })
    expect(running.call.signal.aborted).toBe(true)
    await vi.waitFor(() => expect(session().calls.size).toBe(0))
    expect((await rest(eventsOf(await get(primed?.id)))).length).toBe(3)
  })

  it('of a batch goes on until the last response', async () => {
    const { wire, calls, get } = await open('2025-03-26')
    const request = (id: number) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'a_wait' } })
    const answer = wire.post([request(1), request(2)])
    await vi.waitFor(() => expect(calls).toHaveLength(2))
    calls[0]?.say('one')
    const next = eventsOf(await answer)
    const first = await next()
    calls[1]?.end()
    const again = eventsOf(await get(first?.id))
    expect(dataOf([await again()])).toEqual([{ id: 2, result: {} }])
    calls[0]?.end()
    expect(dataOf(await rest(again))).toEqual([{ id: 1, result: {} }])
  })
})

describe('the standing stream', () => {
  it('goes on as the standing stream', async () => {
    const { get, gateway, server, call, session } = await open()
    const party = (await call(1)).call.party
    const tell = (text: string) => gateway.heard(server, { kind: 'message', party, message: logOf('error', text) })
    const abort = new AbortController()
    const before = eventsOf(await get(undefined, abort.signal))
    tell('one')
    tell('two')
    const [primed, one] = [await before(), await before()]
    expect(dataOf([primed, one])).toEqual(['', 'one'])
    abort.abort()
    await vi.waitFor(() => expect(session().stream).toBeUndefined())
    // From now on, what is kept of it has an end.
    expect(session().events?.find(one?.id ?? '')?.log?.isFinished).toBe(true)
    const after = eventsOf(await get(one?.id))
    expect(dataOf([await after(), await after()])).toEqual(['', 'two'])
    tell('three')
    expect(dataOf([await after()])).toEqual(['three'])
    // Without the header nothing comes twice.
    const fresh = eventsOf(await get())
    expect(await after()).toBeUndefined()
    tell('four')
    expect(dataOf([await fresh(), await fresh()])).toEqual(['', 'four'])
  })

  it.each(['', 'x', '7', 'aaaaaaaa.s1.5', '__proto__.s1.0', 'x'.repeat(100), 'a.p.1'])(
    'is what a last event id leads to that is unknown: %j',
    async (id) => {
      const { get, gateway, server, call } = await open()
      const { party } = (await call(1)).call
      const next = eventsOf(await get(id))
      gateway.heard(server, { kind: 'message', party, message: logOf('error', 'here') })
      expect(dataOf([await next(), await next()])).toEqual(['', 'here'])
    },
  )

  it('is also what the id of a lost call leads to, unless there is one: the two do not take over from each other for ever', async () => {
    const { get, gateway, server, call } = await open()
    const { party } = (await call(1)).call
    const lost = 'aaaaaaaa.p1.5'
    const stray = eventsOf(await get(lost))
    const primed = await stray()
    gateway.heard(server, { kind: 'message', party, message: logOf('error', 'here') })
    expect(dataOf([await stray()])).toEqual(['here'])
    const standing = eventsOf(await get())
    expect(await stray()).toBeUndefined()
    for (const id of [lost, primed?.id]) expect((await get(id)).status).toBe(204)
    gateway.heard(server, { kind: 'message', party, message: logOf('error', 'still here') })
    expect(dataOf([await standing(), await standing()])).toEqual(['', 'still here'])
  })
})

describe('a client of the SDK 1.x', () => {
  it('that gets an error at the end of a stream comes back once, not for ever', async () => {
    const { url, calls } = await open()
    const gets: (readonly [lastEventId: string | null, status: number])[] = []
    const fetcher: typeof fetch = async (input, init) => {
      const response = await fetch(input, init)
      if (init?.method === 'GET') gets.push([new Headers(init.headers).get('last-event-id'), response.status])
      return response
    }
    const reconnectionOptions = {
      initialReconnectionDelay: 10,
      maxReconnectionDelay: 10,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 9,
    }
    const client = new Client({ name: 'v1', version: '1' })
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch: fetcher, reconnectionOptions }))
    const failed = client.callTool({ name: 'a_wait', arguments: {} })
    await vi.waitFor(() => expect(calls).toHaveLength(1))
    calls[0]?.say('one')
    calls[0]?.end(Promise.reject(new RpcError(-1, 'no')))
    await expect(failed).rejects.toThrow('no')
    await vi.waitFor(() =>
      expect(gets).toEqual([
        [null, 200],
        [expect.stringContaining('.p'), 204],
      ]),
    )
    await new Promise((resolve) => void setTimeout(resolve, 100))
    expect(gets).toHaveLength(2)
    await client.close()
  })
})

describe('what costs nothing', () => {
  it.each(['2025-06-18', '2025-03-26', '2024-11-05'])(
    '%s: no event without data, which its clients cannot read; ids they get',
    async (version) => {
      const { call, get } = await open(version)
      const { next, cut, end } = await call(1)
      const first = await next()
      expect(dataOf([first])).toEqual(['1: one'])
      cut()
      end()
      expect(dataOf(await rest(eventsOf(await get(first?.id))))).toEqual([{ id: 1, result: {} }])
      const abort = new AbortController()
      const chunks = (await get(undefined, abort.signal)).body!.getReader()
      expect(new TextDecoder().decode((await chunks.read()).value)).toBe(': open\n\n')
      abort.abort()
    },
  )

  it('sessions without streams keep nothing, nor does an answer in JSON', async () => {
    const { wire, calls, session } = await open()
    const answer = wire.request('tools/call', { name: 'a_wait' })
    await vi.waitFor(() => expect(calls).toHaveLength(1))
    calls[0]?.end({ plain: true })
    expect(await answer).toMatchObject({ result: { plain: true } })
    expect(session().events).toBeUndefined()
  })

  it('the end of a session drops everything', async () => {
    const { call, get, wire, session } = await open()
    const { next, end } = await call(1)
    const primed = await next()
    const kept = session()
    expect(kept.events?.find(primed?.id ?? '')?.log?.bytes).toBeGreaterThan(0)
    await wire.remove()
    expect(kept.events?.find(primed?.id ?? '')?.log).toBeUndefined()
    end()
    // Who is still connected gets the end.
    expect((await rest(next)).length).toBeGreaterThan(0)
    expect((await get(primed?.id)).status).toBe(404)
  })
})
