import { describe, expect, test } from 'vitest'
import transportStreamable from '../../../plugins/transport-streamable/index.ts'
import { clientOf, failureOf, ok } from '../../fixtures/transport/client.ts'
import { initialize, recorder, toolCall, until } from '../../fixtures/transport/context.ts'
import { json, stream, withSession, type Handler } from '../../fixtures/transport/http-server.ts'

const { start, listen } = clientOf(transportStreamable(), { type: 'http' })

/** Sends everything at `/mcp` on to `/mcp/`, where `handler` is. */
const sendOn =
  (status: number, handler: Handler, location = '/mcp/?key=hidden'): Handler =>
  (seen, response) => {
    if (!seen.path.startsWith('/mcp?')) return handler(seen, response)
    response.writeHead(status, { location }).end('moved')
  }
const answer: Handler = ({ body }, response) => json(response, ok(body.id))

describe('a redirect within the origin', () => {
  test.each([307, 308])('%i: a POST is repeated as it was', async (status) => {
    const { connection, requests } = await start(sendOn(status, answer), { Authorization: 'Bearer k' })
    const call = toolCall('x', { text: 'é' })
    expect(await connection.request(call, recorder().exchange)).toEqual(ok(call.id))
    expect(requests.map(({ path }) => path)).toEqual(['/mcp?key=hidden', '/mcp/?key=hidden'])
    expect(requests[1]).toMatchObject({ method: 'POST', body: call, headers: { authorization: 'Bearer k' } })
  })

  test('to a relative path', async () => {
    const { connection, requests } = await start(sendOn(307, answer, 'elsewhere/mcp'))
    await connection.request(toolCall('x'), recorder().exchange)
    expect(requests[1]?.path).toBe('/elsewhere/mcp')
  })

  test.each([301, 302, 303])('%i: a POST is not repeated, and not turned into a GET', async (status) => {
    const { connection, requests } = await start(sendOn(status, answer))
    const error = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    // 303 says that something was done.
    expect(error).toMatchObject({ status, delivered: status === 303, lost: false })
    expect(error.message).toMatch(/redirects \(30\d\) to http:\/\/127\.0\.0\.1:\d+\/mcp\/; update "url"$/)
    expect(requests).toHaveLength(1)
  })

  test.each([301, 302, 303, 307, 308])('%i: the GET stream follows', async (status) => {
    const update = { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'one' } }
    const handler = withSession(() => {}, { GET: (_seen, response) => stream(response, { data: update }) })
    const { connection } = await start((seen, response) =>
      (seen.method === 'GET' ? sendOn(status, handler) : handler)(seen, response),
    )
    const heard: string[] = []
    connection.onmessage = ({ method }) => heard.push(method)
    await initialize(connection)
    await until(() => heard.length > 0)
    expect(heard).toEqual(['notifications/resources/updated'])
  })

  test('the session id is the one that the last answer has', async () => {
    const handler = sendOn(
      307,
      withSession(({ body }, response) => json(response, ok(body.id))),
    )
    const { connection, requests } = await start(handler)
    await initialize(connection)
    await connection.request(toolCall('x'), recorder().exchange)
    await connection.close()
    expect(requests.at(-1)).toMatchObject({ method: 'DELETE', path: '/mcp/?key=hidden' })
    expect(requests.at(-1)?.headers['mcp-session-id']).toBe('session-1')
  })

  test('in a loop is followed five times, and named', async () => {
    const { connection, requests } = await start(({ path }, response) => {
      response.writeHead(307, { location: path.startsWith('/mcp') ? '/other?key=hidden' : '/mcp?key=hidden' }).end()
    })
    const error = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(error).toMatchObject({ status: 307, delivered: false, lost: false })
    expect(error.message).toContain('redirects in a loop (more than 5 times: /mcp → /other → /mcp → ')
    expect(error.message).not.toContain('hidden')
    expect(requests).toHaveLength(6)
  })

  test('whose own body never ends holds nobody up', async () => {
    const { connection } = await start((seen, response) => {
      if (!seen.path.startsWith('/mcp?')) return answer(seen, response)
      response.writeHead(307, { location: '/mcp/' }).write('moved, that is to say')
    })
    await connection.request(toolCall('x'), recorder().exchange)
  })

  test('without a place to go', async () => {
    const { connection } = await start((_seen, response) => response.writeHead(307).end())
    const error = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(error.message).toContain('redirects (307); update "url"')
  })
})

describe('a redirect to another origin', () => {
  test.each([
    ['a URL', (origin: string) => `${origin}/mcp?key=hidden`],
    ['a host', (origin: string) => `${origin.replace('http:', '')}/mcp?key=hidden`],
  ])('is refused, and its target hears nothing: %s', async (_what, locationOf) => {
    const other = await listen(answer)
    const { connection } = await start(
      (_seen, response) => response.writeHead(307, { location: locationOf(other.origin) }).end(),
      { Authorization: 'Bearer k' },
    )
    const error = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(error).toMatchObject({ status: 307, delivered: false })
    expect(error.message).toContain(`redirects (307) to ${other.origin}/mcp; update "url"`)
    expect(error.message).not.toContain('hidden')
    expect(other.requests).toEqual([])
  })

  test.each(['https://127.0.0.1/mcp', 'javascript:alert(1)', 'file:///etc/passwd', 'http://[bad'])(
    '%s is none to follow',
    async (location) => {
      const { connection, requests } = await start((_seen, response) => response.writeHead(308, { location }).end())
      expect(await failureOf(connection.request(toolCall('x'), recorder().exchange))).toMatchObject({ status: 308 })
      expect(requests).toHaveLength(1)
    },
  )
})
