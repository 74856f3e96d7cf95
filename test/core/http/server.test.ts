import { Server as HttpListener, request as httpRequest, type IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { waitForPort } from '../../../core/http/port.ts'
import { serveHttp } from '../../../core/http/server.ts'
import type { HttpServer } from '../../../core/http/server.ts'

const host = '127.0.0.1'
const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function serve(
  fetch: (request: Request) => Promise<Response>,
  onerror = (): void => undefined,
): Promise<HttpServer> {
  const server = await serveHttp({ host, port: 0, fetch, onerror })
  closing.push(() => server.close(0))
  return server
}

async function occupy(): Promise<{ port: number; server: Server }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  closing.push(() => server.close())
  return { port: (server.address() as AddressInfo).port, server }
}

const urlOf = (server: HttpServer, path = '/'): string => `http://${host}:${server.address.port}${path}`

test('hands requests over and responses back', async () => {
  const server = await serve(async (request) =>
    Response.json({ url: request.url, body: await request.text() }, { status: 201 }),
  )
  const response = await fetch(urlOf(server, '/a?b=c'), { method: 'POST', body: 'hello' })
  expect(response.status).toBe(201)
  expect(await response.json()).toEqual({ url: urlOf(server, '/a?b=c'), body: 'hello' })
  expect(server.address.address).toBe(host)
})

test('what escapes the handler is a 500 and is reported without query string', async () => {
  const heard: string[] = []
  const server = await serve(() => Promise.reject(new Error('boom')), ((what: string, error: Error) =>
    heard.push(`${what} ${error.message}`)) as never)
  const response = await fetch(urlOf(server, '/x?code=secret'))
  expect(response.status).toBe(500)
  expect(await response.text()).toBe('')
  expect(heard).toEqual(['GET /x boom'])
})

test.each([401, 403])('the challenge of a %i is spelled as every client knows it, and told once', async (status) => {
  const challenge = 'Bearer realm="x", Basic realm="y"'
  const server = await serve(async () => {
    return Response.json({ error: 'no' }, { status, headers: { 'www-authenticate': challenge, 'x-own': '1' } })
  })
  const { rawHeaders } = await new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest(urlOf(server), (answer) => resolve(answer.resume()))
      .on('error', reject)
      .end()
  })
  const told = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'www-authenticate')
  expect(told).toEqual(['WWW-Authenticate'])
  expect(rawHeaders[rawHeaders.indexOf('WWW-Authenticate') + 1]).toBe(challenge)
  const response = await fetch(urlOf(server))
  expect([response.status, response.headers.get('x-own')]).toEqual([status, '1'])
  expect(await response.json()).toEqual({ error: 'no' })
})

test('a refusal that comes from elsewhere, and cannot be changed, goes through', async () => {
  const elsewhere = await serve(
    async () => new Response('no', { status: 401, headers: { 'www-authenticate': 'Basic' } }),
  )
  const server = await serve(() => fetch(urlOf(elsewhere)))
  const response = await fetch(urlOf(server))
  expect([response.status, response.headers.get('www-authenticate'), await response.text()]).toEqual([
    401,
    'Basic',
    'no',
  ])
})

test('a client that goes away aborts the request', async () => {
  let gone: (value: unknown) => void = () => undefined
  const seen = new Promise((resolve) => (gone = resolve))
  const server = await serve((request) => {
    request.signal.addEventListener('abort', gone)
    client.destroy()
    return new Promise(() => undefined)
  })
  const client = httpRequest(urlOf(server)).on('error', () => undefined)
  client.end()
  await seen
})

test('close lets what is in flight finish and takes nothing new', async () => {
  let answer: (response: Response) => void = () => undefined
  let arrived: () => void = () => undefined
  const inside = new Promise<void>((resolve) => (arrived = resolve))
  const server = await serve(() => {
    arrived()
    return new Promise((resolve) => (answer = resolve))
  })
  const pending = fetch(urlOf(server))
  await inside
  server.refuse()
  const closed = server.close(60_000)
  await expect(fetch(urlOf(server))).rejects.toThrow()
  answer(new Response('late'))
  expect(await (await pending).text()).toBe('late')
  await closed
})

test('close cuts a stream that never ends, after the grace', async () => {
  const server = await serve(
    async () => new Response(new ReadableStream({ start: (c) => c.enqueue(Buffer.from(': ok\n\n')) })),
  )
  const response = await fetch(urlOf(server))
  await server.close(50)
  await expect(response.text()).rejects.toThrow()
})

test('a port that is taken is told as such', async () => {
  const { port } = await occupy()
  await expect(
    serveHttp({ host, port, fetch: async () => new Response(), onerror: () => undefined }),
  ).rejects.toMatchObject({
    code: 'EADDRINUSE',
  })
})

test('so is one that is taken between looking and binding', async () => {
  const listen = HttpListener.prototype.listen
  closing.push(() => (HttpListener.prototype.listen = listen))
  HttpListener.prototype.listen = function (this: HttpListener) {
    const error = Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE', syscall: 'listen' })
    process.nextTick(() => this.emit('error', error))
    return this
  } as never
  await expect(
    serveHttp({ host, port: 0, fetch: async () => new Response(), onerror: () => undefined }),
  ).rejects.toMatchObject({
    code: 'EADDRINUSE',
  })
  expect(process.hasUncaughtExceptionCaptureCallback()).toBe(false)
})

test.each([
  ['127.0.0.1', 6667, /reserved/],
  ['no-such-host.invalid', 0, /no such address/],
  ['192.0.2.1', 0, /192\.0\.2\.1/],
])('%s port %i is refused', async (where, port, message) => {
  const refused = serveHttp({ host: where, port, fetch: async () => new Response(), onerror: () => undefined })
  await expect(refused).rejects.toThrow(message)
})

test('waits for a port that becomes free, and says once that it waits', async () => {
  const { port, server } = await occupy()
  let told = 0
  const onBusy = (): void => {
    told++
    setTimeout(() => server.close(), 60)
  }
  expect(await waitForPort({ host, port, step: 20, limit: 60_000, onBusy })).toBe(true)
  expect(told).toBe(1)
})

test('gives a port up, by time or by signal', async () => {
  const { port } = await occupy()
  expect(await waitForPort({ host, port, step: 10, limit: 30 })).toBe(false)
  const end = new AbortController()
  expect(
    await waitForPort({ host, port, signal: end.signal, limit: 1_000_000, step: 1_000_000, onBusy: () => end.abort() }),
  ).toBe(false)
})

test('does not wait where waiting is no use', async () => {
  await expect(waitForPort({ host: '192.0.2.1', port: 4321 })).rejects.toMatchObject({ code: 'ERR_PROXY_CONFIG' })
  await expect(waitForPort({ host: 'no-such-host.invalid', port: 4321 })).rejects.toThrow(/MCP_HOST/)
})
