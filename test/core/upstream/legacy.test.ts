import { describe, expect, it, vi } from 'vitest'
import type { Ask, Call } from '../../../core/gateway/call.ts'
import type { Connection } from '../../../core/transport.ts'
import { legacyFace } from '../../../core/upstream/legacy.ts'
import { failure, success, type JsonObject, type RpcRequest, type RpcResponse } from '../../../core/wire/jsonrpc.ts'
import { callOf } from '../../fixtures/core/source.ts'
import { memoryLogger } from '../../fixtures/transport/context.ts'

type Say = Parameters<Connection['request']>[1]['onmessage']
type Answer = (request: RpcRequest, say: Say) => RpcResponse | Promise<RpcResponse>

/** A session-based server that says this of itself, and answers everything but `initialize` as it is told. */
async function start(answer: Answer, capabilities: JsonObject = {}, protocolVersion = '2025-11-25') {
  const asked: string[] = []
  const connection: Connection = {
    perRequestStream: false,
    async request(request, { onmessage }) {
      asked.push(request.method)
      const about = { protocolVersion, capabilities, serverInfo: {} }
      return request.method === 'initialize' ? success(request.id, about) : answer(request, onmessage)
    },
    send: async () => {},
    closed: new Promise(() => {}),
    close: async () => {},
  }
  const face = legacyFace({
    connection,
    name: 's',
    logger: memoryLogger().logger,
    requestTimeout: 5000,
    requestCeiling: 5000,
    capabilities: {},
    onevent: () => {},
    onstate: () => {},
    onsilence: () => {},
    peerOf: () => undefined,
  })
  await face.start(new AbortController().signal)
  return { face, asked }
}

describe('an error of a session-based server', () => {
  it.each([
    [-32020, -32603],
    [-32021, -32603],
    [-32022, -32603],
    [-32019, -32019],
    [-32023, -32023],
    [-32601, -32601],
  ])('with the code %i goes on as %i', async (code, expected) => {
    const { face } = await start(({ id }) => failure(id, { code, message: 'its own', data: { why: 'x' } }))
    const call = face.call(callOf('tools/call', { name: 't' }))
    await expect(call).rejects.toMatchObject({ code: expected, message: 'its own', data: { why: 'x' } })
  })
})

describe('completions', () => {
  const values = ['a', 'b']
  const complete = callOf('completion/complete', { ref: { type: 'ref/prompt', name: 'p' } })

  it.each([
    ['that declares none has none, and is not asked', {}, '2025-11-25', []],
    ['that declares them is asked', { completions: {} }, '2025-11-25', values],
    ['of the first revision, which could not declare them, is asked', {}, '2024-11-05', values],
  ])('a server %s', async (_what, capabilities, version, expected) => {
    const { face, asked } = await start(({ id }) => success(id, { completion: { values } }), capabilities, version)
    expect(await face.call(complete)).toEqual({ kind: 'complete', result: { completion: { values: expected } } })
    expect(asked.includes('completion/complete')).toBe(expected.length > 0)
  })
})

describe('a question of a server', () => {
  it('says which calls it may be about: those that are open there', async () => {
    const ends: (() => void)[] = []
    const says: Say[] = []
    const { face } = await start(({ id }, say) => {
      says.push(say)
      return new Promise((resolve) => ends.push(() => resolve(success(id, {}))))
    })
    const asks: Ask[] = []
    const open = (requestId: string) => {
      const ask: Call['ask'] = async (asked) => {
        asks.push(asked)
        return {}
      }
      return face.call({ ...callOf('tools/call', { name: 't' }), requestId, ask })
    }
    const question = (id: number) => says.at(-1)?.({ jsonrpc: '2.0', id, method: 'roots/list' })
    const calls = [open('one'), open('two'), open('three')]
    await vi.waitFor(() => expect(ends).toHaveLength(3))
    ends[0]?.()
    await calls[0]
    question(1)
    ends[1]?.()
    await calls[1]
    question(2)
    await vi.waitFor(() => expect(asks).toHaveLength(2))
    expect(asks.map(({ unbound }) => unbound)).toEqual([['two', 'three'], undefined])
    ends[2]?.()
    await calls[2]
  })
})

describe('a question on the stream of one request', () => {
  it('is about that one alone, however many are open', async () => {
    const ends: (() => void)[] = []
    const says: Say[] = []
    const { face } = await start(({ id }, say) => {
      says.push(say)
      return new Promise((resolve) => ends.push(() => resolve(success(id, {}))))
    })
    const asks: (readonly [string, Ask, AbortSignal])[] = []
    const call = (requestId: string): Call => ({
      ...callOf('tools/call', { name: requestId }),
      requestId,
      ask: (ask, signal) => {
        asks.push([requestId, ask, signal])
        return new Promise(() => {})
      },
    })
    const calls = [face.call(call('one')), face.call(call('two'))]
    await vi.waitFor(() => expect(says).toHaveLength(2))
    says[0]?.({ jsonrpc: '2.0', id: 'q', method: 'roots/list' }, true)
    await vi.waitFor(() => expect(asks).toHaveLength(1))
    expect(asks[0]?.slice(0, 2)).toEqual(['one', { method: 'roots/list' }])
    for (const end of ends) end()
    await Promise.all(calls)
  })
})
