import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createEvents } from '../../../plugins/transport-sse/events.ts'
import type { RpcMessage } from '../../../core/index.ts'

function read(chunks: readonly Buffer[], { maxBytes = 100_000, skip = true } = {}) {
  const messages: RpcMessage[] = []
  const others: [string, string][] = []
  const ids: string[] = []
  const long: { head: string; tail: string }[] = []
  const problems: string[] = []
  let held = 0
  const events = createEvents(maxBytes, {
    onmessage: (message) => void messages.push(message),
    onevent: (type, data) => void others.push([type, data]),
    onid: (id) => void ids.push(id),
    ...(skip && { onlong: (head: string, tail: string) => void long.push({ head, tail }) }),
  })
  for (const chunk of chunks) {
    const problem = events.push(chunk)
    held = Math.max(held, events.held())
    if (problem === undefined) continue
    problems.push(problem)
    break
  }
  return { messages, others, ids, long, problems, held }
}
const whole = (text: string) => [Buffer.from(text)]
const bytewise = (text: string) => Array.from(Buffer.from(text), (byte) => Buffer.from([byte]))
const note = (text: string) => ({ jsonrpc: '2.0' as const, method: 'note', params: { text } })
const eventOf = (text: string) => `event: message\ndata: ${JSON.stringify(note(text))}\n\n`

test('the same messages come out, however the bytes are cut and the lines end', () => {
  const lineEnd = fc.constantFrom('\n', '\r\n', '\r')
  const part = fc.oneof(
    fc
      .string({ unit: 'grapheme' })
      .map((text) => ({ text, lines: ['event: message', `data: ${JSON.stringify(note(text))}`] })),
    fc
      .constantFrom([': ping'], ['id: 7'], [': ping', ': pong'], ['retry: 5'])
      .map((lines) => ({ text: undefined, lines })),
  )
  fc.assert(
    fc.property(fc.array(part), lineEnd, fc.array(fc.nat(500)), (parts, end, places) => {
      const bytes = Buffer.from(parts.map(({ lines }) => [...lines, '', ''].join(end)).join(''))
      const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b)
      const chunks = [0, ...sorted].map((place, index) => bytes.subarray(place, sorted[index] ?? bytes.length))
      // A last CR may be half of a line end: only what follows tells.
      const { messages } = read([...chunks, Buffer.from(': end')])
      expect(messages).toEqual(parts.flatMap(({ text }) => (text === undefined ? [] : [note(text)])))
    }),
  )
})

test('an event is handed on as soon as its empty line is there', () => {
  expect(read(whole(eventOf('a'))).messages).toEqual([note('a')])
  expect(read(bytewise(eventOf('é'))).messages).toEqual([note('é')])
  expect(read(whole(eventOf('a').replaceAll('\n', '\r\n'))).messages).toEqual([note('a')])
})

test('an unfinished event at the end is none', () => {
  expect(read(whole(`${eventOf('a')}data: {"jsonrpc":"2.0","method":"half"}\n`)).messages).toEqual([note('a')])
})

test('other types are no messages', () => {
  const { messages, others } = read(whole(`event: endpoint\ndata: /messages\n\n${eventOf('a')}`))
  expect(others).toEqual([['endpoint', '/messages']])
  expect(messages).toEqual([note('a')])
})

test('what is no JSON, no message, or empty is passed over', () => {
  const odd = ['hello', '{"half":', '[1,2]', 'null', ''].map((data) => `data: ${data}\n\n`).join('')
  expect(read(whole(`${odd}${eventOf('a')}`)).messages).toEqual([note('a')])
})

test('data over several lines is one text', () => {
  expect(read(whole('data: {"jsonrpc":"2.0",\ndata: "method":"m"}\n\n')).messages).toEqual([
    { jsonrpc: '2.0', method: 'm' },
  ])
})

describe('an event over the limit', () => {
  const big = (bytes: number) =>
    `id: 7\nevent: message\ndata: {"jsonrpc":"2.0","id":3,"result":{"text":"${'é'.repeat(bytes / 2)}"}}\n\n`

  test.each([1100, 3000, 50_000])('is skipped, its ends are told, and the next one is read (%i bytes)', (bytes) => {
    for (const cut of [whole, bytewise]) {
      const { messages, long, ids, problems } = read(cut(big(bytes) + eventOf('after')), { maxBytes: 1000 })
      expect(long).toHaveLength(1)
      expect(long[0]?.head).toMatch(/^\{"jsonrpc":"2.0","id":3,"result":/)
      expect(long[0]?.tail).toMatch(/é"\}\}$/)
      expect(ids).toEqual(['7'])
      expect(messages).toEqual([note('after')])
      expect(problems).toEqual([])
    }
  })

  test('ends the stream where nobody can do without it', () => {
    for (const bytes of [1100, 50_000]) {
      const { problems } = read(whole(big(bytes)), { maxBytes: 1000, skip: false })
      expect(problems).toEqual(['sent a message of more than 1000 bytes, which is the limit'])
    }
  })

  test('exactly at the limit is none', () => {
    const data = JSON.stringify(note('é'.repeat(1000)))
    const limit = Buffer.byteLength(data)
    expect(read(whole(`data: ${data}\n\n`), { maxBytes: limit }).messages).toHaveLength(1)
    expect(read(whole(`data: ${data}\n\n`), { maxBytes: limit - 1 }).messages).toHaveLength(0)
  })
})

describe('what is held', () => {
  const LIMIT = 10_000
  /** The limit, the frame of an event and the chunk that went over it; in memory it may be twice as much. */
  const MOST = 2 * (LIMIT + 1024 + 1000)

  test.each([
    ['an event that never ends', () => `data: ${'x'.repeat(994)}\n`],
    ['a line that never ends', () => 'x'.repeat(1000)],
    ['data drop by drop among comments', () => `data: xxxxxxxxxxxxxxxx\n:${'y'.repeat(900)}\n`],
    ['a type that never ends', (first: boolean) => `${first ? 'event: ' : ''}${'x'.repeat(900)}`],
  ])('is bounded: %s', (_what, chunkOf) => {
    const chunks = Array.from({ length: 500 }, (_, index) => Buffer.from(chunkOf(index === 0)))
    const { held, messages } = read([...chunks, ...whole(`\n\n${eventOf('after')}`)], { maxBytes: LIMIT })
    expect(held).toBeGreaterThan(LIMIT / 2)
    expect(held).toBeLessThan(MOST)
    expect(messages).toEqual([note('after')])
  })

  test('comments alone are not held, with empty lines between them or without', () => {
    for (const comment of [': ping\n', ': ping\n\n', ': ping\r\n']) {
      const { held, messages, long } = read(
        [...Array.from({ length: 5000 }, () => Buffer.from(comment)), ...whole(eventOf('after'))],
        { maxBytes: 1000 },
      )
      expect(held).toBeLessThan(10)
      expect(messages).toEqual([note('after')])
      expect(long).toEqual([])
    }
  })
})
