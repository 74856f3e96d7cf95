import { Client as V2Client, StreamableHTTPClientTransport as V2Transport } from '@modelcontextprotocol/client'
import { Client as V1Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as V1Transport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { afterEach, describe, expect, it } from 'vitest'
import { complete, type Ask, type Call } from '../../../core/gateway/call.ts'
import type { JsonObject } from '../../../core/wire/jsonrpc.ts'
import { openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { sourceOf, toolsOf } from '../../fixtures/core/source.ts'

const opened: Faces[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((faces) => faces.close()))))

const NAME = {
  mode: 'form',
  message: 'Name?',
  requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
}
const FIRST: Record<string, Ask> = {
  name: { method: 'elicitation/create', params: NAME },
  login: { method: 'elicitation/create', params: { mode: 'url', message: 'Log in', url: 'https://example.com/' } },
  roots: { method: 'roots/list' },
}
const SECOND: Record<string, Ask> = {
  say: {
    method: 'sampling/createMessage',
    params: { messages: [{ role: 'user', content: { type: 'text', text: 'Hi' } }], maxTokens: 5 },
  },
}

/** A server of the stateless era that needs something twice, is put off once, and then says what it got. */
async function open() {
  const got: (JsonObject | undefined)[] = []
  const call = async ({ round }: Call) => {
    got.push(round as JsonObject | undefined)
    if (round === undefined)
      return { kind: 'input_required', result: { inputRequests: FIRST, requestState: 'a' } } as const
    if (round.requestState === 'a') return { kind: 'input_required', result: { requestState: 'b' } } as const
    if (round.requestState === 'b') {
      return { kind: 'input_required', result: { inputRequests: SECOND, requestState: 'c' } } as const
    }
    return complete({ resultType: 'complete', content: [{ type: 'text', text: 'done' }] })
  }
  const faces = await openFaces([sourceOf('a', { tools: toolsOf('ask') }, { call })])
  opened.push(faces)
  return { faces, got }
}

const capabilities = { elicitation: { form: {}, url: {} }, roots: {}, sampling: {} }
const roots = { roots: [{ uri: 'file:///x' }] }
const said = { model: 'm', role: 'assistant' as const, content: { type: 'text' as const, text: 'Hello' } }
const accepted = { action: 'accept' as const, content: { name: 'Anna' } }
const declined = { action: 'decline' as const }
const EXPECTED = [
  undefined,
  { inputResponses: { name: accepted, login: declined, roots }, requestState: 'a' },
  { requestState: 'b' },
  { inputResponses: { say: said }, requestState: 'c' },
]

describe('the clients of the SDK answer what a server of 2026-07-28 needs', () => {
  it('those of the 1.x line', async () => {
    const { faces, got } = await open()
    const client = new V1Client({ name: 'v1', version: '1' }, { capabilities })
    const urls: unknown[] = []
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      if (params.mode !== 'url') return accepted
      urls.push(params.url, params.elicitationId)
      return declined
    })
    client.setRequestHandler(ListRootsRequestSchema, () => roots)
    client.setRequestHandler(CreateMessageRequestSchema, () => said)
    await client.connect(new V1Transport(new URL(faces.url)))
    expect(await client.callTool({ name: 'a_ask', arguments: {} })).toEqual({
      content: [{ type: 'text', text: 'done' }],
    })
    expect(got).toEqual(EXPECTED)
    expect(urls).toEqual(['https://example.com/', expect.stringMatching(/.{20}/)])
    await client.close()
  })

  it('those of the 2.x line, by default', async () => {
    const { faces, got } = await open()
    const client = new V2Client({ name: 'v2', version: '2' }, { capabilities })
    client.setRequestHandler('elicitation/create', ({ params }) => (params.mode === 'url' ? declined : accepted))
    client.setRequestHandler('roots/list', () => roots)
    client.setRequestHandler('sampling/createMessage', () => said)
    await client.connect(new V2Transport(new URL(faces.url)))
    expect((await client.callTool({ name: 'a_ask', arguments: {} })).content).toEqual([{ type: 'text', text: 'done' }])
    expect(got).toEqual(EXPECTED)
    await client.close()
  })

  it('or do not: one that declared nothing hears what it lacks, one that takes the call back is asked no more', async () => {
    const { faces, got } = await open()
    const bare = new V1Client({ name: 'bare', version: '1' })
    await bare.connect(new V1Transport(new URL(faces.url)))
    expect(await bare.callTool({ name: 'a_ask', arguments: {} })).toMatchObject({
      isError: true,
      content: [{ text: expect.stringContaining('elicitation (form, url), roots') }],
    })
    await bare.close()
    const client = new V1Client({ name: 'v1', version: '1' }, { capabilities })
    const cancel = new AbortController()
    const withdrawn: unknown[] = []
    client.setRequestHandler(ElicitRequestSchema, (_, { signal }) => {
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve(void withdrawn.push('elicitation') as never))
        cancel.abort()
      })
    })
    client.setRequestHandler(ListRootsRequestSchema, () => roots)
    await client.connect(new V1Transport(new URL(faces.url)))
    const call = client.callTool({ name: 'a_ask', arguments: {} }, undefined, { signal: cancel.signal })
    await expect(call).rejects.toThrow()
    await expect.poll(() => withdrawn).toEqual(['elicitation', 'elicitation'])
    expect(got).toHaveLength(2)
    await client.close()
  })
})
