import { afterEach, describe, expect, it, vi } from 'vitest'
import { complete, type Ask, type Call, type Outcome } from '../../../core/gateway/call.ts'
import type { JsonObject } from '../../../core/wire/jsonrpc.ts'
import { messageReader, openAsked, openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { sourceOf, toolsOf } from '../../fixtures/core/source.ts'

const opened: Faces[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((faces) => faces.close()))))

/** A server of the stateless era: `attempt` counts from 0. Keeps every call it was sent. */
async function open(answer: (attempt: number, call: Call) => Outcome | Promise<Outcome>) {
  const calls: Call[] = []
  const server = sourceOf(
    'a',
    { tools: toolsOf('ask'), prompts: [{ name: 'ask' }], resources: [{ uri: 'a://1', name: 'one' }] },
    {
      async call(call) {
        calls.push(call)
        return answer(calls.length - 1, call)
      },
    },
  )
  const faces = await openFaces([server])
  opened.push(faces)
  return { ...faces, calls }
}

const needs = (inputRequests: unknown, requestState?: unknown): Outcome => ({
  kind: 'input_required',
  result: {
    ...(inputRequests !== undefined && { inputRequests: inputRequests as Record<string, Ask> }),
    ...(requestState !== undefined && { requestState: requestState as string }),
  },
})
const FORM = { method: 'elicitation/create', params: { mode: 'form', message: 'Name?', requestedSchema: {} } }
const URL = { method: 'elicitation/create', params: { mode: 'url', message: 'Go', url: 'https://example.com/' } }
const ROOTS = { method: 'roots/list' }
const SAMPLING = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 5 } }
const EVERYTHING = { elicitation: { form: {}, url: {} }, roots: {}, sampling: {} }
const toolCall = (id: number, meta?: object) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'a_ask', arguments: { x: 1 }, ...(meta && { _meta: meta }) },
})
const DONE = complete({ content: [{ type: 'text', text: 'done' }] })

