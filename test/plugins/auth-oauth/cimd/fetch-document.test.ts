import { createServer } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DocumentError } from '../../../../plugins/auth-oauth/cimd/document-error.ts'
import { fetchDocument, type Fetched, type FetchOptions } from '../../../../plugins/auth-oauth/cimd/fetch-document.ts'
import {
  documentAt,
  openDocumentServer,
  type Answer,
  type DocumentServer,
} from '../../../fixtures/oauth/document-server.ts'
import { sealNetwork } from '../../../fixtures/oauth/network.ts'

const ID = 'https://client.mcp-test.com/client.json'
const JSON_TYPE = { 'content-type': 'application/json' }
/** What the limit of 5 s is in these tests. */
const PATIENCE = 250

let server: DocumentServer
let end: AbortController
const escaped: unknown[] = []
const escape = (reason: unknown): void => void escaped.push(reason)

beforeEach(async () => {
  server = await openDocumentServer()
  end = new AbortController()
  process.on('unhandledRejection', escape)
})
afterEach(async () => {
  // Whatever a test was about, nothing stays open and nothing is left to fail by itself.
  await server.idle()
  await server.stop()
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', escape)
  if (escaped.length > 0) throw new AggregateError(escaped, 'nobody handled these')
})

const get = (more: FetchOptions = {}, id = ID): Promise<Fetched> =>
  fetchDocument(new URL(id), { ...server.options, ...more }, end.signal)

