import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../../core/auth.ts'
import { complete, type Call, type Peer } from '../../../core/gateway/call.ts'
import { messagesOf, postModern } from '../../harness.ts'
import { messageReader, openAsked, openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { sourceOf, toolsOf, watchedSource } from '../../fixtures/core/source.ts'

const opened: Faces[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((faces) => faces.close()))))

/** Faces before one server whose tool `ask` does what is given. */
async function open(work: (call: Call) => Promise<object>, authenticate?: (request: Request) => Principal) {
  const server = sourceOf('a', { tools: toolsOf('ask') }, { call: async (call) => complete((await work(call)) as {}) })
  const faces = await openFaces([server], authenticate && { authenticate })
  opened.push(faces)
  return faces
}

const never = (): AbortSignal => new AbortController().signal
const call = (id: number) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'a_ask', arguments: {} } })

describe('a question during a call', () => {
  it('comes on the stream of that call, and the answer goes back to the server', async () => {
    const { url } = await open((call) =>
      call.ask({ method: 'elicitation/create', params: { message: 'Sure?' } }, never()),
    )
    const [anna, bert] = [await openAsked(url, { elicitation: {} }), await openAsked(url, { elicitation: {} })]
    const standing = await anna.stream()
    const response = await anna.post(call(1))
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const next = messageReader(response)
    const question = await next()
    expect(question).toMatchObject({ method: 'elicitation/create', params: { message: 'Sure?' } })
    // The same id said in another session answers nothing.
    const stolen = await bert.post({ jsonrpc: '2.0', id: question.id, result: { action: 'decline' } })
    expect(stolen.status).toBe(202)
    const answered = await anna.post({
      jsonrpc: '2.0',
      id: question.id,
      result: { action: 'accept', content: { a: 1 } },
    })
    expect([answered.status, await answered.text()]).toEqual([202, ''])
    expect(await next()).toEqual({ jsonrpc: '2.0', id: 1, result: { action: 'accept', content: { a: 1 } } })
    expect(await next()).toBeUndefined()
    await anna.remove()
    expect(await standing()).toBeUndefined()
  })

  it('may be answered by an error, which the server gets as it is', async () => {
    const heard: unknown[] = []
    const { url } = await open(async (call) => {
      await call.ask({ method: 'sampling/createMessage', params: {} }, never()).catch((error) => heard.push(error))
      return {}
    })
    const wire = await openAsked(url, { sampling: {} })
    const next = messageReader(await wire.post(call(1)))
    const { id } = await next()
    await wire.post({ jsonrpc: '2.0', id, error: { code: -1, message: 'User rejected', data: { x: 1 } } })
    expect(await next()).toMatchObject({ id: 1, result: {} })
    expect(heard).toMatchObject([{ name: 'RpcError', code: -1, message: 'User rejected', data: { x: 1 } }])
  })

  it.each([
    ['did not declare it', { sampling: {} }, {}, -32601],
    ['takes no streams', { elicitation: {} }, { accept: 'application/json' }, -32603],
  ])('is refused at once where the client %s', async (_, capabilities, headers, code) => {
    const { url } = await open(async (call) => {
      const error = await call.ask({ method: 'elicitation/create' }, never()).catch(({ code }) => ({ code }))
      return { error }
    })
    const wire = await openAsked(url, capabilities)
    const response = await wire.post(call(1), headers)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toMatchObject({ result: { error: { code } } })
  })

  it('is taken back before the answer of its call; nothing comes after that', async () => {
    let asked: Promise<unknown> | undefined
    let late: Call | undefined
    const { url } = await open(async (call) => {
      late = call
      asked = call.ask({ method: 'roots/list' }, never()).catch((error: Error) => error.message)
      return {}
    })
    const wire = await openAsked(url, { roots: {} })
    const standing = await wire.stream()
    const messages = await messagesOf(await wire.post(call(1)))
    const [question, taken, answer] = messages
    expect(question.method).toBe('roots/list')
    expect(taken).toMatchObject({ method: 'notifications/cancelled', params: { requestId: question.id } })
    expect([answer.id, messages.length]).toEqual([1, 3])
    expect(await asked).toBe('roots/list: the call has ended')
    await expect(late?.ask({ method: 'roots/list' }, never())).rejects.toMatchObject({ code: -32603 })
    late?.notify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'error', data: 'late' } })
    await wire.remove()
    expect(await standing()).toBeUndefined()
  })

  it('of one call of a batch is not on the stream any more once that call has its answer', async () => {
    const calls = new Map<unknown, Call>()
    let finish = (): void => {}
    const { url } = await open(async (call) => {
      calls.set(call.params.arguments, call)
      if (calls.size === 2) await new Promise<void>((resolve) => void (finish = resolve))
      return {}
    })
    const params = {
      protocolVersion: '2025-03-26',
      capabilities: { roots: {} },
      clientInfo: { name: 'w', version: '1' },
    }
    const begun = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
    })
    const response = fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' },
      body: JSON.stringify([call(1), call(2)]),
    })
    await vi.waitFor(() => expect(calls.size).toBe(2))
    const [first, second] = [...calls.values()]
    await new Promise((resolve) => void setImmediate(resolve))
    const message = (data: string) =>
      ({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'error', data } }) as const
    first?.notify(message('too late'))
    await expect(first?.ask({ method: 'roots/list' }, never())).rejects.toMatchObject({ code: -32603 })
    second?.notify(message('in time'))
    finish()
    const messages = await messagesOf(await response)
    expect(messages.flatMap(({ id, params }) => (id === undefined ? params.data : id))).toEqual([1, 'in time', 2])
  })

  it('ends with the session: the server hears of it, and the call', async () => {
    let ended: unknown
    const server = watchedSource(
      'a',
      { tools: toolsOf('ask') },
      {
        async call(call) {
          ended = await call.ask({ method: 'roots/list' }, never()).catch((error: Error) => error.message)
          return complete({})
        },
      },
    )
    const faces = await openFaces([server])
    opened.push(faces)
    const wire = await openAsked(faces.url, { roots: {} })
    const next = messageReader(await wire.post(call(1)))
    expect(await next()).toMatchObject({ method: 'roots/list' })
    expect((await wire.remove()).status).toBe(204)
    await vi.waitFor(() => expect(ended).toBe('roots/list: the session has ended'))
    // What ran for that client alone may end.
    expect(server.gone).toHaveLength(1)
  })

  it('is for modern clients not yet', async () => {
    const { url } = await open(async (call) => ({
      error: await call.ask({ method: 'roots/list' }, never()).catch(({ code }) => code),
    }))
    const answer = await (await postModern(url, 'tools/call', { name: 'a_ask' })).json()
    expect(answer).toMatchObject({ result: { error: -32601 } })
  })
})

