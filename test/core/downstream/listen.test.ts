import { afterEach, describe, expect, it, vi } from 'vitest'
import { createListeners } from '../../../core/downstream/listen.ts'
import type { Gateway, ListChange } from '../../../core/gateway/gateway.ts'
import { node, openLegacy, openProxy, postModern, type TestProxy } from '../../harness.ts'

const TAG = 'io.modelcontextprotocol/subscriptionId'

/** Reads messages off an event stream as they come. */
function reader(response: Response) {
  const chunks = response.body!.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]()
  let text = ''
  return async function next(): Promise<any> {
    for (;;) {
      const end = text.indexOf('\n\n')
      if (end < 0) {
        const { done, value } = await chunks.next()
        if (done) return undefined
        text += value
        continue
      }
      const event = text.slice(0, end)
      text = text.slice(end + 2)
      const data = event.split('\n').find((line) => line.startsWith('data: '))
      if (data !== undefined) return JSON.parse(data.slice(6))
    }
  }
}

describe('subscriptions/listen', () => {
  const opened: TestProxy[] = []
  afterEach(async () => void (await Promise.all(opened.splice(0).map((proxy) => proxy.close()))))

  async function open(): Promise<TestProxy> {
    const proxy = await openProxy({ mcpServers: { grows: node('test/fixtures/core/growing-server.ts') } })
    opened.push(proxy)
    return proxy
  }
  const listen = (proxy: TestProxy, notifications: object, id: string) =>
    postModern(proxy.url, 'subscriptions/listen', { notifications }, {}, id)

  it('acknowledges first, with what is granted and nothing else', async () => {
    const proxy = await open()
    const wish = { toolsListChanged: true, promptsListChanged: false, resourceSubscriptions: ['x://1'], other: true }
    const next = reader(await listen(proxy, wish, 'sub'))
    expect(await next()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true }, _meta: { [TAG]: 'sub' } },
    })
  })

  it('tells of changes that were asked for, tagged, to every listener', async () => {
    const proxy = await open()
    const tools = reader(await listen(proxy, { toolsListChanged: true }, 'tools'))
    const both = reader(await listen(proxy, { toolsListChanged: true, resourcesListChanged: true }, 'both'))
    const resources = reader(await listen(proxy, { resourcesListChanged: true }, 'resources'))
    for (const next of [tools, both, resources]) await next()
    await (await postModern(proxy.url, 'tools/call', { name: 'grows_grow' })).text()
    const changed = (id: string) => ({
      jsonrpc: '2.0',
      method: 'notifications/tools/list_changed',
      params: { _meta: { [TAG]: id } },
    })
    expect(await tools()).toEqual(changed('tools'))
    expect(await both()).toEqual(changed('both'))
    const names = async () => {
      const list = (await (await postModern(proxy.url, 'tools/list')).json()) as any
      return list.result.tools.map(({ name }: { name: string }) => name)
    }
    // The first word may still have been about the server's first list.
    await vi.waitFor(async () => expect(await names()).toEqual(['grows_grow', 'grows_more1']))
    // The one that did not ask hears of nothing until the end.
    await proxy.kernel.close()
    expect(await resources()).toMatchObject({ id: 'resources', result: { resultType: 'complete' } })
  })

  it('ends with an empty result when the proxy closes', async () => {
    const proxy = await open()
    const next = reader(await listen(proxy, {}, 'sub'))
    expect((await next()).params.notifications).toEqual({})
    await proxy.kernel.close()
    expect(await next()).toEqual({
      jsonrpc: '2.0',
      id: 'sub',
      result: { resultType: 'complete', _meta: { [TAG]: 'sub' } },
    })
    expect(await next()).toBeUndefined()
  })

  it('leaves nothing behind when the client goes', async () => {
    const listeners = new Set<(change: ListChange) => void>()
    const gateway: Pick<Gateway, 'subscribe'> = {
      subscribe(listener) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
    }
    const abort = new AbortController()
    const request = new Request('http://localhost/mcp', { method: 'POST', signal: abort.signal })
    const open = createListeners(gateway as Gateway)
    const message = { jsonrpc: '2.0', id: 1, method: 'subscriptions/listen' } as const
    open.listen(request, message)
    const left = open.listen(new Request('http://localhost/mcp', { method: 'POST' }), message)
    expect(listeners.size).toBe(2)
    abort.abort()
    await left.body?.cancel()
    await vi.waitFor(() => expect(listeners.size).toBe(0))
    open.close()
  })

  it('and the GET stream of a session tell of the same change', async () => {
    const proxy = await open()
    const wire = await openLegacy(proxy.url)
    const headers = { 'mcp-session-id': wire.sessionId, accept: 'text/event-stream' }
    const next = reader(await fetch(proxy.url, { headers }))
    await wire.request('tools/call', { name: 'grows_grow' })
    expect(await next()).toEqual({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
    await vi.waitFor(async () => expect((await wire.request('tools/list')).result.tools).toHaveLength(2))
  })
})
