import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../../core/auth.ts'
import { createStates } from '../../../core/downstream/state.ts'
import type { Call } from '../../../core/gateway/call.ts'
import { createKeys } from '../../../core/keys.ts'
import { openProxy, type TestProxy } from '../../harness.ts'
import { openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { inside } from '../../fixtures/core/inside.ts'
import { answers, form, never, say, toolsThat, type Heard } from '../../fixtures/core/asked.ts'

const opened: (Faces | TestProxy)[] = []
afterEach(async () => {
  vi.useRealTimers()
  await Promise.all(opened.splice(0).map((each) => each.close()))
})

/** Whoever a request says it is from. */
const authenticate = (request: Request): Principal => ({ id: request.headers.get('x-user') ?? 'anna', roles: [] })
const bert = { headers: { 'x-user': 'bert' } }

/** Faces before two tools and a prompt that ask once, and how often each was run. */
async function open(secret?: string) {
  const runs: string[] = []
  const ask = (name: string) => async (call: Call) => {
    runs.push(name)
    return { said: await call.ask(form('Sure?'), never()) }
  }
  const source = toolsThat({ pay: ask('pay'), gift: ask('gift') })
  const all = [{ ...source, lists: { ...source.lists, prompts: [{ name: 'pay' }] } }]
  const faces = await openFaces(all, { authenticate, ...(secret !== undefined && { secret }) })
  opened.push(faces)
  return { url: faces.url, runs }
}

/** A state that is refused: nothing is run, and the message says what to do. */
function expectRefused({ status, error }: Heard): void {
  expect([status, error?.code]).toEqual([200, -32602])
  expect(error.message).toMatch(/expired; call again/)
}

describe('a requestState', () => {
  it('of another principal is refused', async () => {
    const { url, runs } = await open()
    const asked = await say(url, 'pay')
    expectRefused(await say(url, 'pay', { ...answers(asked), ...bert }))
    expect(await say(url, 'pay', answers(asked))).toMatchObject({ type: 'complete' })
    expect(runs).toEqual(['pay'])
  })

  it('of another OAuth client of the principal is refused, and good for its own', async () => {
    const runs: unknown[] = []
    const faces = await openFaces(
      [
        toolsThat({
          async pay(call) {
            runs.push(call.round)
            return { said: await call.ask(form('Sure?'), never()) }
          },
          async own({ round }) {
            return round?.requestState === 'mine'
              ? { done: true }
              : { kind: 'input_required', result: { requestState: 'mine', inputRequests: { a: form('Sure?') } } }
          },
        }),
      ],
      { authenticate: ({ headers }) => ({ id: 'anna', roles: [], client: headers.get('x-client') ?? 'app' }) },
    )
    opened.push(faces)
    for (const name of ['pay', 'own']) {
      const asked = await say(faces.url, name)
      expectRefused(await say(faces.url, name, { ...answers(asked), headers: { 'x-client': 'other' } }))
      expect(await say(faces.url, name, answers(asked))).toMatchObject({ type: 'complete' })
    }
    expect(runs).toHaveLength(1)
  })

  it.each(['tools/call', 'prompts/get', 'resources/read'])(
    'of a %s that is no longer permitted is refused, and good again once it is',
    async (method) => {
      const source = toolsThat({ pay: async (call) => ({ said: await call.ask(form('Sure?'), never()) }) })
      const lists = { ...source.lists, prompts: [{ name: 'pay' }], resources: [{ uri: 'pay', name: 'pay' }] }
      const faces = await openFaces([{ ...source, lists }], {
        authenticate: ({ headers }) => ({
          id: 'anna',
          roles: [],
          permissions: { allowedTools: headers.has('x-none') ? [] : ['pay'] },
        }),
      })
      opened.push(faces)
      const asked = await say(faces.url, 'pay', { method })
      expect(asked.type).toBe('input_required')
      expectRefused(await say(faces.url, 'pay', { ...answers(asked), method, headers: { 'x-none': '1' } }))
      expect(await say(faces.url, 'pay', { ...answers(asked), method })).toMatchObject({ type: 'complete' })
    },
  )

  it('of another tool is refused', async () => {
    const { url, runs } = await open()
    const asked = await say(url, 'pay')
    expectRefused(await say(url, 'gift', answers(asked)))
    expect(runs).toEqual(['pay'])
  })

  it('of another method is refused', async () => {
    const { url, runs } = await open()
    const asked = await say(url, 'pay')
    expectRefused(await say(url, 'pay', { ...answers(asked), method: 'prompts/get' }))
    expectRefused(await say(url, 'pay', { ...answers(asked), method: 'tools/list' }))
    expect(runs).toEqual(['pay'])
  })

  it('that was tampered with is refused', async () => {
    const { url, runs } = await open()
    const asked = await say(url, 'pay')
    const { requestState, inputResponses } = answers(asked)
    for (let at = 0; at < requestState.length; at += 7) {
      const other = requestState[at] === 'A' ? 'B' : 'A'
      const changed = requestState.slice(0, at) + other + requestState.slice(at + 1)
      expectRefused(await say(url, 'pay', { inputResponses, requestState: changed }))
    }
    for (const changed of [
      '',
      'x',
      `${requestState}=`,
      ` ${requestState}`,
      requestState.slice(1),
      7,
      null,
      {},
      [requestState],
    ]) {
      expectRefused(await say(url, 'pay', { inputResponses, requestState: changed }))
    }
    expect(await say(url, 'pay', answers(asked))).toMatchObject({ type: 'complete' })
    expect(runs).toEqual(['pay'])
  })

  it('that was used is refused', async () => {
    const { url, runs } = await open()
    const asked = await say(url, 'pay')
    expect(await say(url, 'pay', answers(asked))).toMatchObject({ type: 'complete' })
    expectRefused(await say(url, 'pay', answers(asked)))
    expect(runs).toEqual(['pay'])
  })

  it('of an earlier round is refused, and the later one still good', async () => {
    const { url, runs } = await open()
    const first = await say(url, 'pay')
    const second = await say(url, 'pay', { requestState: first.result.requestState })
    expect(second.type).toBe('input_required')
    expectRefused(await say(url, 'pay', answers(first)))
    expect(await say(url, 'pay', answers(second))).toMatchObject({ type: 'complete' })
    expect(runs).toEqual(['pay'])
  })

  it('used twice at once is good once', async () => {
    const { url, runs } = await open()
    const asked = await say(url, 'pay')
    const both = await Promise.all([say(url, 'pay', answers(asked)), say(url, 'pay', answers(asked))])
    expect(both.filter(({ type }) => type === 'complete')).toHaveLength(1)
    expectRefused(both.find(({ error }) => error !== undefined) as Heard)
    expect(runs).toEqual(['pay'])
  })

  it('that has expired is refused', async () => {
    const { url, runs } = await open()
    const asked = await say(url, 'pay')
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5 * 60_000 })
    expectRefused(await say(url, 'pay', answers(asked)))
    vi.useRealTimers()
    expect(await say(url, 'pay', answers(asked))).toMatchObject({ type: 'complete' })
    expect(runs).toEqual(['pay'])
  })

  it('of another key ring is refused', async () => {
    const [one, other] = [await open('a'.repeat(32)), await open('b'.repeat(32))]
    const asked = await say(one.url, 'pay')
    expectRefused(await say(other.url, 'pay', answers(asked)))
    expect([one.runs, other.runs]).toEqual([['pay'], []])
  })

  it('of before a restart is refused: the call is not run a second time', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-test-'))
    let runs = 0
    const start = async () => {
      const fake = inside((request, connection) => {
        if (request.method === 'initialize')
          return { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: {} }
        if (request.method === 'tools/list') return { tools: [{ name: 'pay', inputSchema: { type: 'object' } }] }
        if (request.method !== 'tools/call') return {}
        runs++
        const params = { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } }
        connection.say({ jsonrpc: '2.0', id: 'q', method: 'elicitation/create', params })
        return undefined
      })
      const proxy = await openProxy({
        plugins: [fake.plugin, 'storage-fs'] as never,
        mcpServers: { in: { type: 'inside' } } as never,
        dataDir,
      })
      opened.push(proxy)
      return proxy
    }
    try {
      const before = await start()
      const asked = await say(before.url, 'in_pay')
      expect(asked.type).toBe('input_required')
      await before.close()
      const after = await start()
      expectRefused(await say(after.url, 'in_pay', answers(asked)))
      expect(runs).toBe(1)
      await Promise.all(opened.splice(0).map((each) => each.close()))
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  })
})