/** The error of a fetch that has to fail. */
async function failure(more: FetchOptions = {}, id = ID): Promise<DocumentError> {
  const error: unknown = await get(more, id).then(
    () => new Error('it was fetched'),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(DocumentError)
  return error as DocumentError
}

const body =
  (text: string | Buffer, headers: Record<string, string> = JSON_TYPE): Answer =>
  (_request, response) =>
    void response.writeHead(200, headers).end(text)

/** Writes on the connection, past everything that knows HTTP. */
const raw =
  (text: string, hangUp = true): Answer =>
  (_request, { socket }) =>
    void (hangUp ? socket?.end(text) : socket?.write(text))

describe('the request', () => {
  test('T88 goes to the address that was looked at, under the name that was asked for, and leaves nothing open', async () => {
    server.put(documentAt(ID), ID, { 'cache-control': 'public, max-age=600' })
    expect(await get()).toEqual({ document: documentAt(ID), maxAge: 600_000 })
    expect(server.resolved).toEqual(['client.mcp-test.com'])
    expect(server.connections).toBe(1)
    const [{ headers, servername } = { headers: {}, servername: '' }] = server.asked
    expect(servername).toBe('client.mcp-test.com')
    expect(headers).toEqual({
      host: `client.mcp-test.com:${server.port}`,
      accept: 'application/json',
      'accept-encoding': 'identity',
      'user-agent': 'mcp-proxy-server',
      connection: 'close',
    })
    await server.idle()
  })

  test('T88 each request has a connection of its own', async () => {
    server.put(documentAt(ID))
    await Promise.all([get(), get(), get()])
    await get()
    expect(server.connections).toBe(4)
  })

  test('T88 the path and the query are asked for as they are', async () => {
    const odd = 'https://client.mcp-test.com/%41/a;b=c/@/~?x=1&y=%20&x=2'
    server.put(documentAt(odd))
    expect((await get({}, odd)).document).toEqual(documentAt(odd))
    expect(server.asked.map(({ url }) => url)).toEqual([odd])
  })

  test('T88 the name is not looked up again: a second answer would lead elsewhere', async () => {
    server.put(documentAt(ID))
    const trap = await openDocumentServer('127.0.0.2', server.port)
    const answers = ['127.0.0.1', '127.0.0.2', '127.0.0.2']
    const looked: string[] = []
    const resolve = async () => [{ address: answers.shift() ?? '', family: 4 }]
    const isAllowed = (address: string): boolean => {
      looked.push(address)
      return address === '127.0.0.1'
    }
    await get({ resolve, isAllowed })
    expect([answers.length, looked]).toEqual([2, ['127.0.0.1']])
    expect([server.connections, trap.connections]).toEqual([1, 0])

    expect((await failure({ resolve, isAllowed })).message).toBe('its name leads to an address that is not public')
    expect([server.connections, trap.connections]).toEqual([1, 0])
    await trap.stop()
  })

  test('T88 of several addresses one that answers is enough', async () => {
    server.put(documentAt(ID))
    const isAllowed = (address: string): boolean => address.startsWith('127.0.0.')
    const resolve = async () => ['127.0.0.3', '127.0.0.4', '127.0.0.1'].map((address) => ({ address, family: 4 }))
    expect((await get({ resolve, isAllowed })).document).toEqual(documentAt(ID))
    expect(server.connections).toBe(1)
  })

  test('T88 where no address answers, the error says so', async () => {
    const isAllowed = (address: string): boolean => address.startsWith('127.0.0.')
    const resolve = async () => ['127.0.0.3', '127.0.0.4'].map((address) => ({ address, family: 4 }))
    const { message, passing } = await failure({ resolve, isAllowed })
    expect(message).toContain('ECONNREFUSED')
    expect(passing).toBe(true)
  })

  test('T88 IPv6 works', async () => {
    const six = await openDocumentServer('::1')
    six.put(documentAt(ID))
    expect((await get(six.options)).document).toEqual(documentAt(ID))
    const both = async () => [
      { address: '127.0.0.3', family: 4 },
      { address: '::1', family: 6 },
    ]
    expect((await get({ ...six.options, resolve: both, isAllowed: () => true })).document).toEqual(documentAt(ID))
    expect(six.asked[1]?.servername).toBe('client.mcp-test.com')
    await six.idle()
    await six.stop()
  })

  test('T88 a certificate of another name, or of nobody that is known, is refused, also where checks are off by a variable', async () => {
    server.put(documentAt(ID))
    const other = await failure({}, 'https://other-test.com/client.json')
    expect(other.message).toMatch(/^Hostname\/IP does not match certificate's altnames/)
    expect(other.message.length).toBeLessThanOrEqual(200)
    const { ca: _ca, ...unknown } = server.options
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    try {
      for (const value of [undefined, '0']) {
        if (value !== undefined) process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = value
        const error: unknown = await fetchDocument(new URL(ID), unknown, end.signal).catch((reason: unknown) => reason)
        expect(error).toBeInstanceOf(DocumentError)
        expect(error).toMatchObject({ passing: true, message: expect.stringMatching(/certificate/) })
      }
    } finally {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
    }
    expect(server.asked).toEqual([])
  })

  const special = ['127.0.0.1', '10.1.2.3', '100.64.0.1', '169.254.169.254', '172.16.0.1', '192.168.1.1', '0.0.0.0']
  const special6 = [
    '::1',
    '::',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'fd00::1',
    'fe80::1',
    'fe80::1%eth0',
  ]
  test.each([...special, ...special6])(
    'T88 by itself it does not go to %s, alone or among others: nothing leaves',
    async (address) => {
      const { isAllowed: _isAllowed, ...rest } = server.options
      const bad = { address, family: address.includes(':') ? 6 : 4 }
      const good = { address: '93.184.216.34', family: 4 }
      const network = sealNetwork()
      try {
        for (const addresses of [[bad], [good, bad], [bad, good], [good, good, { ...bad, family: 4 }]]) {
          let asked = 0
          const resolve = async () => (asked++, addresses)
          const error: unknown = await fetchDocument(new URL(ID), { ...rest, resolve }, end.signal).catch(
            (reason: unknown) => reason,
          )
          expect(error).toBeInstanceOf(DocumentError)
          expect(error).toMatchObject({ message: 'its name leads to an address that is not public', passing: false })
          expect(asked).toBe(1)
        }
        expect(network.tries).toEqual([])
      } finally {
        network.open()
      }
      expect(server.connections).toBe(0)
    },
  )

  test('T88 a name without an address, and one that cannot be resolved', async () => {
    expect((await failure({ resolve: async () => [] })).message).toBe('its name has no address')
    const resolve = () => Promise.reject(new Error('queryA ESERVFAIL client.mcp-test.com'))
    expect(await failure({ resolve })).toMatchObject({ message: 'queryA ESERVFAIL client.mcp-test.com', passing: true })
  })
})

describe('the answer', () => {
  test.each([301, 302, 303, 307, 308])('T88 %i is not followed', async (status) => {
    const trap = await openDocumentServer()
    server.answer = (_request, response) =>
      void response.writeHead(status, { location: `https://127.0.0.1:${trap.port}/client.json` }).end()
    expect((await failure({ isAllowed: () => true })).message).toBe(`it answered ${status}`)
    expect([server.asked.length, trap.connections]).toEqual([1, 0])
    await trap.stop()
  })

  test.each([
    ['201', 201, true],
    ['204', 204, true],
    ['206', 206, true],
    ['304', 304, true],
    ['400', 400, true],
    ['401', 401, true],
    ['403, as in front of claude.ai', 403, true],
    ['404: gone', 404, false],
    ['410: gone', 410, false],
    ['418', 418, true],
    ['429', 429, true],
    ['500', 500, true],
    ['502', 502, true],
    ['503', 503, true],
  ])('T91 status %s', async (_, status, passing) => {
    const page = '<html>Just a moment…</html>'
    server.answer = (_request, response) =>
      void response.writeHead(status, JSON_TYPE).end(status === 204 || status === 304 ? undefined : page)
    expect(await failure()).toMatchObject({ message: `it answered ${status}`, passing })
  })

  test.each([
    ['a status', 403, { 'content-type': 'text/html' }],
    ['a content type', 200, { 'content-type': 'text/html' }],
    ['compression', 200, { ...JSON_TYPE, 'content-encoding': 'gzip' }],
  ])('T89 an answer refused for %s is hung up, whatever more it would say', async (_, status, headers) => {
    server.answer = (_request, response) => {
      response.writeHead(status, headers)
      drip(response, ' ')
    }
    await failure()
    await server.idle()
  })

  test('T89 10 kB are read, and not a byte more', async () => {
    const fits = JSON.stringify({ ...documentAt(ID), padding: '' })
    const padding = 'x'.repeat(10 * 1024 - fits.length)
    server.answer = body(JSON.stringify({ ...documentAt(ID), padding }))
    expect((await get()).document).toEqual({ ...documentAt(ID), padding })
    server.answer = body(JSON.stringify({ ...documentAt(ID), padding: `${padding}x` }))
    expect((await failure()).message).toBe('it is larger than 10240 bytes')
  })

  test('T89 a body without an end is left as soon as it is too large', async () => {
    let written = 0
    server.answer = (_request, response) => {
      response.writeHead(200, JSON_TYPE)
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(4096))) written += 4096
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    }
    expect((await failure()).message).toBe('it is larger than 10240 bytes')
    await server.idle()
    // Some of it was on its way already.
    expect(written).toBeLessThan(64 * 1024 * 1024)
  })

  test.each([
    [
      'a length that is never reached',
      raw('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{', false),
    ],
    [
      'chunks that stop',
      raw('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n', false),
    ],
    ['half a head', raw('HTTP/1.1 200 OK\r\ncontent-type: appl', false)],
    ['no answer at all', () => {}],
    ['hints for ever', (_request, response) => drip(response.socket!, 'HTTP/1.1 103 Early Hints\r\n\r\n')],
    ['a head, byte by byte', (_request, response) => drip(response.socket!, 'x-pad: x\r\n', 'HTTP/1.1 200 OK\r\n')],
    [
      'a body, byte by byte',
      (_request, response) => {
        response.writeHead(200, JSON_TYPE)
        drip(response, ' ')
      },
    ],
  ] satisfies [string, Answer][])('T89 %s: given up when its time is over, and hung up', async (_, answer) => {
    server.answer = answer
    expect(await failure({ patience: PATIENCE })).toMatchObject({ message: 'no answer within 0.25 s', passing: true })
    await server.idle()
  })

  test('T89 it takes 5 s in all when nobody says otherwise', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      let isOver = false
      const failed = failure({ resolve: () => new Promise(() => {}) }).finally(() => (isOver = true))
      await vi.advanceTimersByTimeAsync(4999)
      expect(isOver).toBe(false)
      await vi.advanceTimersByTimeAsync(1)
      expect((await failed).message).toBe('no answer within 5 s')
      await failure({ resolve: async () => [] })
      // Nothing ticks on, neither then nor where it was over sooner.
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('T89 the time also runs while the name is looked up, and nothing is connected to when it answers late', async () => {
    let answer = (_addresses: { address: string; family: number }[]): void => {}
    const resolve = () => new Promise<{ address: string; family: number }[]>((done) => void (answer = done))
    expect((await failure({ resolve, patience: 20 })).message).toBe('no answer within 0.02 s')
    answer([{ address: '127.0.0.1', family: 4 }])
    await new Promise((done) => setTimeout(done, 50))
    expect(server.connections).toBe(0)
  })

  test('T89 the time also runs while a connection is made', async () => {
    // A listener that accepts, and never says hello in TLS.
    const silent = createServer((socket) => socket.on('error', () => {}).resume())
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done))
    const { port } = silent.address() as { port: number }
    expect((await failure({ port, patience: PATIENCE })).message).toBe('no answer within 0.25 s')
    await new Promise((done) => silent.close(done))
  })

  test('T89 when the proxy ends, so do its fetches', async () => {
    server.answer = () => {}
    const failed = failure()
    await expect.poll(() => server.asked.length, { timeout: 10_000 }).toBe(1)
    end.abort(new Error('the proxy ends'))
    expect(await failed).toMatchObject({ message: 'the proxy ends', passing: true })
    await server.idle()
    // Nor does one begin any more.
    expect((await failure({ resolve: () => new Promise(() => {}) })).message).toBe('the proxy ends')
    expect((await failure()).message).toBe('the proxy ends')
    expect(server.connections).toBe(1)
  })

  test.each([
    [
      'a body that is cut off',
      raw('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{}'),
    ],
    [
      'another protocol, agreed to',
      raw('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    ],
    [
      'another protocol, and the line kept',
      raw('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n', false),
    ],
    ['what is no HTTP', raw('SSH-2.0-OpenSSH_9.6\r\n')],
    ['a head that is too large', raw(`HTTP/1.1 200 OK\r\n${`x-pad: ${'x'.repeat(1000)}\r\n`.repeat(40)}\r\n`)],
    ['a header smuggled into a header', raw('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx: \x00\r\n\r\n{}')],
    ['nothing: it hangs up', (_request, response) => void response.socket?.destroy()],
    [
      'two lengths',
      raw('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}'),
    ],
  ] satisfies [string, Answer][])('T89 %s: an error, at once', async (_, answer) => {
    server.answer = answer
    // With the usual 5 s: it is not the limit that ends it.
    const { message, passing } = await failure()
    expect(message).not.toMatch(/no answer within/)
    expect(message).toMatch(/^.{1,200}$/)
    expect(passing).toBe(true)
  })

  const document = JSON.stringify(documentAt(ID))
  test.each([
    ['gzip', gzipSync(document)],
    ['deflate', deflateSync(document)],
    ['br', brotliCompressSync(document)],
    ['x-gzip', gzipSync(document)],
    ['gzip', gzipSync('x'.repeat(10_000_000))],
    ['gzip, gzip', gzipSync(gzipSync(document))],
    ['identity', Buffer.from(document)],
  ])('T89 content-encoding %s is not undone', async (encoding, bytes) => {
    server.answer = body(bytes, { ...JSON_TYPE, 'content-encoding': encoding })
    expect((await failure()).message).toBe('it is compressed')
  })

  test('T89 a body that is compressed and does not say so is not JSON', async () => {
    server.answer = body(gzipSync(document))
    expect((await failure()).message).toBe('it is not JSON')
  })

  test.each([
    'application/json',
    'application/json; charset=utf-8',
    'Application/JSON ;charset="utf-8"',
    'application/client-metadata+json',
    'application/vnd.example.client+json; v=1',
  ])('T89 content type %s', async (type) => {
    server.answer = body(document, { 'content-type': type })
    expect((await get()).document).toEqual(documentAt(ID))
  })

  test.each([
    ['text/html', 'text/html'],
    ['text/html; charset=utf-8', 'text/html'],
    ['text/plain', 'text/plain'],
    ['text/json', 'text/json'],
    ['application/javascript', 'application/javascript'],
    ['application/jsonp', 'application/jsonp'],
    ['application/json-seq', 'application/json-seq'],
    ['application/xjson', 'application/xjson'],
    ['text/html, application/json', 'text/html, application/json'],
    ['application/json, text/html', 'application/json, text/html'],
    ['image/svg+xml', 'image/svg+xml'],
    ['', 'of no type'],
  ])('T89 content type %s: refused, though it says nothing of the client', async (type, said) => {
    server.answer = body(document, { 'content-type': type })
    expect(await failure()).toMatchObject({ message: `it is ${said}, not JSON`, passing: true })
  })

  test('T89 no content type: refused; a long one: not repeated', async () => {
    server.answer = body(document, {})
    expect((await failure()).message).toBe('it is of no type, not JSON')
    server.answer = body(document, { 'content-type': `text/${'x'.repeat(5000)}` })
    expect((await failure()).message.length).toBeLessThan(300)
  })

  test.each<[string, string | Buffer]>([
    ['nothing', ''],
    ['a word', 'client'],
    ['half an object', document.slice(0, -1)],
    ['something after it', `${document}x`],
    ['two documents', `${document}${document}`],
    ['a comment', `/* */${document}`],
    ['single quotes', document.replaceAll('"', "'")],
    ['a comma too many', document.replace('}', ',}')],
    ['a byte order mark', `\uFEFF${document}`],
    ['UTF-16', Buffer.from(`\uFEFF${document}`, 'utf16le')],
    ['UTF-32', Buffer.from(document.replaceAll(/./g, '$&\0\0\0'), 'latin1')],
    ['bytes that are no UTF-8', Buffer.from(document.replace('Documented', 'D\xE9'), 'latin1')],
    [
      'a surrogate in bytes',
      Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]),
    ],
    ['a NUL', `${document}\0`],
    ['arrays without an end', '['.repeat(10_000)],
  ])('T89 %s is not JSON, and the error repeats nothing of it', async (_, text) => {
    server.answer = body(text)
    expect(await failure()).toMatchObject({ message: 'it is not JSON', passing: false })
  })

  test('T89 JSON as deep as it fits is read', async () => {
    server.answer = body(`${'['.repeat(5000)}${']'.repeat(5000)}`)
    expect(Array.isArray((await get()).document)).toBe(true)
  })
})

test.each([
  [undefined, undefined],
  ['max-age=0', 0],
  ['max-age=300', 300_000],
  ['public, max-age=3600, immutable', 3_600_000],
  ['Max-Age=60', 60_000],
  ['no-store', 0],
  ['no-cache, max-age=600', 0],
  ['s-maxage=5', undefined],
  ['max-age=', undefined],
  ['max-age=-1', undefined],
  ['max-age=1e9', undefined],
  ['max-age=99999999999', 99_999_999_999_000],
  ['private', undefined],
])('T91 cache-control %s', async (header, maxAge) => {
  server.put(documentAt(ID), ID, header === undefined ? {} : { 'cache-control': header })
  expect((await get()).maxAge).toBe(maxAge)
})

/** Writes something again and again until the other side has had enough. */
function drip(
  to: { write(text: string): unknown; destroyed: boolean; once(event: 'close', listener: () => void): unknown },
  text: string,
  first = '',
): void {
  if (first !== '') to.write(first)
  const timer = setInterval(() => to.destroyed || to.write(text), 5)
  to.once('close', () => clearInterval(timer))
}
