import { afterEach, describe, expect, test } from 'vitest'
import type { Connection } from '../../core/index.ts'
import transportSse from '../../plugins/transport-sse/index.ts'
import transportStdio from '../../plugins/transport-stdio/index.ts'
import transportStreamable from '../../plugins/transport-streamable/index.ts'
import { initialize, recorder, toolCall, transportContext } from '../fixtures/transport/context.ts'
import { adapterOf, fixture, startScript, type RunningServer } from '../fixtures/transport/start.ts'

const everything = fixture('../../../node_modules/@modelcontextprotocol/server-everything/dist/index.js')

/** Servers that others wrote, over every transport. */
describe('server-everything', () => {
  let connection: Connection | undefined
  let server: RunningServer | undefined
  afterEach(async () => {
    await connection?.close()
    await server?.close()
  })

  async function use(opened: Connection): Promise<void> {
    connection = opened
    await initialize(connection)
    const list = await connection.request({ jsonrpc: '2.0', id: 'list', method: 'tools/list' }, recorder('').exchange)
    expect(JSON.stringify(list)).toContain('"name":"echo"')
    const response = await connection.request(toolCall('echo', { message: 'Grüße' }), recorder().exchange)
    expect(JSON.stringify(response)).toContain('Grüße')
    const { exchange, messages } = recorder()
    await connection.request(toolCall('trigger-long-running-operation', { duration: 0.2, steps: 2 }), exchange)
    expect(messages.filter(({ method }) => method === 'notifications/progress')).toHaveLength(2)
    await connection.close()
    expect(await connection.closed).toBeUndefined()
  }

  test('over stdio', async () => {
    const adapter = await adapterOf(transportStdio())
    await use(
      await adapter.connect({ command: process.execPath, args: [everything, 'stdio'] }, transportContext().context),
    )
  })

  test.each([
    ['HTTP+SSE', transportSse()],
    ['HTTP+SSE that nobody told us of', transportStreamable()],
  ])('over %s', async (_name, plugin) => {
    const adapter = await adapterOf(plugin)
    server = await startScript(['--import', fixture('loopback.ts'), everything, 'sse'])
    await use(await adapter.connect({ url: server.url.replace('/mcp', '/sse') }, transportContext().context))
  })

  test('over Streamable HTTP', async () => {
    const adapter = await adapterOf(transportStreamable())
    // By itself it listens on every interface.
    server = await startScript(['--import', fixture('loopback.ts'), everything, 'streamableHttp'])
    await use(await adapter.connect({ url: server.url }, transportContext().context))
  })
})
