import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { complete } from '../../../core/gateway/call.ts'
import { node, openProxy, servers, type TestProxy } from '../../harness.ts'
import { answers, form, never, say, toolsThat } from '../../fixtures/core/asked.ts'
import { openFaces } from '../../fixtures/core/faces.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** The SDK's client of the stateless era, which answers what it is asked; and what it was asked. */
async function connect(url: string) {
  const capabilities = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} }
  const client = new Client(
    { name: 'v2', version: '2' },
    { capabilities, versionNegotiation: { mode: { pin: '2026-07-28' } } },
  )
  const asked: unknown[] = []
  client.setRequestHandler('elicitation/create', ({ params }) => {
    asked.push(params.message)
    return { action: 'accept', content: { said: `to ${params.message}` } }
  })
  client.setRequestHandler('sampling/createMessage', ({ params }) => {
    asked.push(params.maxTokens)
    return { role: 'assistant', model: 'm', content: { type: 'text', text: 'a joke' } }
  })
  client.setRequestHandler('roots/list', () => {
    asked.push('roots')
    return { roots: [{ uri: 'file:///x' }] }
  })
  await client.connect(new StreamableHTTPClientTransport(new URL(url)))
  closing.push(() => client.close())
  return { client, asked }
}

const text = (value: unknown) => complete({ content: [{ type: 'text', text: JSON.stringify(value) }] })
const textOf = (result: any) => JSON.parse(result.content[0].text)
const sampling = {
  method: 'sampling/createMessage',
  params: { maxTokens: 5, messages: [{ role: 'user', content: { type: 'text', text: 'a joke' } }] },
}

describe('the SDK client of the stateless era', () => {
  it('answers forms, sampling and roots, of one moment and one after the other', async () => {
    const source = toolsThat({
      async all({ ask }) {
        const first = await Promise.all([
          ask(form('name'), never()),
          ask(sampling, never()),
          ask({ method: 'roots/list' }, never()),
        ])
        return text([...first, await ask(form('day'), never()), await ask(sampling, never())])
      },
    })
    const faces = await openFaces([source])
    closing.push(() => faces.close())
    const { client, asked } = await connect(faces.url)
    const [name, sampled, roots, day] = textOf(await client.callTool({ name: 'all', arguments: {} }))
    expect(name).toEqual({ action: 'accept', content: { said: 'to name' } })
    expect(sampled.content).toEqual({ type: 'text', text: 'a joke' })
    expect(roots).toEqual({ roots: [{ uri: 'file:///x' }] })
    expect(day.content).toEqual({ said: 'to day' })
    expect(asked).toEqual(['name', 5, 'roots', 'day', 5])
  })

  it('answers what a stateless server needs, of prompts and resources too', async () => {
    const needs = { kind: 'input_required', result: { inputRequests: { key: form('name') }, requestState: 's' } }
    const source = toolsThat({})
    const lists = { ...source.lists, prompts: [{ name: 'p' }], resources: [{ uri: 'a://1', name: 'one' }] }
    const results = {
      'prompts/get': (said: string) => ({ messages: [{ role: 'user', content: { type: 'text', text: said } }] }),
      'resources/read': (said: string) => ({ contents: [{ uri: 'a://1', text: said }] }),
    }
    const faces = await openFaces([
      {
        ...source,
        lists,
        async call({ method, round }) {
          if (round === undefined) return needs as never
          return complete(results[method as keyof typeof results](JSON.stringify(round)))
        },
      },
    ])
    closing.push(() => faces.close())
    const { client } = await connect(faces.url)
    const round = { inputResponses: { key: { action: 'accept', content: { said: 'to name' } } }, requestState: 's' }
    const prompt = await client.getPrompt({ name: 'p' })
    expect(JSON.parse((prompt.messages as any)[0].content.text)).toEqual(round)
    const read = await client.readResource({ uri: 'a://1' })
    expect(JSON.parse((read.contents[0] as any).text)).toEqual(round)
  })
})

describe('real session-based servers', () => {
  let proxy: TestProxy
  beforeAll(async () => {
    proxy = await openProxy({
      mcpServers: {
        own: node('test/fixtures/stateful-server.ts'),
        everything: { ...servers.everything, args: [...servers.everything.args, 'stdio'] },
      },
    })
  })
  afterAll(() => proxy.close())

  it.each([
    ['elicitation', { action: 'accept', content: { said: 'to mark' } }],
    ['sampling', { role: 'assistant', model: 'm', content: { type: 'text', text: 'a joke' } }],
    ['roots', { roots: [{ uri: 'file:///x' }] }],
  ])('over stdio ask the SDK client: %s', async (kind, result) => {
    const { client, asked } = await connect(proxy.url)
    const said = textOf(await client.callTool({ name: 'own_ask', arguments: { mark: 'mark', kind } }))
    expect(said).toEqual({ result })
    expect(asked).toHaveLength(1)
  })

  it('of the SDK ask it too', async () => {
    const { client, asked } = await connect(proxy.url)
    const sampled = await client.callTool({
      name: 'everything_trigger-sampling-request',
      arguments: { prompt: 'x', maxTokens: 9 },
    })
    expect(JSON.stringify(sampled.content)).toContain('a joke')
    expect(asked).toEqual([9])
  })

  it('wait for the answer while the client is away', async () => {
    const busy = async () => JSON.parse((await say(proxy.url, 'own_whoami')).result.content[0].text).open
    const before = await busy()
    const asked = await say(proxy.url, 'own_ask', { more: { arguments: { mark: 'x' } } })
    expect([asked.type, await busy()]).toEqual(['input_required', before + 1])
    const declined = await say(proxy.url, 'own_ask', {
      ...answers(asked, { action: 'decline' }),
      more: { arguments: { mark: 'x' } },
    })
    expect(textOf(declined.result)).toEqual({ result: { action: 'decline' } })
    await vi.waitFor(async () => expect(await busy()).toBe(before))
  })
})
