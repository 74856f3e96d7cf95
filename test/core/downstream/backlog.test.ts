import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, it, vi } from 'vitest'
import { definePlugin } from '../../../core/index.ts'
import { openLegacy, openProxy, servers } from '../../harness.ts'

const STEPS = 400_000

it('a client that never reads its stream is cut off, and nobody else waits for it', async () => {
  let finished = 0
  const counting = definePlugin({
    name: 'test-counting',
    setup: () => ({ middleware: (call, next) => next(call).finally(() => call.progress && finished++) }),
  })
  const plugins = ['transport-stdio', 'storage-fs', counting]
  const proxy = await openProxy({ plugins, mcpServers: { good: servers.fault('echo') } })
  try {
    const wire = await openLegacy(proxy.url)
    const params = { name: 'good_progress', arguments: { steps: STEPS }, _meta: { progressToken: 'p'.repeat(100) } }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
    const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1').on('error', () => {})
    socket.pause()
    const head = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: ${wire.sessionId}\r\n`
    socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)
    // In a session a lost stream is no cancellation: the call itself runs to its end.
    await vi.waitFor(() => expect(finished).toBe(1), 20_000)
    const answer = await wire.request('tools/call', { name: 'good_echo', arguments: { text: 'x' } })
    expect(answer.result.content[0].text).toBe('x')
    let received = 0
    socket.on('data', (chunk) => (received += chunk.length))
    socket.resume()
    await once(socket, 'close')
    // The whole stream would be more than 70 MB.
    expect(received).toBeLessThan(30 * 1024 * 1024)
  } finally {
    await proxy.close()
  }
})
