import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { endProxies, postUnread, READY, startProxy, withPlugin } from '../../fixtures/cli/proxy.ts'
import { within } from '../../fixtures/cli/run.ts'
import { openLegacy, postModern } from '../../harness.ts'

afterEach(endProxies)

/** Says of each call that it is under way. */
const TELLING = `return {
  middleware: (call, next) => {
    if (call.method === 'tools/call') console.log('under way: ' + call.params.arguments.tag)
    return next(call)
  },
}`
const sleep = (tag: string, ms: number) => ({ name: 'echo_sleep', arguments: { tag, ms } })

/** How a new connection fares. */
function knock(url: string): Promise<'accepted' | 'refused'> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    socket.once('error', () => resolve('refused'))
    socket.once('connect', () => {
      socket.destroy()
      resolve('accepted')
    })
  })
}

test('at the end what is under way is finished, streams and all else end, and nobody can hold it up', async () => {
  const proxy = startProxy(await withPlugin(TELLING))
  const [, url = ''] = await proxy.until(READY)
  const client = await openLegacy(url)
  const session = { 'mcp-session-id': client.sessionId }
  const standing = await fetch(url, { headers: { accept: 'text/event-stream', ...session } })
  const listening = await postModern(url, 'subscriptions/listen', { notifications: { toolsListChanged: true } })
  const soon = client.request('tools/call', sleep('soon', 1000), 1)
  const modern = postModern(url, 'tools/call', sleep('modern', 1000)).then((response) => response.json())
  let isOver = false
  const never = client.request('tools/call', sleep('never', 1_000_000), 2).finally(() => (isOver = true))
  const echo = { name: 'echo_echo', arguments: { tag: 'unread', text: 'x'.repeat(3_000_000) } }
  // One that reads nothing of many answers, and that leaves a request half sent.
  const unread = postUnread(
    url,
    session,
    JSON.stringify({ jsonrpc: '2.0', id: 'unread', method: 'tools/call', params: echo }),
    6,
  )
  for (const tag of ['soon', 'modern', 'never', 'unread']) await proxy.until(new RegExp(`under way: ${tag}`))

  proxy.child.kill('SIGTERM')
  await proxy.until(/closing: SIGTERM/)
  const ended = within(8000, proxy.ended)
  while ((await knock(url)) === 'accepted') await new Promise((resolve) => setTimeout(resolve, 5))
  expect(isOver).toBe(false)
  const slept = { content: [{ type: 'text', text: 'slept' }] }
  expect(await soon).toMatchObject({ id: 1, result: slept })
  expect(await modern).toMatchObject({ id: 1, result: slept })
  expect(await never).toMatchObject({ id: 2, error: { code: -32603 } })
  expect(await standing.text()).not.toContain('error')
  expect(await listening.text()).toContain('"resultType":"complete"')
  expect(await ended).toEqual({ code: 0, signal: null })
  unread.destroy()
})
