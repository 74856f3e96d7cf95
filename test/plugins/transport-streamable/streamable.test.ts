import { describe, expect, test } from 'vitest'
import type { TransportContext } from '../../../core/index.ts'
import transportStreamable, { entrySchema } from '../../../plugins/transport-streamable/index.ts'
import { clientOf, failureOf, ok } from '../../fixtures/transport/client.ts'
import { initialize, recorder, toolCall, until } from '../../fixtures/transport/context.ts'
import { json, serve, stream, withSession, type Handler } from '../../fixtures/transport/http-server.ts'
import { adapterOf } from '../../fixtures/transport/start.ts'

const { connect, start } = clientOf(transportStreamable())

describe('requests', () => {
  test('a JSON answer and an event stream are one', async () => {
    const { connection } = await start(({ body }, response) => {
      if (body.params.name === 'json') return json(response, ok(body.id))
      stream(response, { data: ok(body.id) })
      response.end()
    })
    for (const name of ['json', 'stream']) {
      const call = toolCall(name)
      expect(await connection.request(call, recorder().exchange)).toEqual(ok(call.id))
    }
  })

  test('headers: protocol, session, version, those of the configuration and of the exchange', async () => {
    const { connection, requests, lines } = await start(
      withSession(({ body }, response) => json(response, ok(body.id))),
      { Authorization: 'Bearer hidden', Accept: 'nonsense' },
    )
    await initialize(connection)
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-name': 'echo' }
    await connection.request(toolCall('echo'), recorder('alice', { headers }).exchange)
    await connection.close()
    const post = requests.find(({ body }) => body?.method === 'tools/call')
    expect(post?.headers).toMatchObject({
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      authorization: 'Bearer hidden',
      'mcp-session-id': 'session-1',
      'mcp-protocol-version': '2026-07-28',
      'mcp-name': 'echo',
    })
    expect(requests[0]?.headers).not.toHaveProperty('mcp-session-id')
    const initialized = requests.find(({ body }) => body?.method === 'notifications/initialized')
    expect(initialized?.headers).toMatchObject({ 'mcp-session-id': 'session-1', 'mcp-protocol-version': '2025-06-18' })
    expect(requests.find(({ method }) => method === 'DELETE')?.headers['mcp-session-id']).toBe('session-1')
    expect(lines.join('\n')).not.toContain('hidden')
  })

  test('everything on a request’s own stream is that request’s, with however many parties', async () => {
    const { connection } = await start(({ body }, response) => {
      if (body.params.name === 'plain') return json(response, ok(body.id))
      const ask = { jsonrpc: '2.0', id: 1, method: 'elicitation/create' }
      const change = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' }
      stream(response, { data: ask }, { data: change }, { data: ok(body.id) }, { data: change })
      response.end()
    })
    await connection.request(toolCall('plain'), recorder('bob').exchange)
    const { exchange, messages } = recorder('alice')
    await connection.request(toolCall('asks'), exchange)
    expect(messages.map(({ method }) => method)).toEqual(['elicitation/create', 'notifications/tools/list_changed'])
  })

  test('a server slower than its own keep-alive, and pauses longer than it', async () => {
    const { connection, server } = await start(({ body }, response) => {
      setTimeout(() => json(response, ok(body.id)), 150)
    })
    server.keepAliveTimeout = 50
    for (let round = 0; round < 3; round++) {
      await connection.request(toolCall('x'), recorder().exchange)
      await new Promise((resolve) => setTimeout(resolve, 120))
    }
  })

  test('a stream that stays open after its response is not waited for', async () => {
    const { connection } = await start(({ body }, response) => stream(response, { data: ok(body.id) }))
    const call = toolCall('x')
    expect(await connection.request(call, recorder().exchange)).toEqual(ok(call.id))
  })

  test('an abort closes the stream', async () => {
    let closed = false
    const { connection, requests } = await start((_seen, response) => {
      response.on('close', () => (closed = true))
      stream(response)
    })
    const stop = new AbortController()
    const failure = failureOf(connection.request(toolCall('x'), recorder('alice', { signal: stop.signal }).exchange))
    await until(() => requests.length > 0)
    stop.abort()
    expect(await failure).toMatchObject({ delivered: true, lost: false })
    await until(() => closed)
  })
})

