import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ConnectionError, RpcError } from '../../../core/errors.ts'
import type { Ask, Peer } from '../../../core/gateway/call.ts'
import type { Connection } from '../../../core/transport.ts'
import { createAsks } from '../../../core/upstream/asks.ts'
import type { JsonObject, RpcMessage } from '../../../core/wire/jsonrpc.ts'
import { peerOf } from '../../fixtures/core/source.ts'
import { memoryLogger } from '../../fixtures/transport/context.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Open questions on a connection that keeps what is sent. */
function make(broken = false) {
  const sent: RpcMessage[] = []
  const { logger, lines } = memoryLogger()
  const connection: Connection = {
    perRequestStream: false,
    request: () => expect.unreachable(),
    async send(message) {
      if (broken) throw new ConnectionError('gone', { delivered: false, lost: true })
      sent.push(message)
    },
    closed: new Promise(() => {}),
    close: async () => {},
  }
  return { asks: createAsks(connection, logger), sent, lines }
}

const question = (id: number | string, method = 'sampling/createMessage', params?: JsonObject) => ({
  jsonrpc: '2.0' as const,
  id,
  method,
  ...(params && { params }),
})

/** A client that answers as it is told, and keeps what it was asked. */
function client(answer: (ask: Ask, signal: AbortSignal) => Promise<JsonObject>) {
  const asked: Ask[] = []
  const signals: AbortSignal[] = []
  const peer: Peer = {
    ...peerOf('alice'),
    ask(ask, signal) {
      asked.push(ask)
      signals.push(signal)
      return answer(ask, signal)
    },
  }
  return { peer, asked, signals }
}

/** Waits until its signal ends it, as a peer must. */
const thinks = (_: Ask, signal: AbortSignal) =>
  new Promise<JsonObject>((_, reject) => {
    signal.addEventListener('abort', () => reject(new RpcError(-32603, 'nobody answered')))
  })

describe('a question of a server', () => {
  it('is carried to the client as it is, and the answer back under its id', async () => {
    const { asks, sent } = make()
    const { peer, asked } = client(async () => ({ model: 'm' }))
    await asks.answer(question('q', 'sampling/createMessage', { maxTokens: 7 }), { peer })
    await asks.answer(question(2, 'roots/list'), { peer })
    expect(asked).toEqual([{ method: 'sampling/createMessage', params: { maxTokens: 7 } }, { method: 'roots/list' }])
    expect(sent).toEqual([
      { jsonrpc: '2.0', id: 'q', result: { model: 'm' } },
      { jsonrpc: '2.0', id: 2, result: { model: 'm' } },
    ])
  })

  it('is answered with the client’s own error', async () => {
    const { asks, sent } = make()
    const { peer } = client(async () => {
      throw new RpcError(-1, 'the user said no', { why: 'x' })
    })
    await asks.answer(question(1), { peer })
    expect(sent).toEqual([
      { jsonrpc: '2.0', id: 1, error: { code: -1, message: 'the user said no', data: { why: 'x' } } },
    ])
  })

  it('is an internal error where the client’s side fails', async () => {
    const { asks, sent } = make()
    const { peer } = client(() => Promise.reject(new Error('odd')))
    await asks.answer(question(1), { peer })
    expect(sent).toEqual([{ jsonrpc: '2.0', id: 1, error: { code: -32603, message: 'odd' } }])
  })

  it('of nobody is refused with what to do about it', async () => {
    const { asks, sent } = make()
    await asks.answer(question(1, 'elicitation/create'), undefined)
    expect(sent).toEqual([
      {
        jsonrpc: '2.0',
        id: 1,
        error: { code: -32601, message: expect.stringMatching(/^elicitation\/create: .*set "isolate" to "session"/) },
      },
    ])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('whether the proxy is there is answered by the proxy', async () => {
    const { asks, sent } = make()
    const { peer, asked } = client(async () => ({}))
    await asks.answer(question(1, 'ping'), undefined)
    await asks.answer(question(2, 'ping'), { peer })
    expect(sent).toEqual([
      { jsonrpc: '2.0', id: 1, result: {} },
      { jsonrpc: '2.0', id: 2, result: {} },
    ])
    expect(asked).toEqual([])
  })

  it('that the server takes back ends at the client, and is not answered', async () => {
    const { asks, sent } = make()
    const { peer, signals } = client(thinks)
    const answering = asks.answer(question(1), { peer })
    asks.cancel('1')
    expect(signals[0]?.aborted).toBe(false)
    asks.cancel(1)
    expect(signals[0]?.aborted).toBe(true)
    await answering
    expect(sent).toEqual([])
  })

  it('taken back when it is answered already changes nothing', async () => {
    const { asks, sent } = make()
    const { peer } = client(async () => ({}))
    await asks.answer(question(1), { peer })
    asks.cancel(1)
    asks.cancel(99)
    expect(sent).toHaveLength(1)
  })

  it('ends with the call behind it, and the server hears that', async () => {
    const { asks, sent } = make()
    const { peer, signals } = client(thinks)
    const call = new AbortController()
    const answering = asks.answer(question(1), { peer, signal: call.signal })
    call.abort()
    await answering
    expect(signals[0]?.aborted).toBe(true)
    expect(sent).toMatchObject([{ id: 1, error: { code: -32603, message: 'nobody answered' } }])
  })

  it('that is open when the connection ends, ends too', async () => {
    const { asks, sent } = make()
    const { peer, signals } = client(thinks)
    const answering = [1, 2, 3].map((id) => asks.answer(question(id), { peer }))
    asks.close()
    await Promise.all(answering)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true])
    expect(sent).toEqual([])
  })

  it('whose answer cannot be sent is a line in the log and no error', async () => {
    const { asks, lines } = make(true)
    const { peer } = client(async () => ({}))
    await asks.answer(question(1), { peer })
    await asks.answer(question(2), undefined)
    expect(lines).toEqual([
      'debug: the answer to sampling/createMessage was not sent: gone',
      'debug: the answer to sampling/createMessage was not sent: gone',
    ])
  })
})
