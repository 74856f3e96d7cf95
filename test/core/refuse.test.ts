import { afterEach, expect, test } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import { openLegacy, openProxy, postModern, servers, type TestProxy } from '../harness.ts'

let proxy: TestProxy | undefined

afterEach(() => proxy?.close())

test('a kernel that refuses ends standing streams, takes nothing new, and finishes what is under way', async () => {
  let began = (): void => {}
  const isUnderWay = new Promise<void>((resolve) => (began = resolve))
  const telling = definePlugin({
    name: 'telling',
    setup: () => ({
      middleware: (call, next) => {
        if (call.method === 'tools/call') began()
        return next(call)
      },
    }),
  })
  const { kernel, url, origin } = (proxy = await openProxy({
    plugins: ['transport-stdio', telling],
    mcpServers: { echo: servers.fault('echo') },
  }))
  const { sessionId, request } = await openLegacy(url)
  const standing = await fetch(url, { headers: { accept: 'text/event-stream', 'mcp-session-id': sessionId } })
  const listening = await postModern(url, 'subscriptions/listen', { notifications: { toolsListChanged: true } })
  const call = request('tools/call', { name: 'echo_sleep', arguments: { ms: 500 } })
  await isUnderWay

  kernel.refuse()
  kernel.refuse()
  await standing.text()
  expect(await listening.text()).toContain('"resultType":"complete"')
  expect((await fetch(new URL('/healthz', origin))).status).toBe(503)
  expect((await postModern(url, 'tools/list')).status).toBe(503)
  expect(await call).toMatchObject({ result: { content: [{ text: 'slept' }] } })
})