describe('a question outside of any call', () => {
  const open = async () => {
    const peers: Peer[] = []
    const server = sourceOf(
      'a',
      { tools: toolsOf('ask') },
      {
        async call(call) {
          peers.push(call)
          return complete({})
        },
      },
    )
    const faces = await openFaces([server])
    opened.push(faces)
    return { faces, partyOf: () => peers[0]?.party ?? '' }
  }

  it('comes on the GET stream, and is nobody’s without one', async () => {
    const { faces, partyOf } = await open()
    const wire = await openAsked(faces.url, { roots: {} })
    await wire.request('tools/call', { name: 'a_ask' })
    expect(faces.gateway.peerOf(partyOf())).toBeUndefined()
    const abort = new AbortController()
    const next = await wire.stream(abort.signal)
    const peer = faces.gateway.peerOf(partyOf())
    const answer = peer?.ask({ method: 'roots/list' }, never())
    const { id, method } = await next()
    expect(method).toBe('roots/list')
    await wire.post({ jsonrpc: '2.0', id, result: { roots: [{ uri: 'file:///x' }] } })
    expect(await answer).toEqual({ roots: [{ uri: 'file:///x' }] })
    abort.abort()
    await vi.waitFor(() => expect(faces.gateway.peerOf(partyOf())).toBeUndefined())
    await expect(peer?.ask({ method: 'roots/list' }, never())).rejects.toMatchObject({ code: -32603 })
  })

  it('is taken back there too', async () => {
    const { faces, partyOf } = await open()
    const wire = await openAsked(faces.url, { roots: {} })
    await wire.request('tools/call', { name: 'a_ask' })
    const next = await wire.stream()
    const stop = new AbortController()
    const answer = faces.gateway
      .peerOf(partyOf())
      ?.ask({ method: 'roots/list' }, stop.signal)
      .catch(({ code }) => code)
    const { id } = await next()
    stop.abort()
    expect(await next()).toMatchObject({ method: 'notifications/cancelled', params: { requestId: id } })
    expect(await answer).toBe(-32603)
  })

  it('outlives the stream it was asked on', async () => {
    const { faces, partyOf } = await open()
    const wire = await openAsked(faces.url, { roots: {} })
    await wire.request('tools/call', { name: 'a_ask' })
    const first = await wire.stream()
    const answer = faces.gateway.peerOf(partyOf())?.ask({ method: 'roots/list' }, never())
    const { id } = await first()
    await wire.stream()
    expect(await first()).toBeUndefined()
    await wire.post({ jsonrpc: '2.0', id, result: { roots: [] } })
    expect(await answer).toEqual({ roots: [] })
  })
})
