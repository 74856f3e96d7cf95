import { describe, expect, test } from 'vitest'
import transportStreamable from '../../../plugins/transport-streamable/index.ts'
import { clientOf, failureOf, ok } from '../../fixtures/transport/client.ts'
import { recorder, toolCall, until } from '../../fixtures/transport/context.ts'
import { json, stream, type Handler } from '../../fixtures/transport/http-server.ts'

const { start } = clientOf(transportStreamable(), { type: 'http' })
const HEADERS = { 'content-type': 'application/json' }

/** Misbehaves for the call named `bad`, and answers all others. */
const unless =
  (bad: Handler): Handler =>
  (seen, response) =>
    seen.body?.params?.name === 'bad' ? bad(seen, response) : json(response, ok(seen.body?.id))

describe('a server that does too much or too little costs only the call that it is asked for', () => {
  test('a flood on a call’s stream: all of it arrives, in order, others are answered meanwhile', async () => {
    const NOTES = 50_000
    const note = (n: number) => `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"n":${n}}}\n\n`
    let goOn: () => void = () => {}
    const { connection } = await start(
      unless(({ body }, response) => {
        const pour = (from: number, to: number) => {
          for (let n = from; n < to; n++) response.write(note(n))
        }
        stream(response)
        pour(0, NOTES / 2)
        goOn = () => {
          pour(NOTES / 2, NOTES)
          response.end(`data: ${JSON.stringify(ok(body.id))}\n\n`)
        }
      }),
    )
    const { exchange, messages } = recorder()
    const flood = connection.request(toolCall('bad'), exchange)
    await until(() => messages.length > 0)
    await connection.request(toolCall('good'), recorder().exchange)
    goOn()
    await flood
    expect(messages.map(({ params }) => params?.n)).toEqual(Array.from({ length: NOTES }, (_, n) => n))
  })

  test('an answer that comes byte by byte', async () => {
    const { connection } = await start(
      unless(({ body }, response) => {
        response.writeHead(200, HEADERS)
        const bytes = Buffer.from(JSON.stringify(ok(body.id, { text: 'é' })))
        let at = 0
        const drip = setInterval(() => {
          response.write(bytes.subarray(at, ++at))
          if (at < bytes.length) return
          clearInterval(drip)
          response.end()
        }, 1)
      }),
    )
    const call = toolCall('bad')
    const slow = connection.request(call, recorder().exchange)
    await connection.request(toolCall('good'), recorder().exchange)
    expect(await slow).toEqual(ok(call.id, { text: 'é' }))
  })

  test.each([
    ['an event', 'text/event-stream', 'data: {"jsonrpc":"2.0","resu'],
    ['an answer', 'application/json', '{"jsonrpc":"2.0","resu'],
  ])('stops in the middle of %s: the call can be given up, nothing stays open', async (_what, type, half) => {
    let closed = false
    const { connection, requests } = await start(
      unless((_seen, response) => {
        response.on('close', () => (closed = true))
        response.writeHead(200, { 'content-type': type }).write(half)
      }),
    )
    const stop = new AbortController()
    const stalled = failureOf(connection.request(toolCall('bad'), recorder('alice', { signal: stop.signal }).exchange))
    await until(() => requests.length === 1)
    await connection.request(toolCall('good'), recorder().exchange)
    stop.abort()
    expect(await stalled).toMatchObject({ delivered: true, lost: false })
    await until(() => closed)
  })

  test.each([
    ['an event', 'text/event-stream', 'data: {"jsonrpc":"2.0","resu'],
    ['an answer', 'application/json', '{"jsonrpc":"2.0","resu'],
  ])('half-closes in the middle of %s: an error', async (_what, type, half) => {
    const { connection } = await start(
      unless((_seen, response) => {
        response.writeHead(200, { 'content-type': type }).write(half)
        setTimeout(() => response.socket?.end(), 20)
      }),
    )
    const failure = failureOf(connection.request(toolCall('bad'), recorder().exchange))
    expect(await failure).toMatchObject({ delivered: true, lost: false })
    await connection.request(toolCall('good'), recorder().exchange)
  })

  test('never ends to explain its refusal: what it has said must do', async () => {
    const { connection } = await start(unless((_seen, response) => void response.writeHead(500).write('it is')))
    const error = await failureOf(connection.request(toolCall('bad'), recorder().exchange))
    expect(error).toMatchObject({ status: 500, message: expect.stringMatching(/500 Internal Server Error: it is$/) })
  })

  test('refuses at length: no more than the beginning is read', async () => {
    const { connection } = await start(unless((_seen, response) => response.writeHead(500).end('x'.repeat(3_000_000))))
    const error = await failureOf(connection.request(toolCall('bad'), recorder().exchange))
    expect(error.message.length).toBeLessThan(400)
  })

  test('takes no answers to its questions: those on their way are few, and those that wait bounded', async () => {
    let taken = 0
    const { connection } = await start(
      ({ body }, response) => (body.method === undefined ? void taken++ : json(response, ok(body.id))),
      {},
      { maxMessageBytes: 100_000 },
    )
    const result = { text: 'x'.repeat(10_000) }
    const sent = Array.from({ length: 100 }, (_, id) => failureOf(connection.send({ jsonrpc: '2.0', id, result })))
    // 32 are on their way, 9 wait; the others know at once.
    const refused = await Promise.all(sent.slice(41))
    expect(new Set(refused.map(({ delivered, lost }) => `${delivered} ${lost}`))).toEqual(new Set(['false false']))
    await until(() => taken === 32)
    await connection.request(toolCall('good'), recorder().exchange)
    expect(taken).toBe(32)
    await connection.close()
    await Promise.all(sent)
  })
})
