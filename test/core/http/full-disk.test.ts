import { afterEach, expect, test } from 'vitest'
import { definePlugin, type StorageDriver } from '../../../core/index.ts'
import { memoryDriver } from '../../../core/store/memory.ts'
import { openLegacy, openProxy, servers, type TestProxy } from '../../harness.ts'

let proxy: TestProxy
afterEach(() => proxy.close())

test('a session whose end cannot be written is answered with 503, and ended the next time', async () => {
  let isFull = false
  const memory = memoryDriver()
  const driver: StorageDriver = {
    ...memory,
    swap: async (...change) => {
      if (isFull) throw new Error('ENOSPC')
      return memory.swap?.(...change) ?? false
    },
    setItem: async (key, value, options) => {
      if (isFull) throw new Error('ENOSPC')
      await memory.setItem?.(key, value, options)
    },
  }
  const storage = definePlugin({ name: 'full', setup: () => ({ storage: driver }) })
  proxy = await openProxy({ mcpServers: { good: servers.fault('echo') }, plugins: ['transport-stdio', storage] })
  const { sessionId, request } = await openLegacy(proxy.url)
  const end = () => fetch(proxy.url, { method: 'DELETE', headers: { 'mcp-session-id': sessionId } })
  isFull = true
  const refused = await end()
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
  expect(await refused.json()).toMatchObject({ error: 'temporarily_unavailable' })
  expect(proxy.log()).toContain('ENOSPC')
  isFull = false
  expect((await end()).status).toBe(204)
  expect((await request('ping')).error.message).toBe('Session not found')
})
