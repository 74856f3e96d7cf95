import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { isConnectionError, isRequest } from '../../core/index.ts'
import type { Connection, RpcResponse, TransportContext } from '../../core/index.ts'
import { initialize, recorder, toolCall, transportContext, until } from '../fixtures/transport/context.ts'

/** A script server, reachable through the transport under test. */
export interface ContractServer {
  connect(context: TransportContext): Promise<Connection>
  close(): Promise<void>
}

const textOf = (response: RpcResponse): unknown =>
  'result' in response ? (response.result.content as { text?: unknown }[])[0]?.text : response.error

/** What every transport must do, whatever lies under it. `limit: false`: it cannot bound the size of a message. */
export function transportContract(
  name: string,
  start: () => Promise<ContractServer>,
  { limit = true }: { readonly limit?: boolean } = {},
): void {
  describe(`transport contract: ${name}`, () => {
    let server: ContractServer
    const connections: Connection[] = []

    async function connect(overrides: Partial<TransportContext> = {}): Promise<Connection> {
      const connection = await server.connect(transportContext(overrides).context)
      connections.push(connection)
      await initialize(connection)
      // What belongs to no request can be heard only once the transport listens for it.
      await connection.request(toolCall('listening'), recorder('').exchange)
      return connection
    }
    const failureOf = (promise: Promise<unknown>) =>
      promise.then(
        () => expect.fail('should have been rejected'),
        (error: unknown) => (isConnectionError(error) ? error : expect.fail(String(error))),
      )

    beforeAll(async () => void (server = await start()))
    afterEach(async () => void (await Promise.all(connections.splice(0).map((connection) => connection.close()))))
    afterAll(() => server.close())

    test('answers a request', async () => {
      const connection = await connect()
      const call = toolCall('echo', { text: 'hello' })
      const response = await connection.request(call, recorder().exchange)
      expect(response).toMatchObject({ jsonrpc: '2.0', id: call.id })
      expect(textOf(response)).toBe('hello')
    })

    test('keeps every character', async () => {
      const connection = await connect()
      const text = 'é ☃ 𝕌 \u2028 \u0000 "\\ \r\n end'
      expect(textOf(await connection.request(toolCall('echo', { text }), recorder().exchange))).toBe(text)
    })

    test('answers many at once, out of order', async () => {
      const connection = await connect()
      const order: number[] = []
      const delays = [300, 200, 100, 0]
      const texts = await Promise.all(
        delays.map(async (ms) => {
          const response = await connection.request(toolCall('sleep', { ms }), recorder().exchange)
          order.push(ms)
          return textOf(response)
        }),
      )
      expect(texts).toEqual(delays.map((ms) => `slept ${ms}`))
      expect(order).toEqual([0, 100, 200, 300])
    })

    test('brings progress to its own exchange only', async () => {
      const connection = await connect()
      const [alice, bob] = [recorder('alice'), recorder('bob')]
      await Promise.all([
        connection.request(toolCall('progress', { steps: 3, text: 'for alice' }), alice.exchange),
        connection.request(toolCall('progress', { steps: 3, text: 'for bob' }), bob.exchange),
      ])
      const textsOf = ({ messages }: typeof alice) => messages.map((message) => message.params?.message)
      expect(textsOf(alice)).toEqual(['for alice', 'for alice', 'for alice'])
      expect(textsOf(bob)).toEqual(['for bob', 'for bob', 'for bob'])
    })

    test('one party: what belongs to no request goes to its newest exchange', async () => {
      const connection = await connect()
      const nobodys: unknown[] = []
      connection.onmessage = (message) => nobodys.push(message)
      const { exchange, messages } = recorder('alice')
      const call = connection.request(toolCall('log', { text: 'only you', ms: 200 }), exchange)
      await until(() => messages.length > 0)
      expect(messages).toMatchObject([{ method: 'notifications/message', params: { data: 'only you' } }])
      await call
      expect(nobodys).toEqual([])
    })

    test('two parties: what belongs to no request is nobody’s', async () => {
      const connection = await connect()
      const nobodys: unknown[] = []
      connection.onmessage = (message) => nobodys.push(message)
      await connection.request(toolCall('echo', { text: '' }), recorder('bob').exchange)
      const { exchange, messages } = recorder('alice')
      const call = connection.request(toolCall('log', { text: 'whose?', ms: 200 }), exchange)
      await until(() => nobodys.length > 0)
      expect(nobodys).toMatchObject([{ method: 'notifications/message', params: { data: 'whose?' } }])
      await call
      expect(messages).toEqual([])
    })

    test('one party: is asked, and its answer reaches the server', async () => {
      const connection = await connect()
      const roots = [{ uri: 'file:///tmp', name: 'tmp' }]
      const asked: string[] = []
      let sent: Promise<void> | undefined
      const response = await connection.request(toolCall('ask'), {
        party: 'alice',
        onmessage(message) {
          asked.push(message.method)
          if (isRequest(message)) sent = connection.send({ jsonrpc: '2.0', id: message.id, result: { roots } })
        },
      })
      await sent
      expect(asked).toEqual(['roots/list'])
      expect(JSON.parse(String(textOf(response)))).toEqual({ roots })
    })

    test('two parties: a question is nobody’s and can be refused', async () => {
      const connection = await connect()
      await connection.request(toolCall('echo', { text: '' }), recorder('bob').exchange)
      let sent: Promise<void> | undefined
      connection.onmessage = (message) => {
        if (!isRequest(message)) return
        sent = connection.send({ jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'nobody is here' } })
      }
      const { exchange, messages } = recorder('alice')
      const response = await connection.request(toolCall('ask'), exchange)
      await sent
      expect(response).toMatchObject({ error: { message: expect.stringContaining('nobody is here') } })
      expect(messages).toEqual([])
    })

    test('what comes after the answer is told with the only party there was', async () => {
      const connection = await connect()
      const told: unknown[] = []
      connection.onmessage = (message, party) => told.push([message.params?.data, party])
      const { exchange, messages } = recorder('alice')
      await connection.request(toolCall('late', { text: 'for alice', ms: 50 }), exchange)
      await until(() => told.length > 0)
      expect(told).toEqual([['for alice', 'alice']])
      expect(messages).toEqual([])
    })

    test('what comes after the answer is told without a party when there were two', async () => {
      const connection = await connect()
      const told: unknown[] = []
      connection.onmessage = (message, party) => told.push([message.params?.data, party])
      await connection.request(toolCall('echo', { text: '' }), recorder('bob').exchange)
      await connection.request(toolCall('late', { text: 'whose?', ms: 50 }), recorder('alice').exchange)
      await until(() => told.length > 0)
      expect(told).toEqual([['whose?', undefined]])
    })

    test('what comes before anybody was served is told without a party', async () => {
      const connection = await connect()
      const told: unknown[] = []
      connection.onmessage = (message, party) => told.push([message.params?.data, party])
      await connection.request(toolCall('late', { text: 'hello?', ms: 50 }), recorder('').exchange)
      await until(() => told.length > 0)
      expect(told).toEqual([['hello?', undefined]])
    })

    test('a changed list concerns everybody', async () => {
      const connection = await connect()
      const changes: string[] = []
      connection.onmessage = (message) => changes.push(message.method)
      const { exchange, messages } = recorder()
      await connection.request(toolCall('change'), exchange)
      await until(() => changes.length > 0)
      expect(changes).toEqual(['notifications/tools/list_changed'])
      expect(messages).toEqual([])
    })

    test('carries a result of 10 MB', async () => {
      const connection = await connect()
      const bytes = 10 * 1024 * 1024
      const text = String(textOf(await connection.request(toolCall('big', { bytes }), recorder().exchange)))
      expect(Buffer.byteLength(text)).toBe(bytes)
      expect(text.replaceAll('é', '')).toBe('')
    })

    test('relays the server’s error untouched', async () => {
      const connection = await connect()
      const response = await connection.request(toolCall('fail'), recorder().exchange)
      expect(response).toMatchObject({ error: { code: -32602, data: { hint: 'ü' } } })
    })

    if (limit) {
      test('a message over the limit fails its request, not the connection', async () => {
        const connection = await connect({ maxMessageBytes: 100_000 })
        const failure = await failureOf(connection.request(toolCall('big', { bytes: 300_000 }), recorder().exchange))
        expect(failure).toMatchObject({ delivered: true, lost: false, message: expect.stringContaining('100000') })
        expect(textOf(await connection.request(toolCall('echo', { text: 'still here' }), recorder().exchange))).toBe(
          'still here',
        )
      })
    }

    test('abort ends the wait and nothing else', async () => {
      const connection = await connect()
      const stop = new AbortController()
      const { exchange } = recorder('alice', { signal: stop.signal })
      const slow = failureOf(connection.request(toolCall('sleep', { ms: 60_000 }), exchange))
      const other = connection.request(toolCall('sleep', { ms: 100 }), recorder().exchange)
      stop.abort()
      expect(await slow).toMatchObject({ lost: false })
      expect(textOf(await other)).toBe('slept 100')
      expect(await failureOf(connection.request(toolCall('echo'), exchange))).toMatchObject({ delivered: false })
    })

    test('close() ends what is in flight, twice is once, and nothing passes afterwards', async () => {
      const connection = await connect()
      const slow = failureOf(connection.request(toolCall('sleep', { ms: 60_000 }), recorder().exchange))
      await Promise.all([connection.close(), connection.close()])
      expect(await slow).toMatchObject({ delivered: true, lost: true })
      expect(await connection.closed).toBeUndefined()
      const late = failureOf(connection.request(toolCall('echo'), recorder().exchange))
      expect(await late).toMatchObject({ delivered: false, lost: true })
      const note = failureOf(connection.send({ jsonrpc: '2.0', method: 'notifications/cancelled' }))
      expect(await note).toMatchObject({ delivered: false, lost: true })
      await connection.close()
    })

    // Last: it takes the server along.
    test('a server that dies fails what is in flight', async () => {
      const connection = await connect()
      const failure = await failureOf(connection.request(toolCall('die'), recorder().exchange))
      expect(failure).toMatchObject({ delivered: true })
      // A pooled socket whose end has not been noticed yet may still take one request: not for long.
      await vi.waitFor(async () => {
        const next = await failureOf(connection.request(toolCall('echo'), recorder().exchange))
        expect(next).toMatchObject({ delivered: false })
      })
    })
  })
}
