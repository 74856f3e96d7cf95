import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { converse, send } from '../../fixtures/core/http.ts'
import {
  JSON_HEADERS,
  messagesOf,
  openLegacy,
  openProxy,
  servers,
  type LegacyWire,
  type TestProxy,
} from '../../harness.ts'

const LIMIT = 100_000
let proxy: TestProxy
let wire: LegacyWire
beforeAll(async () => {
  proxy = await openProxy({ mcpServers: { good: servers.fault('echo') }, limits: { bodyBytes: LIMIT } })
  wire = await openLegacy(proxy.url)
})
afterAll(() => proxy.close())

/** After whatever was done to the proxy, it works for others. */
async function expectHealthy(): Promise<void> {
  const other = await openLegacy(proxy.url)
  const answer = await other.request('tools/call', { name: 'good_echo', arguments: { text: 'still here' } })
  expect(answer.result.content[0].text).toBe('still here')
}

const post = (body: string | Buffer, headers: Record<string, string> = {}) =>
  send(proxy.url, { method: 'POST', headers: { ...JSON_HEADERS, ...headers }, body })

describe('a body', () => {
  it.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['half an object', '{"jsonrpc":"2.0","id":1'],
    ['two objects', '{} {}'],
    ['a byte order mark only', '\uFEFF'],
    ['NaN', '{"jsonrpc":"2.0","id":NaN,"method":"ping"}'],
  ])('that is no JSON is 400 -32700: %s', async (_, body) => {
    const answer = await post(body)
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.text)).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32700 } })
    expect(answer.text).not.toContain('hello')
  })

  it.each([
    ['null'],
    ['1'],
    ['"text"'],
    ['true'],
    ['{}'],
    ['[]'],
    ['[1]'],
    ['[[]]'],
    ['{"id":1,"method":"ping"}'],
    ['{"jsonrpc":"1.0","id":1,"method":"ping"}'],
    ['{"jsonrpc":"2.0","id":{},"method":"ping"}'],
    ['{"jsonrpc":"2.0","id":null,"method":"ping"}'],
    ['{"jsonrpc":"2.0","id":1.5,"method":"ping"}'],
    ['{"jsonrpc":"2.0","id":1,"method":7}'],
    ['{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}'],
    ['{"jsonrpc":"2.0","id":1}'],
    ['{"jsonrpc":"2.0","id":1,"result":1}'],
    ['{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}'],
  ])('that is no JSON-RPC is 400 -32600: %s', async (body) => {
    const all: Record<string, string>[] = [
      {},
      { 'mcp-session-id': wire.sessionId },
      { 'mcp-protocol-version': '2026-07-28' },
    ]
    for (const headers of all) {
      const answer = await post(body, headers)
      expect(answer.status).toBe(400)
      expect(JSON.parse(answer.text)).toMatchObject({ id: null, error: { code: -32600 } })
    }
  })

  it.each([['text/plain'], ['application/x-www-form-urlencoded'], ['application/jsonp'], ['text/json'], ['']])(
    'of type "%s" is 415',
    async (type) => {
      const answer = await post('{}', { 'content-type': type })
      expect(answer.status).toBe(415)
      expect(JSON.parse(answer.text)).toMatchObject({ error: { code: -32600 } })
    },
  )

  it('without a type is 415, with parameters of the type fine', async () => {
    expect((await send(proxy.url, { method: 'POST', body: '{}' })).status).toBe(415)
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })
    const headers = { 'content-type': 'Application/JSON ; charset=utf-8', 'mcp-session-id': wire.sessionId }
    expect((await post(body, headers)).status).toBe(200)
  })

  it('in invalid UTF-8 is read with replacement characters, or refused, but harms nothing', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good_echo","arguments":{"text":"'),
      Buffer.of(0xff, 0xc0, 0xaf, 0xed, 0xa0, 0x80),
      Buffer.from('"}}}'),
    ])
    const answer = await post(bytes, { 'mcp-session-id': wire.sessionId })
    expect(JSON.parse(answer.text).result.content[0].text).toMatch(/^\uFFFD+$/)
    expect((await post(randomBytes(1000))).status).toBe(400)
    await expectHealthy()
  })

  it('nested 100,000 deep ends in an error, wherever the nesting is', async () => {
    const deep = '['.repeat(49_000) + ']'.repeat(49_000)
    expect((await post('['.repeat(99_000))).status).toBe(400)
    expect((await post(deep)).status).toBe(400)
    const headers = { 'mcp-session-id': wire.sessionId }
    const call = (params: string) => post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":${params}}`, headers)
    const relayed = await call(`{"name":"good_echo","arguments":{"deep":${deep},"text":"deep"}}`)
    expect(relayed.status).toBe(200)
    // Too deep to be written down again: the caller is told, and the call is not left open.
    expect(JSON.parse(relayed.text)).toMatchObject({ id: 7, error: { code: -32603 } })
    expect(proxy.lines.filter(({ level }) => level === 'error')).toEqual([])
    const name = await call(`{"name":${deep}}`)
    expect(JSON.parse(name.text)).toMatchObject({ id: 7, error: { code: -32602 } })
    await expectHealthy()
  })

  it('with a key twice counts the last one, as JSON.parse does', async () => {
    const answer = await post('{"jsonrpc":"2.0","id":1,"id":2,"method":"nothing","method":"ping"}', {
      'mcp-session-id': wire.sessionId,
    })
    expect(JSON.parse(answer.text)).toEqual({ jsonrpc: '2.0', id: 2, result: {} })
  })

  it('with keys of Object.prototype pollutes nothing', async () => {
    const params =
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"_meta":{"__proto__":{"polluted":1}}}'
    const answer = await post(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":${params}}`, {
      'mcp-session-id': wire.sessionId,
    })
    expect(JSON.parse(answer.text).result.tools).toHaveLength(3)
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })
})

