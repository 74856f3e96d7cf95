import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { InMemoryTransport } from '@modelcontextprotocol/client'
import { describe, expect, test } from 'vitest'
import { isConnectionError } from '../../../core/errors.ts'
import { fromTransport } from '../../../core/upstream/connection.ts'
import { transportContract } from '../../../testing/index.ts'
import { recorder, toolCall } from '../../fixtures/transport/context.ts'
import { fixture } from '../../fixtures/transport/start.ts'

transportContract(
  { describe, test },
  'any transport of the SDK',
  async () => ({
    connect: () => {
      const args = [fixture('script-server.ts'), 'stdio']
      return fromTransport(
        new StdioClientTransport({ command: process.execPath, args, maxBufferSize: 64 * 1024 * 1024 }),
      )
    },
  }),
  { limit: false },
)

describe('fromTransport', () => {
  async function pair() {
    const [client, server] = InMemoryTransport.createLinkedPair()
    const odd: string[] = []
    const received: any[] = []
    server.onmessage = (message) => received.push(message)
    await server.start()
    return { connection: await fromTransport(client, (what) => odd.push(what)), server, client, odd, received }
  }

  test('a response that nobody waits for is told once and harms nobody', async () => {
    const { connection, server, odd } = await pair()
    const call = toolCall('echo')
    const response = connection.request(call, recorder().exchange)
    for (const id of [9001, 9002, call.id]) await server.send({ jsonrpc: '2.0', id, result: {} })
    expect(await response).toEqual({ jsonrpc: '2.0', id: call.id, result: {} })
    expect(odd).toEqual([expect.stringContaining('9001')])
  })

  test('an id in use is refused, the first request keeps it', async () => {
    const { connection, server } = await pair()
    const call = toolCall('echo')
    const first = connection.request(call, recorder().exchange)
    await expect(connection.request(call, recorder().exchange)).rejects.toMatchObject({ delivered: false })
    await server.send({ jsonrpc: '2.0', id: call.id, result: { first: true } })
    expect(await first).toMatchObject({ result: { first: true } })
  })

  test('a receiver that throws ends nothing', async () => {
    const { connection, server, odd } = await pair()
    connection.onmessage = () => {
      throw new Error('no!')
    }
    await server.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
    expect(odd).toEqual([expect.stringContaining('no!')])
    const call = toolCall('echo')
    const response = connection.request(call, recorder().exchange)
    await server.send({ jsonrpc: '2.0', id: call.id, result: {} })
    await response
  })

  test('a transport that closes rejects what is pending and tells why', async () => {
    const { connection, server, client } = await pair()
    const pending = connection.request(toolCall('echo'), recorder().exchange).catch((error: unknown) => error)
    client.onerror?.(new Error('cable pulled'))
    await server.close()
    const reason = await pending
    expect(isConnectionError(reason) && reason).toMatchObject({ delivered: true, lost: true })
    expect(await connection.closed).toMatchObject({ message: expect.stringContaining('cable pulled') })
  })

  test('a transport that cannot start rejects, and is closed', async () => {
    const [client, server] = InMemoryTransport.createLinkedPair()
    let closed = false
    server.onclose = () => (closed = true)
    client.start = () => Promise.reject(new Error('no socket'))
    await expect(fromTransport(client)).rejects.toThrow('no socket')
    expect(closed).toBe(true)
  })
})
