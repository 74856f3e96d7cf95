import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../../core/auth.ts'
import { RpcError } from '../../../core/errors.ts'
import type { Ask, Call, Outcome } from '../../../core/gateway/call.ts'
import { openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { answers, form, say, toolsThat, type Heard } from '../../fixtures/core/asked.ts'

const opened: Faces[] = []
afterEach(async () => {
  vi.useRealTimers()
  await Promise.all(opened.splice(0).map((faces) => faces.close()))
})

const authenticate = (request: Request): Principal => ({ id: request.headers.get('x-user') ?? 'anna', roles: [] })
const STATE = 'state of the server'

/** Faces before a stateless server that needs this until it is told anything, and what it was told. */
async function open(needs: Outcome | RpcError, options: Parameters<typeof openFaces>[1] = {}) {
  const calls: Call[] = []
  const work = async (call: Call) => {
    calls.push(call)
    if (call.round !== undefined) return { told: call.round }
    if (needs instanceof Error) throw needs
    return needs
  }
  const source = toolsThat({ book: work, pay: work, 'a://1': work })
  const lists = { ...source.lists, prompts: [{ name: 'book' }], resources: [{ uri: 'a://1' }] }
  const faces = await openFaces([{ ...source, lists }], { authenticate, ...options })
  opened.push(faces)
  return { url: faces.url, calls }
}

function needs(inputRequests?: Record<string, Ask>, requestState?: string): Outcome {
  const result = { ...(inputRequests && { inputRequests }), ...(requestState !== undefined && { requestState }) }
  return { kind: 'input_required', result }
}

function expectRefused({ status, error }: Heard): void {
  expect([status, error?.code]).toEqual([200, -32602])
  expect(error.message).toMatch(/expired; call again/)
}

describe('what a stateless server needs', () => {
  it.each([
    ['tools/call', 'book'],
    ['prompts/get', 'book'],
    ['resources/read', 'a://1'],
  ])('is passed on in answer to %s, its state sealed, and what the client says goes back', async (method, name) => {
    const vendor = { ...form('Which day?'), 'x-vendor': 1 }
    const { url, calls } = await open(needs({ 'their key': vendor }, STATE))
    const asked = await say(url, name, { method })
    expect(asked).toMatchObject({ status: 200, type: 'input_required' })
    expect(asked.result.inputRequests).toEqual({ 'their key': vendor })
    expect(asked.result).not.toHaveProperty('ttlMs')
    expect(asked.result.requestState).not.toContain(STATE)
    const { result } = await say(url, name, { method, ...answers(asked, { day: 'Mo' }) })
    expect(result).toMatchObject({
      resultType: 'complete',
      told: { inputResponses: { 'their key': { day: 'Mo' } }, requestState: STATE },
    })
    for (const { params } of calls) expect(params).toEqual(method === 'resources/read' ? { uri: name } : { name })
  })

  it.each([null, 7, 'text', [], {}, { 'their key': null }, { other: [1] }])(
    'is answered with %j as it is: the server judges',
    async (inputResponses) => {
      const { url } = await open(needs({ 'their key': form('x') }))
      const asked = await say(url, 'book')
      expect(asked.result).not.toHaveProperty('requestState')
      expect((await say(url, 'book', { inputResponses })).result.told).toEqual({ inputResponses })
    },
  )

  it('may be a state alone, or the empty one', async () => {
    for (const state of [STATE, '']) {
      const { url } = await open(needs(undefined, state))
      const asked = await say(url, 'book', { capabilities: {} })
      expect(asked.type).toBe('input_required')
      expect(asked.result).not.toHaveProperty('inputRequests')
      const { requestState } = asked.result
      expect((await say(url, 'book', { requestState })).result.told).toEqual({ requestState: state })
    }
  })

  it('may be used as often as the server likes, for a day', async () => {
    const { url } = await open(needs({}, STATE))
    const asked = await say(url, 'book')
    for (let times = 0; times < 2; times++) {
      expect((await say(url, 'book', answers(asked))).result.told.requestState).toBe(STATE)
    }
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 24 * 3_600_000 })
    expectRefused(await say(url, 'book', answers(asked)))
  })

  it('is of no use to another principal, tool or method, nor changed, nor as the server gave it out', async () => {
    const { url, calls } = await open(needs({}, STATE))
    const asked = await say(url, 'book')
    const { requestState } = asked.result
    expectRefused(await say(url, 'book', { requestState, headers: { 'x-user': 'bert' } }))
    expectRefused(await say(url, 'pay', { requestState }))
    expectRefused(await say(url, 'book', { requestState, method: 'prompts/get' }))
    expectRefused(await say(url, 'book', { requestState: `${requestState}x` }))
    expectRefused(await say(url, 'book', { requestState: STATE }))
    expect(calls).toHaveLength(1)
  })

  it('survives a restart', async () => {
    const before = await open(needs({}, STATE))
    const asked = await say(before.url, 'book')
    const after = await open(needs({}, STATE))
    expect((await say(after.url, 'book', answers(asked))).result.told.requestState).toBe(STATE)
  })

  it.each<[string, object, Record<string, Ask>, object]>([
    ['all of it', {}, { a: form('x'), b: { method: 'roots/list' } }, { elicitation: { form: {} }, roots: {} }],
    [
      'a part',
      { elicitation: {} },
      { a: { method: 'elicitation/create', params: { mode: 'url' } } },
      { elicitation: { url: {} } },
    ],
    [
      'one of two',
      { sampling: {}, roots: {} },
      { a: { method: 'sampling/createMessage', params: { tools: [] } }, b: { method: 'roots/list' } },
      { sampling: { tools: {} } },
    ],
  ])(
    'of a client that did not declare %s is refused with what is missing',
    async (_what, capabilities, asks, missing) => {
      const { url } = await open(needs(asks, STATE))
      const { status, error } = await say(url, 'book', { capabilities })
      expect([status, error.code, error.data]).toEqual([400, -32021, { requiredCapabilities: missing }])
    },
  )

  it('is an error where it is no question, or the request has no rounds', async () => {
    const strange = await open(needs({ a: { method: 'tools/call' } }))
    expect((await say(strange.url, 'book')).error).toMatchObject({
      code: -32603,
      message: expect.stringMatching('tools/call'),
    })
    const { url } = await open(needs({ a: form('x') }))
    const more = { ref: { type: 'ref/prompt', name: 'book' }, argument: { name: 'x', value: '' } }
    const { error } = await say(url, 'book', { method: 'completion/complete', more })
    expect(error).toMatchObject({ code: -32603, message: expect.stringMatching('completion/complete') })
  })
})

