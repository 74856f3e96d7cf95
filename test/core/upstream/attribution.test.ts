import { describe, expect, test } from 'vitest'
import { createAttribution } from '../../../core/upstream/attribution.ts'
import type { Exchange } from '../../../core/transport.ts'
import type { JsonObject } from '../../../core/wire/jsonrpc.ts'

const exchange = (party: string): Exchange => ({ party, onmessage: () => {} })
const note = (method: string, params?: JsonObject) => ({ jsonrpc: '2.0' as const, method, ...(params && { params }) })
const ask = (id: number) => ({ jsonrpc: '2.0' as const, id, method: 'elicitation/create' })
const log = note('notifications/message', { level: 'info' })
const progress = (progressToken: string | number) => note('notifications/progress', { progressToken, progress: 1 })

describe('progress', () => {
  test('goes by token, whoever else is there', () => {
    const attribution = createAttribution()
    const [alice, bob] = [exchange('alice'), exchange('bob')]
    attribution.open(1, alice)
    attribution.open('2', bob)
    expect(attribution.route(progress(1))).toBe(alice)
    expect(attribution.route(progress('2'))).toBe(bob)
  })

  test('is dropped when nobody has the token, or nobody has it any more', () => {
    const attribution = createAttribution()
    const close = attribution.open(1, exchange('alice'))
    expect(attribution.route(progress('1'))).toBe('dropped')
    expect(attribution.route(progress(9))).toBe('dropped')
    expect(attribution.route(note('notifications/progress'))).toBe('dropped')
    close()
    expect(attribution.route(progress(1))).toBe('dropped')
  })
})

test('messages of a listen stream go by its id', () => {
  const attribution = createAttribution()
  const [listen, other] = [exchange('alice'), exchange('bob')]
  attribution.open(5, listen)
  attribution.open(6, other)
  const tagged = (id: number) =>
    note('notifications/tools/list_changed', { _meta: { 'io.modelcontextprotocol/subscriptionId': id } })
  expect(attribution.route(tagged(5))).toBe(listen)
  expect(attribution.route(tagged(7))).toBe('dropped')
})

test.each([
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
])('%s is nobody’s', (method) => {
  const attribution = createAttribution()
  attribution.open(1, exchange('alice'))
  expect(attribution.route(note(method))).toBe('nobody')
})

describe('asks and logs', () => {
  test('go to the newest open exchange of the only party', () => {
    const attribution = createAttribution()
    const [first, second, third] = [exchange('alice'), exchange('alice'), exchange('alice')]
    attribution.open(1, first)
    const closeSecond = attribution.open(2, second)
    const closeThird = attribution.open(3, third)
    expect(attribution.route(log)).toBe(third)
    closeSecond()
    expect(attribution.route(ask(1))).toBe(third)
    closeThird()
    expect(attribution.route(log)).toBe(first)
  })

  test('are nobody’s when nothing is open', () => {
    const attribution = createAttribution()
    expect(attribution.route(log)).toBe('nobody')
    attribution.open(1, exchange('alice'))()
    expect(attribution.route(ask(1))).toBe('nobody')
  })

  test('are nobody’s for ever once a second party was served', () => {
    const attribution = createAttribution()
    attribution.open(1, exchange('alice'))()
    const close = attribution.open(2, exchange('bob'))
    expect(attribution.route(log)).toBe('nobody')
    close()
    attribution.open(3, exchange('bob'))
    expect(attribution.route(ask(1))).toBe('nobody')
  })

  test('the proxy’s own exchanges are no party, and are never asked', () => {
    const attribution = createAttribution()
    attribution.open(1, exchange(''))
    expect(attribution.route(log)).toBe('nobody')
    const alice = exchange('alice')
    attribution.open(2, alice)
    attribution.open(3, exchange(''))
    expect(attribution.route(log)).toBe(alice)
  })
})

describe('the only party', () => {
  test('is the one that was served, also when nothing of it is open any more', () => {
    const attribution = createAttribution()
    expect(attribution.party).toBeUndefined()
    attribution.open(1, exchange(''))
    expect(attribution.party).toBeUndefined()
    attribution.open(2, exchange('alice'))()
    expect(attribution.party).toBe('alice')
    attribution.open(3, exchange('alice'))
    expect(attribution.party).toBe('alice')
  })

  test('is nobody for ever once a second one was served', () => {
    const attribution = createAttribution()
    attribution.open(1, exchange('alice'))()
    attribution.open(2, exchange('bob'))()
    expect(attribution.party).toBeUndefined()
    attribution.open(3, exchange('alice'))
    expect(attribution.party).toBeUndefined()
  })
})

describe('a question taken back', () => {
  const cancelled = (requestId: number) => note('notifications/cancelled', { requestId })

  test('follows the question, not the newest exchange', () => {
    const attribution = createAttribution()
    const [first, second] = [exchange('alice'), exchange('alice')]
    attribution.open(1, first)
    attribution.route(ask(70))
    attribution.open(2, second)
    expect(attribution.route(cancelled(70))).toBe(first)
  })

  test('is nobody’s once answered, or once its exchange is over', () => {
    const attribution = createAttribution()
    const close = attribution.open(1, exchange('alice'))
    attribution.route(ask(70))
    attribution.route(ask(71))
    attribution.answered(70)
    expect(attribution.route(cancelled(70))).toBe('nobody')
    close()
    expect(attribution.route(cancelled(71))).toBe('nobody')
  })
})
