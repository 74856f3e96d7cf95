import type { ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { isRequest } from '../../../core/index.ts'
import transportSse, { entrySchema } from '../../../plugins/transport-sse/index.ts'
import { clientOf, failureOf, ok } from '../../fixtures/transport/client.ts'
import { recorder, toolCall, until } from '../../fixtures/transport/context.ts'
import { stream, type Handler, type Seen } from '../../fixtures/transport/http-server.ts'
import { adapterOf } from '../../fixtures/transport/start.ts'

const { connect, listen, start } = clientOf(transportSse())
const accept: Handler = (_seen, response) => response.writeHead(202).end('Accepted')

/** A bare server: names `endpoint`, answers POSTs with `onpost`, and says what it is told to. */
function older(onpost: Handler = accept, endpoint = '/messages?id=1') {
  const streams: ServerResponse[] = []
  const handler: Handler = (seen, response) => {
    if (seen.method !== 'GET') return onpost(seen, response)
    streams.push(response)
    stream(response)
    response.write(`event: endpoint\ndata: ${endpoint}\n\n`)
  }
  const say = (...messages: object[]) => stream(streams.at(-1)!, ...messages.map((data) => ({ data })))
  return { handler, say, streams }
}
/** A server that answers every request on its stream. */
function answering() {
  const server = older((seen, response) => {
    accept(seen, response)
    if (seen.body.method !== undefined) server.say(ok(seen.body.id))
  })
  return server
}
const ask = (connection: { request: any }, name = 'x') => connection.request(toolCall(name), recorder().exchange)
const posts = (requests: readonly Seen[]) => requests.filter(({ method }) => method === 'POST')

describe('the endpoint', () => {
  test.each([
    ['/messages/?session_id=a b', '/messages/?session_id=a%20b'],
    ['messages', '/messages'],
    ['?id=2', '/mcp?id=2'],
  ])('%s is taken as seen from the stream', async (endpoint, path) => {
    const server = answering()
    const named = older((seen, response) => server.handler(seen, response), endpoint)
    server.say = named.say
    const { connection, requests } = await start(named.handler)
    await ask(connection)
    expect(posts(requests).map((seen) => seen.path)).toEqual([path])
  })

  test('is taken as seen from where a redirect led, POSTs follow redirects too', async () => {
    const { handler, say } = older((seen, response) => {
      if (seen.path === '/a/b/post') return void response.writeHead(307, { location: '/elsewhere' }).end()
      accept(seen, response)
      say(ok(seen.body.id))
    }, 'post')
    const { connection, requests } = await start((seen, response) => {
      if (seen.path.startsWith('/mcp')) return void response.writeHead(302, { location: '/a/b/sse' }).end()
      handler(seen, response)
    })
    await ask(connection)
    expect(requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /mcp?key=hidden',
      'GET /a/b/sse',
      'POST /a/b/post',
      'POST /elsewhere',
    ])
  })

  test('may be a whole URL of the same origin', async () => {
    const server = await listen((seen, response) => handler(seen, response))
    const { handler, say } = older((seen, response) => {
      accept(seen, response)
      say(ok(seen.body.id))
    }, `${server.origin}/here?id=1`)
    const { connection } = await connect(server.url)
    await ask(connection)
    expect(posts(server.requests)[0]?.path).toBe('/here?id=1')
  })

  test('at another origin is refused, and that origin hears nothing', async () => {
    const other = await listen(accept)
    for (const endpoint of [`${other.origin}/steal?key=hidden`, `//${other.origin.slice(7)}/steal?key=hidden`]) {
      const error = await failureOf(start(older(accept, endpoint).handler, { Authorization: 'Bearer k' }))
      expect(error.message).toContain(`names an endpoint at another origin (${other.origin}/steal), which is not used`)
      expect(error.message).toContain('server "x"')
      expect(error.message).not.toContain('hidden')
    }
    expect(other.requests).toEqual([])
  })

  test.each(['http://[bad', 'javascript:alert(1)'])('%s is refused', async (endpoint) => {
    expect((await failureOf(start(older(accept, endpoint).handler))).message).toContain('names an endpoint')
  })

  test('is waited for until the signal, and then nothing stays open', async () => {
    const stop = new AbortController()
    const server = await listen((_seen, response) => stream(response))
    const failure = failureOf(connect(server.url, {}, { signal: stop.signal }))
    await until(() => server.requests.length > 0)
    stop.abort()
    expect(await failure).toMatchObject({
      delivered: false,
      lost: true,
      message: expect.stringContaining('had not named its endpoint'),
    })
    while ((await server.sockets()) > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  })

  test('named a second time changes nothing', async () => {
    const server = answering()
    const { connection, requests } = await start(server.handler)
    server.streams[0]?.write('event: endpoint\ndata: /other\n\n')
    server.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
    await new Promise<void>((resolve) => (connection.onmessage = () => resolve()))
    await ask(connection)
    expect(posts(requests)[0]?.path).toBe('/messages?id=1')
  })
})

describe('no connection comes about', () => {
  async function refusalOf(handler: Handler) {
    const server = await listen(handler)
    const error = await failureOf(connect(server.url, { Authorization: 'Bearer hidden' }))
    expect(error.message).toContain('transport-sse: server "x"')
    expect(error.message).not.toContain('hidden')
    while ((await server.sockets()) > 0) await new Promise((resolve) => setTimeout(resolve, 10))
    return error
  }

  test.each([401, 403])('%i brings the challenge', async (status) => {
    const error = await refusalOf((_seen, response) =>
      response.writeHead(status, { 'www-authenticate': 'Bearer' }).end(),
    )
    expect(error).toMatchObject({ status, challenge: 'Bearer', delivered: false })
  })

  test('500 with a text', async () => {
    const error = await refusalOf((_seen, response) => response.writeHead(500).end('out of cheese'))
    expect(error.message).toContain('answered 500 Internal Server Error: out of cheese')
  })

  test('a page that is no event stream', async () => {
    const error = await refusalOf((_seen, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>hello</h1>'),
    )
    expect(error.message).toContain('text/html instead of an event stream')
  })

  test('a stream that ends before it names the endpoint', async () => {
    const error = await refusalOf((_seen, response) => {
      stream(response)
      response.end()
    })
    expect(error.message).toContain('ended its stream')
  })

  test('a redirect to another origin', async () => {
    const error = await refusalOf((_seen, response) =>
      response.writeHead(302, { location: 'http://x.test/sse?key=hidden' }).end(),
    )
    expect(error.message).toContain('redirects (302) to http://x.test/sse; update "url"')
  })

  test('nobody listens', async () => {
    const server = await listen(accept)
    await server.close()
    const error = await failureOf(connect(server.url))
    expect(error).toMatchObject({ delivered: false, message: expect.stringContaining('connection refused') })
  })
})

test('the configured headers are on the stream and on every message, and in no log', async () => {
  const { handler, say } = older((seen, response) => {
    accept(seen, response)
    say(ok(seen.body.id))
  })
  const { connection, requests, lines } = await start(handler, { Authorization: 'Bearer hidden', Accept: 'x' })
  await ask(connection)
  expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer hidden', 'Bearer hidden'])
  expect(requests[0]?.headers.accept).toBe('text/event-stream')
  expect(requests[1]?.headers['content-type']).toBe('application/json')
  expect(lines.join('\n')).not.toContain('hidden')
})

test.each([200, 202, 204])('%i to a message is a receipt; the response comes on the stream', async (status) => {
  const { handler, say } = older((seen, response) => {
    response.writeHead(status).end()
    setTimeout(() => say(ok(seen.body.id)), 20)
  })
  const { connection } = await start(handler)
  expect(await ask(connection)).toMatchObject({ result: { ok: true } })
})

test('the response may come before the receipt, which may never end', async () => {
  const { handler, say } = older((seen, response) => {
    if (seen.body.params.name === 'receipt') response.writeHead(202).write('Acc')
    say(ok(seen.body.id))
  })
  const { connection } = await start(handler)
  for (const name of ['receipt', 'none']) expect(await ask(connection, name)).toMatchObject({ result: { ok: true } })
})

test('a receipt that never ends is one', async () => {
  const { connection } = await start(older((_seen, response) => response.writeHead(202).write('Acc')).handler)
  await connection.send({ jsonrpc: '2.0', method: 'notifications/initialized' })
})

describe('a message that is refused', () => {
  test.each([
    [500, true],
    [413, true],
    [401, false],
  ])('with %i fails its request and nothing else', async (status, delivered) => {
    const server = older((seen, response) => {
      if (seen.body.params.name === 'bad') return void response.writeHead(status).end('no')
      accept(seen, response)
      server.say(ok(seen.body.id))
    })
    const { connection } = await start(server.handler)
    expect(await failureOf(ask(connection, 'bad'))).toMatchObject({ status, delivered, lost: false })
    expect(await ask(connection)).toMatchObject({ result: { ok: true } })
  })

  test.each([
    [404, 'no such session'],
    [400, 'No transport found for sessionId'],
  ])('with %i because the session is unknown ends the connection', async (status, text) => {
    const { connection } = await start(
      older((seen, response) => {
        if (seen.body.params.name === 'slow') accept(seen, response)
        else response.writeHead(status).end(text)
      }).handler,
    )
    const slow = failureOf(ask(connection, 'slow'))
    expect(await failureOf(ask(connection))).toMatchObject({ status, delivered: false, lost: true })
    expect(await slow).toMatchObject({ delivered: true, lost: true })
    expect(await connection.closed).toMatchObject({ lost: true, status })
    expect(await failureOf(ask(connection))).toMatchObject({ delivered: false, lost: true })
  })
})

describe('the stream ends', () => {
  test.each([
    ['in order', (response: ServerResponse) => void response.end()],
    ['by breaking', (response: ServerResponse) => void response.destroy()],
    [
      'half-closed in the middle of an event',
      (response: ServerResponse) => {
        response.write('event: message\ndata: {"jsonrpc":"2.0","id":1,"res')
        setTimeout(() => response.socket?.end(), 20)
      },
    ],
  ])('%s: everything is over, nothing is tried again, nothing stays open', async (_how, end) => {
    const { handler, streams } = older()
    const { connection, requests, sockets } = await start(handler)
    const call = failureOf(ask(connection))
    await until(() => posts(requests).length === 1)
    end(streams[0]!)
    expect(await call).toMatchObject({ delivered: true, lost: true, message: expect.stringContaining('server "x"') })
    expect(await connection.closed).toMatchObject({ lost: true })
    expect(await failureOf(ask(connection))).toMatchObject({ delivered: false, lost: true })
    expect(await failureOf(connection.send({ jsonrpc: '2.0', method: 'x' }))).toMatchObject({ delivered: false })
    while ((await sockets()) > 0) await new Promise((resolve) => setTimeout(resolve, 10))
    expect(requests.filter(({ method }) => method === 'GET')).toHaveLength(1)
  })

  test('because the proxy closes it: no reason, and nothing stays open', async () => {
    const { handler } = older((_seen, response) => void response.writeHead(202).write('never ends'))
    const { connection, sockets } = await start(handler)
    const call = failureOf(ask(connection))
    await connection.close()
    expect(await call).toMatchObject({ delivered: true, lost: true })
    expect(await connection.closed).toBeUndefined()
    while ((await sockets()) > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  })
})

describe('a server that does too much', () => {
  test('asks a thousand questions: few answers are on their way at a time', async () => {
    const QUESTIONS = 1000
    let now = 0
    let most = 0
    const { handler, say } = older((_seen, response) => {
      most = Math.max(most, ++now)
      setTimeout(() => {
        now--
        response.writeHead(202).end()
      }, 1)
    })
    const { connection, requests } = await start(handler)
    const answers: Promise<void>[] = []
    connection.onmessage = (message) => {
      if (isRequest(message)) answers.push(connection.send({ jsonrpc: '2.0', id: message.id, result: {} }))
    }
    for (let id = 0; id < QUESTIONS; id++) say({ jsonrpc: '2.0', id, method: 'roots/list' })
    await until(() => answers.length === QUESTIONS)
    await Promise.all(answers)
    expect(new Set(posts(requests).map(({ body }) => body.id)).size).toBe(QUESTIONS)
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(32)
  })

  test('and takes no answers: what waits is bounded, and refused beyond', async () => {
    const { handler } = older(() => {})
    const { connection } = await start(handler, {}, { maxMessageBytes: 100_000 })
    const result = { text: 'x'.repeat(10_000) }
    const sent = Array.from({ length: 100 }, (_, id) => failureOf(connection.send({ jsonrpc: '2.0', id, result })))
    // 32 are on their way, 9 wait; the others know at once.
    const refused = await Promise.all(sent.slice(41))
    expect(new Set(refused.map(({ delivered, lost }) => `${delivered} ${lost}`))).toEqual(new Set(['false false']))
    await connection.close()
    expect(await Promise.all(sent.slice(0, 41))).toHaveLength(41)
  })

  test('or stops in the middle of an event: another one’s clients do not notice', async () => {
    const stalled = older()
    const { connection } = await start(stalled.handler)
    const call = failureOf(ask(connection))
    stalled.streams[0]?.write(`event: message\ndata: {"half":"${'x'.repeat(100_000)}`)
    const good = await start(answering().handler)
    expect(await ask(good.connection)).toMatchObject({ result: { ok: true } })
    await connection.close()
    expect(await call).toMatchObject({ lost: true })
  })
})

describe('entries', () => {
  test.each([
    { type: 'http', url: 'http://x.test/' },
    { url: 'http://x.test/' },
    { type: 'sse', url: 'ftp://x.test/' },
    { type: 'sse', url: 'http://user:hidden@x.test/' },
    { type: 'sse', url: 'http://x.test/', headers: { Host: 'x' } },
  ])('refused: %j', (entry) => {
    const { success, error } = entrySchema.safeParse(entry)
    expect(success).toBe(false)
    expect(JSON.stringify(error?.issues)).not.toContain('hidden')
  })

  test('are described without query', async () => {
    const adapter = await adapterOf(transportSse())
    expect(adapter.type).toBe('sse')
    expect(adapter.describe?.({ url: 'https://x.test/a/sse?key=hidden#x' })).toBe('https://x.test/a/sse')
  })
})