describe('a call that needs input', () => {
  it('asks everything at once on its own stream, and is repeated with the answers by their keys', async () => {
    const asked = JSON.parse(JSON.stringify({ 'a b': FORM, roots: ROOTS, say: SAMPLING, go: URL }))
    asked['__proto__x'] = ROOTS
    const { url, calls } = await open((attempt) => (attempt === 0 ? needs(asked, 'état/1') : DONE))
    const wire = await openAsked(url, EVERYTHING)
    const standing = await wire.stream()
    const next = messageReader(await wire.post(toolCall(1)))
    const questions = [await next(), await next(), await next(), await next(), await next()]
    expect(questions.map(({ method, params }) => ({ method, ...(params && { params }) }))).toEqual([
      FORM,
      ROOTS,
      SAMPLING,
      { ...URL, params: { ...URL.params, elicitationId: expect.stringMatching(/^[\w-]{20,}$/) } },
      ROOTS,
    ])
    expect(new Set(questions.map(({ id }) => id)).size).toBe(5)
    // In another order than asked.
    for (const [index, { id }] of [...questions.entries()].toReversed()) {
      expect(calls).toHaveLength(1)
      await wire.post({ jsonrpc: '2.0', id, result: { answer: index, content: { é: [null] } } })
    }
    expect(await next()).toEqual({ jsonrpc: '2.0', id: 1, result: DONE.result })
    expect(await next()).toBeUndefined()
    const answer = (index: number) => ({ answer: index, content: { é: [null] } })
    expect(calls.map(({ round, params }) => ({ round, params }))).toEqual([
      { round: undefined, params: { name: 'ask', arguments: { x: 1 } } },
      {
        round: {
          inputResponses: {
            'a b': answer(0),
            roots: answer(1),
            say: answer(2),
            go: answer(3),
            __proto__x: answer(4),
          },
          requestState: 'état/1',
        },
        params: { name: 'ask', arguments: { x: 1 } },
      },
    ])
    await wire.remove()
    expect(await standing()).toBeUndefined()
  })

  it.each([
    ['prompts/get', { name: 'a_ask' }],
    ['resources/read', { uri: 'a://1' }],
  ])('may be %s too', async (method, params) => {
    const { url, calls } = await open((attempt) => (attempt === 0 ? needs({ r: ROOTS }) : complete({ fine: 1 })))
    const wire = await openAsked(url, EVERYTHING)
    const next = messageReader(await wire.post({ jsonrpc: '2.0', id: 1, method, params }))
    await wire.post({ jsonrpc: '2.0', id: (await next()).id, result: { roots: [] } })
    expect(await next()).toEqual({ jsonrpc: '2.0', id: 1, result: { fine: 1 } })
    expect(calls[1]?.round).toEqual({ inputResponses: { r: { roots: [] } } })
  })

  it('may need it several times: only the answers and the state of the last round go along', async () => {
    const { url, calls } = await open((attempt) =>
      attempt < 3 ? needs({ [`r${attempt}`]: FORM }, `s${attempt}`) : DONE,
    )
    const wire = await openAsked(url, EVERYTHING)
    const next = messageReader(await wire.post(toolCall(1)))
    // Declined and cancelled are answers.
    for (const action of ['accept', 'decline', 'cancel']) {
      await wire.post({ jsonrpc: '2.0', id: (await next()).id, result: { action } })
    }
    expect(await next()).toMatchObject({ id: 1, result: DONE.result })
    expect(calls.map(({ round }) => round)).toEqual([
      undefined,
      { inputResponses: { r0: { action: 'accept' } }, requestState: 's0' },
      { inputResponses: { r1: { action: 'decline' } }, requestState: 's1' },
      { inputResponses: { r2: { action: 'cancel' } }, requestState: 's2' },
    ])
    expect(new Set(calls.map(({ requestId }) => requestId)).size).toBe(1)
  })

  it('has ten rounds', async () => {
    const { url, calls } = await open(() => needs({ r: ROOTS }))
    const wire = await openAsked(url, EVERYTHING)
    const next = messageReader(await wire.post(toolCall(1)))
    for (let round = 1; round <= 10; round++) {
      await wire.post({ jsonrpc: '2.0', id: (await next()).id, result: { roots: [] } })
    }
    expect(await next()).toMatchObject({
      id: 1,
      error: { code: -32603, message: expect.stringContaining('10 rounds') },
    })
    expect(calls).toHaveLength(11)
  })

  it('may only want to be repeated, with growing pauses', async () => {
    const times: number[] = []
    const { url, calls } = await open((attempt) => {
      times.push(performance.now())
      return attempt < 3 ? needs(attempt === 1 ? {} : undefined, `s${attempt}`) : DONE
    })
    const wire = await openAsked(url, {})
    expect(await wire.request('tools/call', toolCall(1).params)).toMatchObject({ result: DONE.result })
    expect(calls.map(({ round }) => round)).toEqual([
      undefined,
      { requestState: 's0' },
      { requestState: 's1' },
      { requestState: 's2' },
    ])
    // A timer may be a millisecond early.
    for (const [index, least] of [249, 499, 999].entries()) {
      expect((times[index + 1] ?? 0) - (times[index] ?? 0)).toBeGreaterThanOrEqual(least)
    }
  })

  it.each([
    ['{}', { message: /^The tool needs input .* did not declare: elicitation \(form\), roots, sampling$/ }, {}],
    ['elicitation', { message: /did not declare: roots, sampling$/ }, { elicitation: {} }],
    [
      'elicitation by URL only',
      { message: /did not declare: elicitation \(form\)$/ },
      { elicitation: { url: {} }, roots: {}, sampling: {} },
    ],
  ])(
    'that a client with %s cannot be asked for is a failed tool, and nothing is asked',
    async (_, { message }, caps) => {
      const { url, calls } = await open(() => needs({ f: FORM, r: ROOTS, s: SAMPLING }))
      const wire = await openAsked(url, caps)
      const response = await wire.post(toolCall(1))
      expect(response.headers.get('content-type')).toBe('application/json')
      const { result } = (await response.json()) as { result: JsonObject }
      expect(result).toEqual({ isError: true, content: [{ type: 'text', text: expect.stringMatching(message) }] })
      expect(calls).toHaveLength(1)
    },
  )

  it('that a client cannot be asked for is an error of anything but a tool', async () => {
    const { url } = await open(() => needs({ u: URL }))
    const wire = await openAsked(url, { elicitation: {} })
    expect(await wire.request('prompts/get', { name: 'a_ask' })).toMatchObject({
      error: {
        code: -32603,
        message: expect.stringContaining('elicitation (url)'),
        data: { requiredCapabilities: { elicitation: { url: {} } } },
      },
    })
  })

  it('is a failed tool, and an error of anything else, when the client answers with an error; the other questions end', async () => {
    const { url, calls } = await open(() => needs({ f: FORM, r: ROOTS }))
    const wire = await openAsked(url, EVERYTHING)
    const asTool = messageReader(await wire.post(toolCall(1)))
    const [form, roots] = [await asTool(), await asTool()]
    const refused = { code: -1, message: 'User rejected', data: 7 }
    await wire.post({ jsonrpc: '2.0', id: form.id, error: refused })
    expect(await asTool()).toMatchObject({ method: 'notifications/cancelled', params: { requestId: roots.id } })
    expect(await asTool()).toMatchObject({
      id: 1,
      result: { isError: true, content: [{ text: expect.stringContaining('User rejected') }] },
    })
    const asPrompt = messageReader(
      await wire.post({ jsonrpc: '2.0', id: 2, method: 'prompts/get', params: { name: 'a_ask' } }),
    )
    await wire.post({ jsonrpc: '2.0', id: (await asPrompt()).id, error: refused })
    expect([await asPrompt(), await asPrompt(), await asPrompt()]).toMatchObject([
      ROOTS,
      { method: 'notifications/cancelled' },
      { id: 2, error: refused },
    ])
    expect(calls).toHaveLength(2)
  })

  it.each([
    [needs(['x']), '"inputRequests" is no object'],
    [needs({ a: 'x' }), 'the entry "a" of "inputRequests" is no object'],
    [needs({ a: {} }), 'the entry "a" of "inputRequests" has no method'],
    [needs({ a: { method: 'ping' } }), 'the entry "a" of "inputRequests" has the unknown method "ping"'],
    [
      needs({ a: { method: 'roots/list', params: [] } }),
      'the params of the entry "a" of "inputRequests" are no object',
    ],
    [needs({ a: ROOTS }, 7), '"requestState" is no string'],
    [needs(undefined), 'neither "inputRequests" nor "requestState"'],
    [needs({}), 'neither "inputRequests" nor "requestState"'],
  ])('in a way that cannot be followed is an error: %j', async (outcome, what) => {
    const { url } = await open(() => outcome)
    const wire = await openAsked(url, EVERYTHING)
    expect(await wire.request('tools/call', toolCall(1).params)).toMatchObject({
      error: { code: -32603, message: `The server needs input in a way that cannot be followed: ${what}` },
    })
  })
})

