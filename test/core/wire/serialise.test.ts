import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compose } from '../../../core/middleware.ts'
import { complete, type Call } from '../../../core/gateway/call.ts'
import type { JsonObject, RpcResult } from '../../../core/wire/jsonrpc.ts'
import { parseJsonRpc, prepare, serialise } from '../../../core/wire/serialise.ts'
import { sliceResult } from '../../../core/wire/slice.ts'

const objects = fc.dictionary(fc.string(), fc.jsonValue())
const ids = fc.oneof(fc.string(), fc.integer())
const shuffled = fc.shuffledSubarray(['jsonrpc', 'id', 'result'] as const, { minLength: 3 })

describe('the text of a result', () => {
  test('is found wherever it stands, whatever it holds', () => {
    fc.assert(
      fc.property(objects, ids, shuffled, (result, id, order) => {
        const members = { jsonrpc: '"2.0"', id: JSON.stringify(id), result: JSON.stringify(result) }
        const text = `{ ${order.map((key) => `"${key}" :\t${members[key]} `).join(',')}}`
        expect(sliceResult(text)).toBe(members.result)
      }),
    )
  })

  test.each([
    ['another member', '{"jsonrpc":"2.0","id":1,"result":{},"more":1}'],
    ['a member twice', '{"result":{"a":1},"jsonrpc":"2.0","id":1,"result":{"b":2}}'],
    ['an id smuggled in by repetition', '{"result":{},"id":7,"jsonrpc":"2.0","id":1}'],
    ['an escaped key', '{"jsonrpc":"2.0","i\\u0064":1,"result":{}}'],
    ['a line break that an event stream would take for its own', '{"jsonrpc":"2.0","id":1,"result":{\n\ndata: 1}}'],
    ['a carriage return', '{"jsonrpc":"2.0","id":1,"result":{"a":\r1}}'],
    ['no result', '{"jsonrpc":"2.0","id":1}'],
  ])('is not used with %s', (_, text) => expect(sliceResult(text)).toBeUndefined())
})

const large = (text: string): RpcResult => ({
  jsonrpc: '2.0',
  id: 1,
  result: { content: [{ type: 'text', text }], n: 1 },
})

describe('serialise', () => {
  test('gives back every message as it was', () => {
    fc.assert(
      fc.property(objects, ids, (result, id) => {
        const message = { jsonrpc: '2.0' as const, id, result: result as JsonObject }
        expect(JSON.parse(serialise(message))).toEqual(JSON.parse(JSON.stringify(message)))
      }),
    )
  })

  test('sends a large result as it came, under the new id', () => {
    // 1.0 becomes 1 when it is parsed: only the text as it came still has it.
    const text = JSON.stringify(large('x'.repeat(50_000))).replace('"n":1', '"n":1.0')
    const parsed = parseJsonRpc(text) as RpcResult
    const sent = serialise({ ...parsed, id: 'mine' })
    expect(sent).toContain('"n":1.0')
    expect(JSON.parse(sent)).toEqual({ ...large('x'.repeat(50_000)), id: 'mine' })
  })

  test('sees what middleware changed in place', async () => {
    const parsed = parseJsonRpc(JSON.stringify(large('x'.repeat(50_000)))) as RpcResult
    const call = compose(
      [
        async (call, next) => {
          const outcome = await next(call)
          Object.assign(outcome.result, { content: [] })
          return outcome
        },
      ],
      async () => complete(parsed.result),
    )
    const outcome = await call({} as Call)
    expect(serialise({ jsonrpc: '2.0', id: 1, result: outcome.result })).not.toContain('xxx')
  })

  test('turns a prepared result into JSON once', () => {
    let turned = 0
    const result = prepare({ tools: { toJSON: () => ++turned } as never })
    expect(serialise({ jsonrpc: '2.0', id: 1, result })).toBe('{"jsonrpc":"2.0","result":{"tools":1},"id":1}')
    expect(serialise({ jsonrpc: '2.0', id: 2, result })).toBe('{"jsonrpc":"2.0","result":{"tools":1},"id":2}')
  })
})
