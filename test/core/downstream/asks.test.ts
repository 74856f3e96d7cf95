import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ASK_LIMIT, askClient, settleAsk, withdrawAsks } from '../../../core/downstream/asks.ts'
import type { Session } from '../../../core/downstream/session.ts'
import { InFlight } from '../../../core/in-flight.ts'
import { failure, success, type RpcNotification, type RpcRequest } from '../../../core/wire/jsonrpc.ts'

const DECLARED = { roots: {}, sampling: {}, elicitation: {} }

function open(capabilities: Session['capabilities'] = DECLARED) {
  const sent: (RpcRequest | RpcNotification)[] = []
  const session: Session = {
    id: 'id',
    party: 'p',
    protocolVersion: '2025-11-25',
    capabilities,
    clientInfo: {},
    expires: Number.POSITIVE_INFINITY,
    calls: new InFlight(),
  }
  const stop = new AbortController()
  const ask = (method: string, params?: Record<string, unknown>, options: { owner?: object; reaches?: boolean } = {}) =>
    askClient(
      session,
      { method, ...(params && { params: params as {} }) },
      {
        send(message) {
          if (options.reaches === false) return false
          sent.push(message)
          return true
        },
        signal: stop.signal,
        ...(options.owner && { owner: options.owner }),
      },
    )
  return { session, sent, stop, ask, idOf: (index: number) => (sent[index] as RpcRequest).id }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  const timers = vi.getTimerCount()
  vi.useRealTimers()
  if (timers > 0) throw new Error('whatever becomes of a question, its timer may not stay')
})

describe('a question', () => {
  it('is a request under an id of its own, without the token of the server, and takes the answer as it is', async () => {
    const { session, sent, ask, idOf } = open()
    const params = { messages: [], _meta: { progressToken: 7, 'x/trace': 'kept' } }
    const [one, two] = [ask('sampling/createMessage', params), ask('roots/list')]
    expect(sent).toEqual([
      {
        jsonrpc: '2.0',
        id: idOf(0),
        method: 'sampling/createMessage',
        params: { messages: [], _meta: { 'x/trace': 'kept' } },
      },
      { jsonrpc: '2.0', id: idOf(1), method: 'roots/list' },
    ])
    expect(idOf(0)).not.toBe(idOf(1))
    settleAsk(session, success(idOf(1), { roots: [], odd: [1] }))
    settleAsk(session, success(idOf(1), { roots: 'again' }))
    settleAsk(session, success('unknown', {}))
    settleAsk(session, { jsonrpc: '2.0', error: { code: 1, message: 'to nobody' } })
    settleAsk(session, success(idOf(0), { role: 'assistant' }))
    expect(await Promise.all([one, two])).toEqual([{ role: 'assistant' }, { roots: [], odd: [1] }])
    expect(session.asks?.size).toBe(0)
  })

  it('is rejected with the error that the client answers', async () => {
    const { session, ask, idOf } = open()
    const asked = ask('elicitation/create', { message: 'x' })
    settleAsk(session, failure(idOf(0), { code: -1, message: 'User rejected', data: { why: ['x'] } }))
    await expect(asked).rejects.toMatchObject({
      name: 'RpcError',
      code: -1,
      message: 'User rejected',
      data: { why: ['x'] },
    })
  })

  it('is taken back when the server says so: the client hears of it, its answer comes too late', async () => {
    const { session, sent, stop, ask, idOf } = open()
    const asked = ask('roots/list')
    stop.abort()
    await expect(asked).rejects.toMatchObject({ code: -32603 })
    const params = { requestId: idOf(0), reason: 'the server took the question back' }
    expect(sent[1]).toEqual({ jsonrpc: '2.0', method: 'notifications/cancelled', params })
    settleAsk(session, success(idOf(0), {}))
    await expect(ask('roots/list')).rejects.toMatchObject({ code: -32603 })
    expect(sent).toHaveLength(2)
  })

  it('has five minutes', async () => {
    const { sent, ask } = open()
    const ended = ask('roots/list').catch((error: Error) => error.message)
    await vi.advanceTimersByTimeAsync(ASK_LIMIT - 1)
    expect(sent).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(await ended).toBe('roots/list: no answer in time')
    expect(sent[1]).toMatchObject({ method: 'notifications/cancelled' })
  })

  it('ends with its call, or with the session', async () => {
    const { session, sent, ask } = open()
    const [call, other] = [{}, {}]
    const asked = [ask('roots/list', {}, { owner: call }), ask('roots/list', {}, { owner: other }), ask('roots/list')]
    const ended = asked.map((one) => one.catch((error: Error) => error.message))
    withdrawAsks(session, 'the call has ended', call)
    expect(session.asks?.size).toBe(2)
    withdrawAsks(session, 'the session has ended')
    expect(await Promise.all(ended)).toEqual([
      'roots/list: the call has ended',
      'roots/list: the session has ended',
      'roots/list: the session has ended',
    ])
    expect(sent.filter(({ method }) => method === 'notifications/cancelled')).toHaveLength(3)
  })

  it('that reaches nobody is rejected at once', async () => {
    const { session, ask } = open()
    await expect(ask('roots/list', {}, { reaches: false })).rejects.toThrow('no open stream')
    expect(session.asks?.size).toBe(0)
  })

  it('is refused while 64 others are open', async () => {
    const { session, sent, ask } = open()
    const asked = Array.from({ length: 64 }, () => ask('roots/list').catch(() => 'ended'))
    await expect(ask('roots/list')).rejects.toThrow('already has 64 questions')
    expect(sent).toHaveLength(64)
    withdrawAsks(session, 'end')
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['ended']))
  })

  it.each([
    ['roots/list', {}, { sampling: {}, elicitation: {} }, -32601],
    ['sampling/createMessage', {}, { roots: {} }, -32601],
    ['elicitation/create', {}, {}, -32601],
    ['elicitation/create', {}, { elicitation: true }, -32601],
    ['vendor/ask', {}, DECLARED, -32601],
    ['constructor', {}, DECLARED, -32601],
    ['elicitation/create', { mode: 'url' }, { elicitation: {} }, -32602],
    ['elicitation/create', { mode: 'form' }, { elicitation: { url: {} } }, -32602],
    ['elicitation/create', {}, { elicitation: { url: {} } }, -32602],
    ['sampling/createMessage', { tools: [] }, { sampling: {} }, -32602],
  ])('%s %j is refused to a client that declared %j', async (method, params, capabilities, code) => {
    const { sent, ask } = open(capabilities)
    await expect(ask(method, params)).rejects.toMatchObject({ name: 'RpcError', code })
    expect(sent).toEqual([])
  })

  it.each([
    ['elicitation/create', { mode: 'url' }, { elicitation: { url: {} } }],
    ['elicitation/create', { mode: 'form' }, { elicitation: {} }],
    ['elicitation/create', {}, { elicitation: { form: {}, url: {} } }],
    ['sampling/createMessage', { tools: [] }, { sampling: { tools: {} } }],
  ])('%s %j reaches a client that declared %j', async (method, params, capabilities) => {
    const { session, sent, ask, idOf } = open(capabilities)
    const asked = ask(method, params)
    expect(sent).toMatchObject([{ method, params }])
    settleAsk(session, success(idOf(0), { fine: true }))
    expect(await asked).toEqual({ fine: true })
  })
})