describe('a call in a round', () => {
  const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }

  it('is cancelled by notification: its questions are taken back, nothing is repeated', async () => {
    const { url, calls, sessions } = await open(() => needs({ f: FORM, r: ROOTS }))
    const wire = await openAsked(url, EVERYTHING)
    const next = messageReader(await wire.post(toolCall(1)))
    const [form, roots] = [await next(), await next()]
    await wire.post(cancel)
    expect([await next(), await next(), await next(), await next()]).toMatchObject([
      { method: 'notifications/cancelled', params: { requestId: form.id } },
      { method: 'notifications/cancelled', params: { requestId: roots.id } },
      { id: 1, error: { message: 'Request cancelled' } },
      undefined as never,
    ])
    expect(calls).toHaveLength(1)
    const [session] = sessions.live()
    expect([session?.asks?.size, session?.calls.size]).toEqual([0, 0])
  })

  it('is cancelled while it waits to be repeated', async () => {
    const { url, calls } = await open(() => needs(undefined, 's'))
    const wire = await openAsked(url, {})
    const answer = wire.post(toolCall(1))
    await vi.waitFor(() => expect(calls).toHaveLength(1))
    await wire.post(cancel)
    expect(await (await answer).json()).toMatchObject({ error: { message: 'Request cancelled' } })
    expect(calls).toHaveLength(1)
  })

  it('is cancelled while its server works on the answers', async () => {
    const { url, calls } = await open((attempt, { signal }) => {
      if (attempt === 0) return needs({ r: ROOTS })
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))))
    })
    const wire = await openAsked(url, EVERYTHING)
    const next = messageReader(await wire.post(toolCall(1)))
    await wire.post({ jsonrpc: '2.0', id: (await next()).id, result: { roots: [] } })
    await vi.waitFor(() => expect(calls).toHaveLength(2))
    await wire.post(cancel)
    expect(await next()).toMatchObject({ id: 1, error: { message: 'Request cancelled' } })
    expect(await next()).toBeUndefined()
  })

  it('ends with its session', async () => {
    const { url } = await open(() => needs({ r: ROOTS }))
    const wire = await openAsked(url, EVERYTHING)
    const next = messageReader(await wire.post(toolCall(1)))
    expect(await next()).toMatchObject(ROOTS)
    await wire.remove()
    const rest = [await next(), await next()]
    expect(rest).toMatchObject([{ method: 'notifications/cancelled' }, { id: 1, error: {} }])
  })

  it('reports progress under the client’s own token, growing over all rounds', async () => {
    const step = (call: Call, params: JsonObject) =>
      call.notify({ jsonrpc: '2.0', method: 'notifications/progress', params })
    const { url } = await open((attempt, call) => {
      // Starts anew, from 1 and from 0; goes on where it was.
      const from = [1, 1, 0, 50][attempt] ?? 0
      step(call, { progress: from, total: 2, message: `round ${attempt}` })
      step(call, { progress: from + 1 })
      return attempt < 3 ? needs({ r: ROOTS }) : DONE
    })
    const wire = await openAsked(url, EVERYTHING)
    const next = messageReader(await wire.post(toolCall(1, { progressToken: 't' })))
    const seen: JsonObject[] = []
    for (let message = await next(); message !== undefined; message = await next()) {
      if (message.method === 'notifications/progress') seen.push(message.params)
      if (message.method === 'roots/list') await wire.post({ jsonrpc: '2.0', id: message.id, result: { roots: [] } })
    }
    expect(seen).toEqual([
      { progress: 1, total: 2, message: 'round 0', progressToken: 't' },
      { progress: 2, progressToken: 't' },
      { progress: 3, total: 4, message: 'round 1', progressToken: 't' },
      { progress: 4, progressToken: 't' },
      { progress: 5, total: 7, message: 'round 2', progressToken: 't' },
      { progress: 6, progressToken: 't' },
      { progress: 50, total: 2, message: 'round 3', progressToken: 't' },
      { progress: 51, progressToken: 't' },
    ])
  })
})
