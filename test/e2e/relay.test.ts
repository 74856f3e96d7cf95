import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openMirrors, RAW, type Mirrors, type RawCall } from './support/mirror.ts'
import type { Json } from './support/v1.ts'

let mirrors: Mirrors
beforeAll(async () => void (mirrors = await openMirrors()))
afterAll(() => mirrors?.close())

const text = (value: string) => ({ content: [{ type: 'text', text: value }] })

/** Nested this deep, far below what JSON parsers give up on. */
const deep = Array.from({ length: 200 }).reduce<unknown>((inner) => ({ inner: [inner] }), 'the bottom')

const RESULTS: readonly [string, Json][] = [
  ['a plain text', text('hello')],
  ['no content at all', { content: [] }],
  [
    'content of unknown types',
    {
      content: [
        { type: 'hologram', beams: [1, { hue: 'ü' }] },
        { type: '', x: null },
      ],
    },
  ],
  ['every known type of content, with annotations', { content: knownContent() }],
  ['a failed tool', { ...text('it did not work'), isError: true }],
  ['isError false stays', { ...text('fine'), isError: false }],
  ['structured content: an object', { ...text('{}'), structuredContent: { a: [1, 2], b: { c: null }, d: '' } }],
  ['structured content: an array', { ...text('[]'), structuredContent: [1, 'two', [3], { four: 4 }] }],
  ['structured content without content', { structuredContent: { only: true } }],
  ['unknown keys', { ...text('x'), 'vendor/extra': { deep: [true] }, another: 7, nothing: null }],
  ['_meta of vendors', { ...text('x'), _meta: { 'example.com/trace': 'abc', nested: { a: [1] } } }],
  ['_meta inside content', { content: [{ type: 'text', text: 'x', _meta: { 'example.com/id': 1 } }] }],
  ['characters', text('é ☃ 𝕌 👩‍👩‍👧 \u2028\u2029 \u0000 \ufeff "\\ \r\n \u007f data: event: end')],
  ['half a character', text('\ud83d alone')],
  ['keys with odd names', { ...text('x'), 'k\u2028\n': 1, '': 2, toString: 3, length: 4 }],
  ['numbers', { ...text('x'), structuredContent: { n: [0.1, -1.5e-9, 1e21, 2 ** 53 - 1, -(2 ** 53) + 1, 0] } }],
  ['nesting', { ...text('x'), structuredContent: { deep } }],
]

const ERRORS: readonly [string, Json][] = [
  ['of JSON-RPC', { code: -32602, message: 'not like this', data: { hint: 'ü', list: [1, null] } }],
  ['of the server’s own', { code: 4711, message: 'nein: ☃', data: 'a text' }],
  ['without data', { code: -32603, message: 'broken' }],
  ['whose data is an array, or falsy', { code: -32000, message: '', data: [0, false] }],
  ['whose data is 0', { code: -32000, message: 'zero', data: 0 }],
]

describe.each(['legacy', 'modern'] as const)('%s client', (era) => {
  describe.each([
    ['stdio', 'pipe', {}],
    ['HTTP', 'web', {}],
    ['HTTP as event stream', 'web', { stream: true }],
  ])('server over %s', (_, server, how) => {
    let call: RawCall
    beforeAll(async () => void (call = await RAW[era](mirrors.proxy.url)))

    test.each(RESULTS)('result: %s', async (_, result) => {
      const { result: relayed } = await call(`${server}_mirror`, { result, ...how })
      expect(relayed).toStrictEqual(era === 'legacy' ? result : asModern(result))
    })

    test.each(ERRORS)('error %s', async (_, error) => {
      const { error: relayed, result } = await call(`${server}_fail`, { error, ...how })
      expect(relayed).toStrictEqual(error)
      expect(result).toBeUndefined()
    })

    test('result: keys that mean something in JavaScript', async () => {
      const inner = '{"__proto__":{"a":1},"constructor":{"prototype":2},"hasOwnProperty":3,"then":4,"toJSON":5}'
      const result = { content: [], structuredContent: JSON.parse(inner) }
      const { result: relayed } = await call(`${server}_mirror`, { result, ...how })
      expect(JSON.stringify((relayed as Json).structuredContent)).toBe(inner)
    })

    test('10 MB', async () => {
      const bytes = 10 * 1024 * 1024
      const { result } = await call(`${server}_big`, { bytes, ...how })
      const [content] = (result as { content: { text: string }[] }).content
      expect(Buffer.byteLength(content?.text ?? '')).toBe(bytes)
      expect(content?.text.replaceAll('é', '')).toBe('')
    })

    test('_meta of vendors, and all arguments, reach the server', async () => {
      const meta = { 'example.com/tenant': { id: [1, '☃'] }, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7-01' }
      const args = { 'k\u2028': '👩‍👩‍👧', nothing: null, list: [[[]]], number: 1e21, ...how }
      const { result } = await call(`${server}_received`, args, meta)
      expect((result as Json).structuredContent).toStrictEqual({
        params: { name: 'received', arguments: args, _meta: meta },
      })
    })

    test('a progress token becomes the proxy’s own; what stands beside it stays', async () => {
      const { result } = await call(`${server}_received`, how, { progressToken: 'mine', 'example.com/x': 1 })
      const { params } = (result as Json).structuredContent as { params: { _meta: Json } }
      expect(params._meta).toStrictEqual({ 'example.com/x': 1, progressToken: expect.any(Number) })
    })

    test('what concerns only the client’s own hop does not reach the server', async () => {
      const { result } = await call(`${server}_received`, how)
      expect((result as Json).structuredContent).toStrictEqual({ params: { name: 'received', arguments: how } })
    })
  })
})

/** What a 2026-07-28 result says besides what the server said. */
function asModern(result: Json): Json {
  const serverInfo = { name: 'mcp-proxy-server', title: 'MCP Proxy Server', version: expect.any(String) }
  const meta = { ...(result._meta as Json | undefined), 'io.modelcontextprotocol/serverInfo': serverInfo }
  return { resultType: 'complete', ...result, _meta: meta }
}

function knownContent(): Json[] {
  const annotations = { audience: ['user'], priority: 0.5, lastModified: '2025-01-12T15:00:58Z', extra: 1 }
  return [
    { type: 'text', text: 'x', annotations },
    { type: 'image', data: 'AAAA', mimeType: 'image/png', annotations },
    { type: 'audio', data: 'AAAA', mimeType: 'audio/wav' },
    { type: 'resource_link', uri: 'file:///a b', name: 'a', size: 12, icons: [{ src: 'data:,', sizes: ['any'] }] },
    { type: 'resource', resource: { uri: 'x://y', mimeType: 'text/x', text: '', _meta: { z: 1 } }, annotations },
    { type: 'resource', resource: { uri: 'x://y', blob: 'AAAA' } },
  ]
}
