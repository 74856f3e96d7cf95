import assert from 'node:assert/strict'
import type { Check } from '../contract.ts'
import { ask, failureOf, fateOf, type Bench } from './bench.ts'
import { recorder, textOf, toolCall } from './exchange.ts'

/** Requests and their responses. */
export function answers(check: Check<Bench>, limit: boolean): void {
  check('answers a request', async ({ connect }) => {
    const connection = await connect()
    const call = toolCall('echo', { text: 'hello' })
    const response = await connection.request(call, recorder().exchange)
    assert.equal(response.jsonrpc, '2.0')
    assert.equal(response.id, call.id)
    assert.equal(textOf(response), 'hello')
  })

  check('keeps every character', async ({ connect }) => {
    const text = 'é ☃ 𝕌 \u2028 \u0000 "\\ \r\n end'
    assert.equal(await ask(await connect(), 'echo', { text }), text)
  })

  check('answers many at once, out of order', async ({ connect }) => {
    const connection = await connect()
    const order: number[] = []
    const sleep = async (ms: number): Promise<unknown> => {
      const text = await ask(connection, 'sleep', { ms })
      order.push(ms)
      return text
    }
    const delays = [300, 200, 100, 0]
    const texts = await Promise.all(delays.map(sleep))
    assert.deepEqual(
      texts,
      delays.map((ms) => `slept ${ms}`),
    )
    assert.deepEqual(order, [0, 100, 200, 300])
  })

  check('carries a result of 10 MB', async ({ connect }) => {
    const bytes = 10 * 1024 * 1024
    const text = String(await ask(await connect(), 'big', { bytes }))
    assert.equal(Buffer.byteLength(text), bytes)
    assert.equal(text.replaceAll('é', ''), '')
  })

  check('relays the server’s error untouched', async ({ connect }) => {
    const connection = await connect()
    const response = await connection.request(toolCall('fail'), recorder().exchange)
    assert.ok('error' in response)
    assert.equal(response.error.code, -32_602)
    assert.deepEqual(response.error.data, { hint: 'ü' })
  })

  if (!limit) return
  check('a message over the limit fails its request, not the connection', async ({ connect }) => {
    const connection = await connect({ maxMessageBytes: 100_000 })
    const failure = await failureOf(connection.request(toolCall('big', { bytes: 300_000 }), recorder().exchange))
    assert.deepEqual(fateOf(failure), { delivered: true, lost: false })
    assert.match(failure.message, /100000/)
    assert.equal(await ask(connection, 'echo', { text: 'still here' }), 'still here')
  })
}
