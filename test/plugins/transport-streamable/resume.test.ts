import { describe, expect, test } from 'vitest'
import { isConnectionError } from '../../../core/index.ts'
import transportStreamable from '../../../plugins/transport-streamable/index.ts'
import { createLink } from '../../../plugins/transport-streamable/link.ts'
import { openRequest } from '../../../plugins/transport-streamable/request.ts'
import { closeSite } from '../../../plugins/transport-sse/index.ts'
import { clientOf, failureOf, ok } from '../../fixtures/transport/client.ts'
import { initialize, recorder, toolCall } from '../../fixtures/transport/context.ts'
import { serve, stream, withSession, type Handler } from '../../fixtures/transport/http-server.ts'

const { start } = clientOf(transportStreamable())

describe('a stream that is cut before the response', () => {
  test('without an event id: failed, perhaps done', async () => {
    const { connection } = await start((_seen, response) => {
      stream(response)
      setTimeout(() => response.destroy(), 20)
    })
    const error = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(error).toMatchObject({ delivered: true, lost: false })
  })

  test.each(['closed', 'broken'])('with an event id: resumed from there (%s)', async (how) => {
    const progress = (n: number) => ({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 1, n },
    })
    let asked: unknown
    const { connection, requests } = await start(
      withSession(
        ({ body }, response) => {
          asked = body.id
          stream(response, { id: 'a', retry: 10 }, { id: 'b', data: progress(1) })
          setTimeout(() => (how === 'closed' ? response.end() : response.destroy()), 20)
        },
        {
          GET({ headers }, response) {
            if (headers['last-event-id'] === undefined) return void response.writeHead(405).end()
            stream(response, { id: 'c', data: progress(2) }, { id: 'd', data: ok(asked) })
            response.end()
          },
        },
      ),
    )
    await initialize(connection)
    const { exchange, messages } = recorder()
    expect(await connection.request(toolCall('x'), exchange)).toMatchObject({ result: { ok: true } })
    expect(messages.map(({ params }) => params?.n)).toEqual([1, 2])
    const resumed = requests.filter(({ headers }) => headers['last-event-id'] !== undefined)
    expect(resumed.map(({ headers }) => [headers['last-event-id'], headers['mcp-session-id']])).toEqual([
      ['b', 'session-1'],
    ])
  })

  test('and cannot be resumed: the status is told', async () => {
    const { connection } = await start(({ method }, response) => {
      if (method === 'GET') return void response.writeHead(405).end()
      stream(response, { id: 'a', retry: 10 })
      response.end()
    })
    const error = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(error).toMatchObject({ delivered: true, lost: false, status: 405 })
  })
})

describe('pauses before a stream is resumed', () => {
  /** Asks once; `handler` gets the server too, so that it can end it. */
  async function pausesOf(handler: (...args: [...Parameters<Handler>, close: () => void]) => void) {
    const pauses: number[] = []
    const server = await serve((seen, response) => handler(seen, response, () => void server.close()))
    const link = createLink({ url: server.url }, 'x', 100_000)
    const { response } = openRequest(link, toolCall('x'), recorder().exchange, async (ms) => void pauses.push(ms))
    const end = await response.catch((error: unknown) => error)
    await closeSite(link)
    if (server.server.listening) await server.close()
    return { pauses, end, gets: server.requests.filter(({ method }) => method === 'GET').length }
  }

  test('are what the server says, the first time at once when it says nothing to the contrary', async () => {
    const { pauses } = await pausesOf(({ method }, response) => {
      if (method === 'GET') return void response.writeHead(405).end()
      stream(response, { id: 'a', retry: 7000 })
      response.end()
    })
    expect(pauses).toEqual([7000])
  })

  test('are never zero', async () => {
    const { pauses } = await pausesOf(({ method }, response) => {
      if (method === 'GET') return void response.writeHead(405).end()
      stream(response, { id: 'a', retry: 1 })
      response.end()
    })
    expect(pauses).toEqual([50])
  })

  test('grow while nothing new comes, and then it is given up', async () => {
    const { pauses, end, gets } = await pausesOf((_seen, response) => {
      stream(response, { id: 'a' })
      response.end()
    })
    expect(gets).toBe(5)
    expect(pauses.map((pause, index) => pause >= 250 * 2 ** index && pause <= 500 * 2 ** index)).toEqual(
      Array.from({ length: 5 }, () => true),
    )
    expect(end).toMatchObject({ delivered: true, lost: false })
  })

  test('are two and no more when the server is gone', async () => {
    const { pauses, end } = await pausesOf((_seen, response, close) => {
      stream(response, { id: 'a' })
      setTimeout(close, 20)
    })
    expect(pauses).toHaveLength(2)
    expect(isConnectionError(end) && end).toMatchObject({
      delivered: true,
      lost: false,
      message: expect.stringMatching(/connection refused.*answer had broken off before/),
    })
  })
})
