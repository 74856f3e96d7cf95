import assert from 'node:assert/strict'
import { eventually, type Check } from '../contract.ts'
import { ask, begun, failureOf, fateOf, type Bench } from './bench.ts'
import { recorder, toolCall } from './exchange.ts'

/** How requests and connections end before their time. */
export function ends(check: Check<Bench>): void {
  check('abort ends the wait and nothing else', async ({ connect }) => {
    const connection = await connect()
    const stop = new AbortController()
    const { exchange } = recorder('alice', stop.signal)
    const slow = begun(failureOf(connection.request(toolCall('sleep', { ms: 60_000 }), exchange)))
    const other = begun(ask(connection, 'sleep', { ms: 100 }))
    stop.abort()
    assert.equal((await slow).lost, false)
    assert.equal(await other, 'slept 100')
    const late = await failureOf(connection.request(toolCall('echo'), exchange))
    assert.equal(late.delivered, false)
  })

  check('close() ends what is in flight, twice is once, and nothing passes afterwards', async ({ connect }) => {
    const connection = await connect()
    const slow = begun(failureOf(connection.request(toolCall('sleep', { ms: 60_000 }), recorder().exchange)))
    await Promise.all([connection.close(), connection.close()])
    assert.deepEqual(fateOf(await slow), { delivered: true, lost: true })
    assert.equal(await connection.closed, undefined)
    const late = await failureOf(connection.request(toolCall('echo'), recorder().exchange))
    assert.deepEqual(fateOf(late), { delivered: false, lost: true })
    const note = await failureOf(connection.send({ jsonrpc: '2.0', method: 'notifications/cancelled' }))
    assert.deepEqual(fateOf(note), { delivered: false, lost: true })
    await connection.close()
  })

  check('a server that dies fails what is in flight', async ({ connect }) => {
    const connection = await connect()
    const failure = await failureOf(connection.request(toolCall('die'), recorder().exchange))
    assert.equal(failure.delivered, true)
    // A pooled socket whose end has not been noticed yet may still take one request: not for long.
    await eventually(async () => {
      const next = await failureOf(connection.request(toolCall('echo'), recorder().exchange))
      assert.equal(next.delivered, false)
    })
  })
}
