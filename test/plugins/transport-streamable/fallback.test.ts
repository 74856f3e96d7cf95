import { describe, expect, test } from 'vitest'
import transportStreamable from '../../../plugins/transport-streamable/index.ts'
import { clientOf, failureOf, ok } from '../../fixtures/transport/client.ts'
import { initialize, recorder, toolCall, until } from '../../fixtures/transport/context.ts'
import { json, stream, type Handler } from '../../fixtures/transport/http-server.ts'

const { start, listen, connect } = clientOf(transportStreamable())
const typed = clientOf(transportStreamable(), { type: 'http' })

/** A server of 2024-11-05 that refuses POSTs to its stream's URL with `status`. */
function older(status: number): Handler {
  let say: (message: object) => void = () => {}
  return ({ method, path, body }, response) => {
    if (path === '/say') {
      response.writeHead(202).end()
      return say(ok(body.id, { protocolVersion: '2024-11-05' }))
    }
    if (method !== 'GET') return void response.writeHead(status).end('no')
    say = (data) => stream(response, { data })
    stream(response)
    response.write('event: endpoint\ndata: /say\n\n')
  }
}

describe('an entry without a type', () => {
  test.each([400, 404, 405])('%i to the first POST: HTTP+SSE at the same URL', async (status) => {
    const { connection, requests, lines } = await start(older(status), { 'X-Key': 'k' })
    await initialize(connection)
    expect(await connection.request(toolCall('x'), recorder().exchange)).toMatchObject({ result: {} })
    expect(requests.map(({ method, path }) => `${method} ${path}`).slice(0, 3)).toEqual([
      'POST /mcp?key=hidden',
      'GET /mcp?key=hidden',
      'POST /say',
    ])
    expect(requests.every(({ headers }) => headers['x-key'] === 'k')).toBe(true)
    expect(connection.perRequestStream).toBe(false)
    expect(lines.join('\n')).not.toContain('hidden')
  })

  test.each([401, 403, 500, 503])('%i is no reason', async (status) => {
    const { connection, requests } = await start(older(status))
    expect(await failureOf(initialize(connection))).toMatchObject({ status })
    expect(requests.map(({ method }) => method)).toEqual(['POST'])
  })

  test('an error for the request itself is its answer, whatever the status', async () => {
    const { connection, requests } = await start(({ body }, response) =>
      json(response, { jsonrpc: '2.0', id: body.id, error: { code: -32602, message: 'no such version' } }, 400),
    )
    const call = { ...toolCall('x'), method: 'initialize' }
    expect(await connection.request(call, recorder('').exchange)).toMatchObject({ error: { code: -32602 } })
    expect(requests).toHaveLength(1)
  })

  test('neither of both: one message has both reasons', async () => {
    const { connection } = await start(({ method }, response) => {
      response.writeHead(method === 'POST' ? 404 : 503).end(`no ${method}`)
    })
    const error = await failureOf(initialize(connection))
    expect(error).toMatchObject({ status: 404 })
    expect(error.message).toMatch(/server "x".*404 Not Found: no POST; and as the older HTTP\+SSE: .*503.*no GET/)
    expect(error.message).not.toContain('hidden')
  })

  test('other requests than the first decide nothing, nor does the first once it was answered', async () => {
    const { connection, requests } = await start(({ method, body }, response) => {
      if (method === 'POST' && body.method === 'initialize') return json(response, ok(body.id))
      response.writeHead(405).end()
    })
    expect(await failureOf(connection.request(toolCall('early'), recorder().exchange))).toMatchObject({ status: 405 })
    const hello = { ...toolCall('x'), method: 'initialize' }
    await connection.request(hello, recorder('').exchange)
    expect(await failureOf(connection.request(toolCall('late'), recorder().exchange))).toMatchObject({ status: 405 })
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'POST', 'POST'])
  })

  test('every connection finds out anew', async () => {
    let handler = older(405)
    const server = await listen((seen, response) => handler(seen, response))
    const first = await connect(server.url)
    await initialize(first.connection)
    expect(first.connection.perRequestStream).toBe(false)
    handler = ({ method, body }, response) => {
      if (method !== 'POST' || body.id === undefined) return void response.writeHead(202).end()
      json(response, ok(body.id))
    }
    const second = await connect(server.url)
    await initialize(second.connection)
    expect(second.connection.perRequestStream).toBe(true)
  })

  test('the end of the older stream is the end of the connection', async () => {
    const server = await listen(older(405))
    const { connection } = await connect(server.url)
    await initialize(connection)
    server.server.closeAllConnections()
    expect(await connection.closed).toMatchObject({ lost: true })
  })

  test('closed while it looks for the older transport: nothing stays open', async () => {
    const server = await listen(({ method }, response) => {
      if (method === 'POST') return void response.writeHead(404).end()
      stream(response)
    })
    const { connection } = await connect(server.url)
    const failure = failureOf(initialize(connection))
    await until(() => server.requests.some(({ method }) => method === 'GET'))
    await connection.close()
    expect(await failure).toMatchObject({ name: 'ConnectionError' })
    expect(await connection.closed).toBeUndefined()
    while ((await server.sockets()) > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  })

  test('the client’s patience ends the search', async () => {
    const server = await listen(({ method }, response) => {
      if (method === 'POST') return void response.writeHead(404).end()
      stream(response)
    })
    const { connection } = await connect(server.url)
    const stop = new AbortController()
    const hello = { ...toolCall('x'), method: 'initialize' }
    const failure = failureOf(connection.request(hello, recorder('', { signal: stop.signal }).exchange))
    await until(() => server.requests.some(({ method }) => method === 'GET'))
    stop.abort()
    expect((await failure).message).toMatch(/404.*HTTP\+SSE.*had not named its endpoint/)
  })
})

test('an entry with a type never falls back', async () => {
  const { connection, requests } = await typed.start(older(405))
  expect(await failureOf(initialize(connection))).toMatchObject({ status: 405 })
  expect(requests).toHaveLength(1)
})
