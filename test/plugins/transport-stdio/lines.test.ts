import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createLineFramer } from '../../../plugins/transport-stdio/lines.ts'
import { responseId } from '../../../core/wire/oversize.ts'

function frame(chunks: readonly Buffer[], maxBytes = 1_000_000) {
  const lines: string[] = []
  const long: { head: string; tail: string; bytes: number }[] = []
  const framer = createLineFramer({
    maxBytes,
    online: (line) => void lines.push(line),
    onlong: (head, tail, bytes) => void long.push({ head, tail, bytes }),
  })
  for (const chunk of chunks) framer.push(chunk)
  framer.end()
  return { lines, long }
}

/** Cuts at the given places, wherever in a character they fall. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b)
  return [0, ...sorted].map((place, index) => bytes.subarray(place, sorted[index] ?? bytes.length))
}

describe('line framer', () => {
  test('the same lines come out, however the bytes are cut', () => {
    const line = fc.string({ unit: 'grapheme' }).filter((text) => text !== '' && !/[\r\n]/.test(text))
    const input = fc.tuple(fc.array(line), fc.constantFrom('\n', '\r\n'), fc.array(fc.nat(500)))
    fc.assert(
      fc.property(input, ([lines, lineEnd, places]) => {
        const bytes = Buffer.from(lines.map((text) => text + lineEnd).join(''))
        expect(frame(cut(bytes, places))).toEqual({ lines, long: [] })
      }),
    )
  })

  test('byte by byte', () => {
    const text = `${'é☃𝕌'.repeat(2000)}\nnext`
    const bytes = Buffer.from(text)
    expect(frame([...bytes].map((byte) => Buffer.of(byte))).lines).toEqual(text.split('\n'))
  })

  test('a line of exactly the limit passes, one byte more does not, in one chunk or in many', () => {
    for (const lineEnd of ['\n', '\r\n']) {
      const fits = Buffer.from(`${'a'.repeat(5000)}${lineEnd}ok\n`)
      const tooLong = Buffer.from(`${'a'.repeat(5001)}${lineEnd}ok\n`)
      for (const places of [[], [100, 4999, 5000, 5001, 5002]]) {
        expect(frame(cut(fits, places), 5000).lines).toEqual(['a'.repeat(5000), 'ok'])
        const { lines, long } = frame(cut(tooLong, places), 5000)
        expect(lines).toEqual(['ok'])
        expect(long).toHaveLength(1)
      }
    }
  })

  test('tells both ends and the size of a line that is too long', () => {
    const bytes = Buffer.from(`HEAD${'x'.repeat(300_000)}TAIL\nafter\n`)
    const { lines, long } = frame(cut(bytes, [10, 70_000, 140_000, 210_000, 300_007]), 10_000)
    expect(lines).toEqual(['after'])
    expect(long).toEqual([
      { head: expect.stringMatching(/^HEADx+$/), tail: expect.stringMatching(/^x+TAIL$/), bytes: 300_008 },
    ])
  })
})

describe('id of a response that is too long', () => {
  const filler = ',"x":'.repeat(50)
  test.each([
    ['{"jsonrpc":"2.0","id":7,"result":{"content":[', '…]}}', 7],
    ['{"id":"a\\"b","jsonrpc":"2.0","result":{', '}}', 'a"b'],
    ['{ "jsonrpc" : "2.0" , "id" : -3 , "error" : {', '}}', -3],
    ['{"result":{"structuredContent":{"id":99', `${filler}]},"jsonrpc":"2.0","id":8}`, 8],
    ['{"jsonrpc":"2.0","result":{"id":99', '"},"id":"z"}', 'z'],
  ])('%s … %s', (head, tail, id) => expect(responseId(head, tail)).toBe(id))

  test.each([
    ['{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{', '}}'],
    ['{"method":"x","params":{"id":1', '},"jsonrpc":"2.0","id":8}'],
    ['{"result":{"a":{"id":99', '"text":"\\"id\\":5"}'],
    ['{"result":{"a":', '{"id":5}}}'],
    ['no json at all "id":5,"result"', ',"id":5}x'],
  ])('is not guessed: %s … %s', (head, tail) => expect(responseId(head, tail)).toBeUndefined())
})
