import { describe, expect, it, vi } from 'vitest'
import { messagesOf } from '../../harness.ts'
import { ALL } from '../../fixtures/core/asked.ts'
import { hello, inside } from '../../fixtures/core/inside.ts'
import { openKernel, ORIGIN } from '../../fixtures/core/kernel.ts'

const LIMIT = 5 * 60_000

describe('a parked call, through a whole kernel', () => {
  it('is cancelled at its server once its limit is over, and its question has an answer', async () => {
    const fake = inside((request, connection) => {
      if (request.method === 'initialize') return hello({ tools: {} })
      if (request.method === 'tools/list') return { tools: [{ name: 'pay', inputSchema: { type: 'object' } }] }
      if (request.method !== 'tools/call') return {}
      const params = { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } }
      connection.say({ jsonrpc: '2.0', id: 'q', method: 'elicitation/create', params })
      return undefined
    })
    const bare = await openKernel({ plugins: [fake.plugin, 'storage-fs'], mcpServers: { in: { type: 'inside' } } })
    try {
      bare.kernel.start()
      await bare.kernel.ready
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
      const _meta = {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': ALL,
      }
      const headers = {
        'content-type': 'application/json',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': 'in_pay',
      }
      const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'in_pay', _meta } }
      const asked = bare.fetch(`${ORIGIN}/mcp`, { method: 'POST', headers, body: JSON.stringify(body) })
      await vi.waitFor(() =>
        expect(fake.server.heard).toContainEqual(expect.objectContaining({ method: 'tools/call' })),
      )
      await vi.advanceTimersByTimeAsync(15)
      const [{ result }] = await messagesOf(await asked)
      expect(result.resultType).toBe('input_required')
      const said = () => fake.server.heard.slice(-2)
      await vi.advanceTimersByTimeAsync(LIMIT - 1000)
      expect(said()).not.toContainEqual(expect.objectContaining({ method: 'notifications/cancelled' }))
      await vi.advanceTimersByTimeAsync(1000)
      const call = fake.server.heard.find((message) => 'method' in message && message.method === 'tools/call')
      expect(said()).toContainEqual({
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: (call as { id: number }).id, reason: 'the client cancelled' },
      })
      expect(said()).toContainEqual({
        jsonrpc: '2.0',
        id: 'q',
        error: { code: -32603, message: 'elicitation/create: no answer in time' },
      })
    } finally {
      vi.useRealTimers()
      await bare.close()
    }
  })
})
