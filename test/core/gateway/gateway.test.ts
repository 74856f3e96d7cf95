import { describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../../core/auth.ts'
import type { Outcome } from '../../../core/gateway/call.ts'
import { createGateway } from '../../../core/gateway/gateway.ts'
import { Names } from '../../../core/gateway/names.ts'
import type { Source, Sources } from '../../../core/gateway/source.ts'
import { captureLog } from '../../harness.ts'
import { callOf, peerOf, SETTLED, sourceOf, toolsOf, userWith } from '../../fixtures/core/source.ts'

function open(all: readonly Source[], sources: Omit<Sources, 'all'> = SETTLED) {
  const { logger, text } = captureLog()
  const names = { tools: new Names(64), prompts: new Names(64) }
  // A live view, as the real one is.
  const view: Sources = {
    all,
    get pending() {
      return sources.pending
    },
    settled: sources.settled,
  }
  const gateway = createGateway({ sources: view, names, middleware: [], logger, firstListWait: 1 })
  return { gateway, log: text }
}

const a = sourceOf('a', { tools: toolsOf('one', 'two'), prompts: [{ name: 'one' }], resources: [{ uri: 'x://a' }] })
const b = sourceOf('b', { tools: toolsOf('one'), templates: [{ uriTemplate: 'y://{id}' }] })

function resultOf(outcome: Outcome) {
  return outcome.result as Record<string, unknown>
}

describe('calls', () => {
  it('reach the server under its own name', async () => {
    const { gateway } = open([a, b])
    const outcome = await gateway.call(callOf('tools/call', { name: 'b_one', arguments: { x: 1 } }))
    expect(resultOf(outcome)).toEqual({
      server: 'b',
      method: 'tools/call',
      params: { name: 'one', arguments: { x: 1 } },
    })
    expect(resultOf(await gateway.call(callOf('prompts/get', { name: 'a_one' })))).toMatchObject({
      server: 'a',
      params: { name: 'one' },
    })
    expect(resultOf(await gateway.call(callOf('resources/read', { uri: 'y://7' })))).toMatchObject({ server: 'b' })
  })

  it('complete arguments of prompts under their own name, and of templates at their owner', async () => {
    const { gateway } = open([a, b])
    const argument = { name: 'x', value: 'y' }
    const ofPrompt = await gateway.call(
      callOf('completion/complete', { ref: { type: 'ref/prompt', name: 'a_one' }, argument }),
    )
    expect(resultOf(ofPrompt)).toMatchObject({ server: 'a', params: { ref: { type: 'ref/prompt', name: 'one' } } })
    const ofTemplate = await gateway.call(
      callOf('completion/complete', { ref: { type: 'ref/resource', uri: 'y://{id}' }, argument }),
    )
    expect(resultOf(ofTemplate)).toMatchObject({ server: 'b', params: { ref: { uri: 'y://{id}' } } })
  })

  it.each([
    ['tools/call', { name: 'nothing' }, -32602, 'Unknown tool: nothing'],
    ['tools/call', { name: 7 }, -32602, '"name" must be the name of a tool'],
    ['tools/call', {}, -32602, '"name" must be the name of a tool'],
    ['tools/call', { name: '__proto__' }, -32602, 'Unknown tool: __proto__'],
    ['prompts/get', { name: ['a_one'] }, -32602, '"name" must be the name of a prompt'],
    ['resources/read', { uri: null }, -32602, '"uri" must be the URI of a resource'],
    ['resources/read', { uri: 'q://nobody' }, -32002, 'Resource not found: q://nobody'],
    ['completion/complete', {}, -32602, 'completion/complete: "ref" must be an object'],
    ['completion/complete', { ref: { type: 'ref/prompt' } }, -32602, '"name" must be the name of a prompt'],
    ['completion/complete', { ref: { type: 'ref/other' } }, -32602, '"uri" must be the URI of a resource'],
    ['tools/list', { cursor: 'garbage' }, -32602, 'Invalid cursor'],
  ] as const)('%s %j is refused', async (method, params, code, message) => {
    const { gateway } = open([a, b])
    await expect(gateway.call(callOf(method, params))).rejects.toMatchObject({ code, message })
  })
})

describe('permissions', () => {
  const listed = async (gateway: ReturnType<typeof open>['gateway'], kind: string, key: string, who: Principal) =>
    (resultOf(await gateway.call(callOf(`${kind}/list` as 'tools/list', {}, who)))[key] as { name?: string }[]).map(
      (item) => item.name ?? ('uri' in item ? item.uri : undefined),
    )

  it('filter lists by the exposed name; resources show where any tool of their server is allowed', async () => {
    const { gateway } = open([a, b])
    const someone = userWith('a_*')
    expect(await listed(gateway, 'tools', 'tools', someone)).toEqual(['a_one', 'a_two'])
    expect(await listed(gateway, 'prompts', 'prompts', someone)).toEqual(['a_one'])
    expect(await listed(gateway, 'resources', 'resources', someone)).toEqual(['x://a'])
    expect(await listed(gateway, 'resources', 'resources', userWith('b_*'))).toEqual([])
    expect(await listed(gateway, 'tools', 'tools', userWith())).toEqual([])
  })

  it('let a forbidden name answer exactly like an unknown one', async () => {
    const { gateway } = open([a, b])
    const someone = userWith('b_*')
    const fail = async (method: 'tools/call' | 'prompts/get' | 'resources/read', params: Record<string, string>) =>
      gateway.call(callOf(method, params, someone)).then(
        () => 'no failure at all',
        ({ code, message, data }) => JSON.stringify({ code, message, data }),
      )
    const same = async (method: Parameters<typeof fail>[0], key: string, forbidden: string, unknown: string) =>
      expect((await fail(method, { [key]: forbidden })).replaceAll(forbidden, unknown)).toBe(
        await fail(method, { [key]: unknown }),
      )
    await same('tools/call', 'name', 'a_one', 'a_nothing')
    await same('prompts/get', 'name', 'a_one', 'a_nothing')
    await same('resources/read', 'uri', 'x://a', 'q://nobody')
    await expect(gateway.call(callOf('tools/call', { name: 'b_one' }, someone))).resolves.toBeDefined()
  })
})

describe('servers on their first connect', () => {
  it('are waited for by lists and by unknown names, not by known ones', async () => {
    const tools = toolsOf('one')
    let waited = 0
    const late = { tools: [] as typeof tools, prompts: [], resources: [], templates: [] }
    const pending: Omit<Sources, 'all'> = {
      pending: true,
      settled: async () => {
        waited++
        late.tools = tools
        gateway.refresh(['tools'])
      },
    }
    const { gateway } = open([a, sourceOf('late', {}, { lists: late })], pending)
    await gateway.call(callOf('tools/call', { name: 'a_one' }))
    expect(waited).toBe(0)
    expect(resultOf(await gateway.call(callOf('tools/call', { name: 'late_one' })))).toMatchObject({ server: 'late' })
    expect(waited).toBe(1)
    const list = resultOf(await gateway.call(callOf('tools/list', {})))
    expect(list.tools).toHaveLength(3)
    expect(waited).toBe(2)
  })
})

describe('changes', () => {
  const listen = (gateway: ReturnType<typeof open>['gateway'], party: string) => {
    const heard: string[] = []
    return { heard, ...gateway.subscribe(peerOf(party), ({ kind }) => heard.push(kind)) }
  }

  it('of one moment are told as one, templates as resources', async () => {
    const { gateway } = open([a])
    const { heard } = listen(gateway, 'p')
    for (const kinds of [['tools'], ['tools', 'templates'], ['resources'], ['tools']] as const) gateway.refresh(kinds)
    await vi.waitFor(() => expect(heard).toEqual(['tools', 'resources']))
    gateway.close()
  })

  it('are not told to who has left, nor after the end', async () => {
    const { gateway } = open([a])
    const [left, stayed] = [listen(gateway, 'one'), listen(gateway, 'two')]
    left.close()
    gateway.refresh(['tools'])
    await vi.waitFor(() => expect(stayed.heard).toEqual(['tools']))
    expect(left.heard).toEqual([])
    vi.useFakeTimers()
    gateway.refresh(['prompts'])
    gateway.close()
    gateway.refresh(['prompts'])
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })

  it('warn once about a URI of two servers, however often lists are merged', () => {
    const { gateway, log } = open([a, sourceOf('c', { resources: [{ uri: 'x://a' }] })])
    gateway.refresh(['resources'])
    gateway.refresh(['resources'])
    expect(log().match(/also lists x:\/\/a/g)).toHaveLength(1)
    gateway.close()
  })
})