describe('too large a body', () => {
  it('is 413 by Content-Length, and the connection can be used again', async () => {
    const big = Buffer.alloc(LIMIT + 1, ' ')
    const answer = await post(big)
    expect(answer.status).toBe(413)
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code: -32600 } })
    // One connection: fetch keeps it.
    for (let round = 0; round < 3; round++) {
      const response = await fetch(proxy.url, { method: 'POST', headers: JSON_HEADERS, body: big })
      expect(response.status).toBe(413)
      await response.text()
    }
    await expectHealthy()
  })

  it('is 413 by counting where the length is not said', async () => {
    const answer = await converse(proxy.url, endlessPost())
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    await expectHealthy()
  })

  it('is taken up to the limit', async () => {
    const message = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })
    const answer = await post(message.padEnd(LIMIT, ' '), { 'mcp-session-id': wire.sessionId })
    expect(answer.status).toBe(200)
  })

  it('lets a client that is a little over finish, and serves the next request on the same connection', async () => {
    const answers = await converse(proxy.url, twoRequests())
    expect(answers).toMatch(/^HTTP\/1\.1 413 /)
    expect(answers).toContain('HTTP/1.1 200 ')
  })

  async function* twoRequests(): AsyncGenerator<string | Buffer> {
    yield 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
    for (let sent = 0; sent < LIMIT + 20_000; sent += 10_000) {
      yield Buffer.concat([Buffer.from('2710\r\n'), Buffer.alloc(10_000, ' '), Buffer.from('\r\n')])
      await sleep(1)
    }
    yield '0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
  }

  async function* endlessPost(): AsyncGenerator<string | Buffer> {
    yield 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
    const chunk = Buffer.concat([Buffer.from('2710\r\n'), Buffer.alloc(10_000, ' '), Buffer.from('\r\n')])
    // Far beyond the limit, then the end: a server that has answered may read or drop the rest, not wait for ever.
    for (let sent = 0; sent < 40 * LIMIT; sent += 10_000) {
      yield chunk
      await sleep(0)
    }
    yield '0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
  }
})

describe('a slow client', () => {
  it('that sends its body byte by byte is served, and others meanwhile', async () => {
    const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
    let others: Promise<void> | undefined
    async function* slowly() {
      yield `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: ${wire.sessionId}\r\n`
      yield `Connection: close\r\nContent-Length: ${body.length}\r\n\r\n`
      others = expectHealthy()
      for (const char of body) {
        yield char
        await sleep(5)
      }
    }
    const answer = await converse(proxy.url, slowly())
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(answer).toContain('{"jsonrpc":"2.0","id":1,"result":{}}')
    await others
  })

  it('that leaves in the middle of its body harms nothing', async () => {
    const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    const head =
      'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{'
    await new Promise((resolve) => socket.write(head, resolve))
    socket.destroy()
    await expectHealthy()
    expect(proxy.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('batches', () => {
  const ping = (id: number) => ({ jsonrpc: '2.0', id, method: 'ping' })

  it('are 400 where the revision has none', async () => {
    for (const version of ['2025-11-25', '2025-06-18', '2024-11-05']) {
      const session = await openLegacy(proxy.url, version)
      const response = await session.post([ping(1)])
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ error: { code: -32600 } })
    }
  })

  it('are answered by an array in 2025-03-26, one response for each request', async () => {
    const session = await openLegacy(proxy.url, '2025-03-26')
    const note = { jsonrpc: '2.0', method: 'notifications/initialized' }
    const call = {
      jsonrpc: '2.0',
      id: 3,
      method: 'tools/call',
      params: { name: 'good_echo', arguments: { text: 'x' } },
    }
    const response = await session.post([ping(1), note, call, { jsonrpc: '2.0', id: 4, method: 'nothing' }])
    expect(response.status).toBe(200)
    const body = (await response.json()) as { id: number }[]
    expect(body.toSorted((a, b) => a.id - b.id)).toMatchObject([
      { id: 1, result: {} },
      { id: 3, result: { content: [{ text: 'x' }] } },
      { id: 4, error: { code: -32601 } },
    ])
    expect(await (await session.post([ping(9)])).json()).toEqual([{ jsonrpc: '2.0', id: 9, result: {} }])
    expect((await session.post([note])).status).toBe(202)
    expect((await session.post([])).status).toBe(400)
    expect((await session.post([ping(1), 7])).status).toBe(400)
  })

  it('turn into a stream when one of their calls makes progress', async () => {
    const session = await openLegacy(proxy.url, '2025-03-26')
    const params = { name: 'good_progress', arguments: { steps: 2 }, _meta: { progressToken: 'mine' } }
    const response = await session.post([ping(1), { jsonrpc: '2.0', id: 2, method: 'tools/call', params }])
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const messages = await messagesOf(response)
    expect(messages.filter(({ method }) => method).map(({ params }) => params)).toEqual([
      { progressToken: 'mine', progress: 1, total: 2 },
      { progressToken: 'mine', progress: 2, total: 2 },
    ])
    expect(messages.filter(({ method }) => !method).map(({ id }) => id)).toEqual([1, 2])
  })

  it('do not take initialize', async () => {
    const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-03-26' } }
    for (const body of [[initialize], [initialize, ping(2)]]) {
      const answer = await post(JSON.stringify(body))
      expect(answer.status).toBe(400)
      expect(answer.headers['mcp-session-id']).toBeUndefined()
    }
  })
})