describe('sealed states', () => {
  const keys = createKeys(['s'.repeat(32)])
  const states = createStates(keys)
  const bound = { owner: 'anna', method: 'tools/call', name: 'pay' }
  const server = { kind: 'server', state: 'state of the server', expires: Date.now() + 3_600_000 } as const

  it('open for the request they were made for, and say nothing to anybody', () => {
    const sealed = states.seal(server, bound)
    expect(states.open(sealed, { ...bound })).toEqual(server)
    expect(Buffer.from(sealed, 'base64url').toString('latin1')).not.toContain('state of')
  })

  it.each([
    { owner: 'bert' },
    { name: 'pa' },
    { name: undefined },
    { method: 'prompts/get' },
    { owner: 'anna","tools/call', method: 'x' },
  ])('do not open for %j', (other) => {
    expect(states.open(states.seal(server, bound), { ...bound, ...other })).toBeUndefined()
  })

  it.each([{}, 7, { kind: 'parked' }, { ...server, expires: 'never' }, { ...server, kind: 'other' }])(
    'that hold %j, sealed by another version, do not open',
    (value) => {
      const sealed = keys.seal('state', JSON.stringify(value), JSON.stringify(['anna', 'tools/call', 'pay']))
      expect(states.open(sealed, bound)).toBeUndefined()
    },
  )
})