describe('a session-based server that wants URLs opened first', () => {
  const elicitations = [1, 2].map((at) => ({
    mode: 'url',
    url: `https://x.example/${at}`,
    message: `Pay ${at}`,
    elicitationId: `e${at}`,
  }))
  const error = (data: any) => new RpcError(-32042, 'Pay first', data)

  it('has the client asked; its next request runs the call again', async () => {
    const { url, calls } = await open(error({ elicitations }))
    const asked = await say(url, 'book')
    expect(asked.type).toBe('input_required')
    expect(asked.result).not.toHaveProperty('requestState')
    expect(Object.values(asked.result.inputRequests)).toEqual(
      [1, 2].map((at) => ({
        method: 'elicitation/create',
        params: { mode: 'url', url: `https://x.example/${at}`, message: `Pay ${at}` },
      })),
    )
    const { inputResponses } = answers(asked, { action: 'accept' })
    expect((await say(url, 'book', { inputResponses })).type).toBe('complete')
    expect(calls).toHaveLength(2)
  })

  it.each([{}, { elicitation: {} }, { elicitation: { form: {} } }])(
    'of a client with %j is refused',
    async (capabilities) => {
      const { url } = await open(error({ elicitations }))
      const { status, error: refused } = await say(url, 'book', { capabilities })
      expect([status, refused.code, refused.data]).toEqual([
        400,
        -32021,
        { requiredCapabilities: { elicitation: { url: {} } } },
      ])
    },
  )

  it.each([
    undefined,
    null,
    {},
    { elicitations: [] },
    { elicitations: [7] },
    { elicitations: [...elicitations, { url: 'u' }] },
  ])('and says so in a way that cannot be followed (%j) has failed', async (data) => {
    const { url } = await open(error(data))
    expect((await say(url, 'book')).error).toMatchObject({ code: -32603, message: 'Pay first' })
  })
})