describe('failures', () => {
  async function failure(handler: Handler, overrides?: Partial<TransportContext>): Promise<any> {
    const { connection } = await start(handler, {}, overrides)
    const error: any = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(error.message).toContain('server "x"')
    expect(error.message).not.toContain('hidden')
    return error
  }

  test('nobody listens', async () => {
    const server = await serve(() => {})
    await server.close()
    const { connection } = await connect(server.url)
    const error = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(error).toMatchObject({
      delivered: false,
      lost: false,
      message: expect.stringContaining('connection refused'),
    })
    expect(String(error)).not.toContain('hidden')
    expect(await failureOf(connection.send({ jsonrpc: '2.0', method: 'x' }))).toMatchObject({ delivered: false })
  })

  test('no such host', async () => {
    const { connection } = await connect('http://no-such-host.invalid/mcp')
    const error = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(error).toMatchObject({ delivered: false, lost: false })
  })

  test.each([401, 403])('%i brings the challenge', async (status) => {
    const challenge = 'Bearer resource_metadata="https://x.test/prm"'
    const error = await failure((_seen, response) => {
      response.writeHead(status, { 'www-authenticate': challenge }).end()
    })
    expect(error).toMatchObject({ status, challenge, delivered: false, lost: false })
  })

  test('500 with a text', async () => {
    const error = await failure((_seen, response) =>
      response.writeHead(500).end(`out of\n\u001b[31m cheese ${'x'.repeat(5000)}`),
    )
    expect(error).toMatchObject({ status: 500, delivered: true, lost: false })
    expect(error.message).toMatch(/answered 500 Internal Server Error: out of \[31m cheese x+…$/)
    expect(error.message.length).toBeLessThan(400)
  })

  test('a JSON-RPC error for somebody else is told, one for us is the response', async () => {
    const body = { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'no cheese' } }
    expect((await failure((_seen, response) => json(response, body, 400))).message).toContain(
      '400 Bad Request: no cheese',
    )
    const { connection } = await start((seen, response) => json(response, { ...body, id: seen.body.id }, 400))
    const response = await connection.request(toolCall('x'), recorder().exchange)
    expect(response).toMatchObject({ error: { message: 'no cheese' } })
  })

  test('a redirect to another origin is not followed', async () => {
    const error = await failure((_seen, response) => {
      response.writeHead(308, { location: 'https://new.test/mcp?token=hidden' }).end()
    })
    expect(error).toMatchObject({ status: 308, delivered: false })
    expect(error.message).toContain('redirects (308) to https://new.test/mcp; update "url"')
  })

  test('a page that is no MCP endpoint', async () => {
    const error = await failure((_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>hello</h1>')
    })
    expect(error).toMatchObject({ delivered: true, lost: false, message: expect.stringContaining('text/html') })
  })

  test('202 for a request', async () => {
    expect((await failure((_seen, response) => response.writeHead(202).end())).message).toContain('with nothing')
  })

  test.each(['application/json', 'text/event-stream'])('a message over the limit as %s', async (type) => {
    const error = await failure(
      ({ body }, response) => {
        response.writeHead(200, { 'content-type': type })
        response.end(`data: ${JSON.stringify(ok(body.id, { text: 'é'.repeat(60_000) }))}\n\n`)
      },
      { maxMessageBytes: 100_000 },
    )
    expect(error).toMatchObject({ delivered: true, lost: false, message: expect.stringContaining('100000') })
  })

  test('an event that never ends is cut at the limit', async () => {
    const error = await failure(
      (_seen, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const timer = setInterval(() => response.write(`data: ${'x'.repeat(50_000)}\n`), 1)
        response.on('close', () => clearInterval(timer))
      },
      { maxMessageBytes: 200_000 },
    )
    expect(error).toMatchObject({ delivered: true, message: expect.stringContaining('200000') })
  })

  test.each([
    [404, 'gone'],
    [400, JSON.stringify({ jsonrpc: '2.0', error: { code: -32000, message: 'No valid session ID' }, id: null })],
  ])('%i for a session: the connection is lost', async (status, text) => {
    const { connection } = await start(withSession((_seen, response) => response.writeHead(status).end(text)))
    await initialize(connection)
    const error = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(error).toMatchObject({ status, delivered: false, lost: true })
    expect(await connection.closed).toMatchObject({ lost: true })
    const late = await failureOf(connection.request(toolCall('x'), recorder().exchange))
    expect(late).toMatchObject({ delivered: false, lost: true })
  })

  test('404 without a session is no lost session', async () => {
    expect(await failure((_seen, response) => response.writeHead(404).end())).toMatchObject({
      status: 404,
      lost: false,
    })
  })
})

describe('the stream for what belongs to no request', () => {
  test('405: there is none, quietly', async () => {
    const { connection, lines, requests } = await start(
      withSession(({ body }, response) => json(response, ok(body.id))),
    )
    await initialize(connection)
    await until(() => lines.some((line) => line.includes('405')))
    expect(lines.filter((line) => !line.startsWith('debug'))).toEqual([])
    await connection.request(toolCall('x'), recorder().exchange)
    expect(requests.filter(({ method }) => method === 'GET')).toHaveLength(1)
  })

  test('brings messages, comes back where it ended, and ends with the session', async () => {
    const update = (uri: string) => ({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } })
    const { connection, requests } = await start(
      withSession(() => {}, {
        GET({ headers }, response) {
          const last = headers['last-event-id']
          if (last === '2') return void response.writeHead(404).end()
          if (last === '1') stream(response, { id: '2', data: update('two') })
          else stream(response, { id: '1', data: update('one') })
          response.end()
        },
      }),
    )
    const uris: unknown[] = []
    connection.onmessage = ({ params }) => uris.push(params?.uri)
    await initialize(connection)
    expect(await connection.closed).toMatchObject({ lost: true, status: 404 })
    expect(uris).toEqual(['one', 'two'])
    const gets = requests.filter(({ method }) => method === 'GET').map(({ headers }) => headers['last-event-id'])
    expect(gets).toEqual([undefined, '1', '2'])
  })
})

describe('entries', () => {
  test.each([
    { url: 'ftp://x.test/' },
    { url: 'no url' },
    { url: 'http://user:hidden@x.test/' },
    { url: 'http://x.test/', headers: { 'no name': 'x' } },
    { url: 'http://x.test/', headers: { Host: 'x' } },
    { url: 'http://x.test/', headers: { A: 'hid\nden' } },
    { url: 'http://x.test/', type: 'sse' },
  ])('refused: %j', (entry) => {
    const { success, error } = entrySchema.safeParse(entry)
    expect(success).toBe(false)
    expect(JSON.stringify(error?.issues)).not.toMatch(/hid/)
  })

  test('are described without query', async () => {
    const adapter = await adapterOf(transportStreamable())
    expect(adapter.describe?.({ url: 'https://x.test/a/mcp?key=hidden#x' })).toBe('https://x.test/a/mcp')
  })
})
