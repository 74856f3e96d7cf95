import { Client as V2Client, StreamableHTTPClientTransport as V2Transport } from '@modelcontextprotocol/client'
import { Client as V1Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as V1Transport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { complete } from '../../../core/gateway/call.ts'
import { openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { logOf, toolsOf, watchedSource } from '../../fixtures/core/source.ts'

const opened: Faces[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((faces) => faces.close()))))

const lists = { tools: toolsOf('book'), resources: [{ uri: 'a://1', name: 'one' }] }

/** A server that logs and asks during a call. */
async function open() {
  const parties: string[] = []
  const server = watchedSource('a', lists, {
    instructions: 'Be brief.',
    async call(call) {
      parties.push(call.party)
      call.notify(logOf('debug', 'thinking'))
      const requestedSchema = { type: 'object', properties: { day: { type: 'string' } } }
      const params = { message: 'Which day?', requestedSchema }
      const { content } = await call.ask({ method: 'elicitation/create', params }, call.signal)
      return complete({ content: [{ type: 'text', text: JSON.stringify(content) }] })
    },
  })
  const faces = await openFaces([server])
  opened.push(faces)
  return { faces, server, parties }
}

const capabilities = { roots: {}, elicitation: {} }
const answer = { action: 'accept' as const, content: { day: 'Monday' } }
const roots = { roots: [{ uri: 'file:///x' }] }

describe('the clients of the SDK', () => {
  it('of the 1.x line log, subscribe and answer questions', async () => {
    const { faces, server, parties } = await open()
    const client = new V1Client({ name: 'v1', version: '1' }, { capabilities })
    const heard: unknown[] = []
    client.setRequestHandler(ElicitRequestSchema, () => answer)
    client.setRequestHandler(ListRootsRequestSchema, () => roots)
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.push(params.data))
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void heard.push(params.uri))
    await client.connect(new V1Transport(new URL(faces.url)))
    expect(client.getInstructions()).toBe('## a\n\nBe brief.')
    await client.setLoggingLevel('debug')
    await client.subscribeResource({ uri: 'a://1' })
    const { content } = await client.callTool({ name: 'a_book', arguments: {} })
    expect(content).toEqual([{ type: 'text', text: '{"day":"Monday"}' }])
    await vi.waitFor(() => expect(server.wishes.size).toBe(1))
    faces.gateway.heard(server, { kind: 'resource', uri: 'a://1' })
    await vi.waitFor(() => expect(heard).toEqual(['thinking', 'a://1']))
    const peer = faces.gateway.peerOf(parties[0] ?? '')
    expect(await peer?.ask({ method: 'roots/list' }, new AbortController().signal)).toEqual(roots)
    await client.unsubscribeResource({ uri: 'a://1' })
    expect(server.wishes.size).toBe(0)
    await client.close()
  })

  it('of the 2.x line do so in a session', async () => {
    const { faces, server, parties } = await open()
    const client = new V2Client({ name: 'v2', version: '2' }, { capabilities, versionNegotiation: { mode: 'legacy' } })
    const heard: unknown[] = []
    client.setRequestHandler('elicitation/create', () => answer)
    client.setRequestHandler('roots/list', () => roots)
    client.setNotificationHandler('notifications/message', ({ params }) => void heard.push(params.data))
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => void heard.push(params.uri))
    await client.connect(new V2Transport(new URL(faces.url)))
    await client.setLoggingLevel('debug')
    await client.subscribeResource({ uri: 'a://1' })
    const { content } = await client.callTool({ name: 'a_book', arguments: {} })
    expect(content).toEqual([{ type: 'text', text: '{"day":"Monday"}' }])
    await vi.waitFor(() => expect(server.wishes.size).toBe(1))
    faces.gateway.heard(server, { kind: 'resource', uri: 'a://1' })
    await vi.waitFor(() => expect(heard).toEqual(['thinking', 'a://1']))
    const peer = faces.gateway.peerOf(parties[0] ?? '')
    expect(await peer?.ask({ method: 'roots/list' }, new AbortController().signal)).toEqual(roots)
    await client.close()
  })

  it('of the 2.x line listen to resources without one', async () => {
    const { faces, server } = await open()
    const client = new V2Client(
      { name: 'v2', version: '2' },
      { capabilities, versionNegotiation: { mode: { pin: '2026-07-28' } } },
    )
    const heard: unknown[] = []
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => void heard.push(params.uri))
    await client.connect(new V2Transport(new URL(faces.url)))
    expect(client.getInstructions()).toBe('## a\n\nBe brief.')
    const subscription = await client.listen({ toolsListChanged: true, resourceSubscriptions: ['a://1'] })
    expect(subscription.honoredFilter).toEqual({ toolsListChanged: true, resourceSubscriptions: ['a://1'] })
    faces.gateway.heard(server, { kind: 'resource', uri: 'a://1' })
    await vi.waitFor(() => expect(heard).toEqual(['a://1']))
    await subscription.close()
    await vi.waitFor(() => expect(server.wishes.size).toBe(0))
    await client.close()
  })
})
