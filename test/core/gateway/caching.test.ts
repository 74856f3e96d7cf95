import { describe, expect, it } from 'vitest'
import { cachingOf, mergeCaching } from '../../../core/gateway/caching.ts'
import { createGateway } from '../../../core/gateway/gateway.ts'
import { Names } from '../../../core/gateway/names.ts'
import type { Caching, Source } from '../../../core/gateway/source.ts'
import type { JsonObject } from '../../../core/wire/jsonrpc.ts'
import { captureLog } from '../../harness.ts'
import { callOf, SETTLED, sourceOf, toolsOf, userWith } from '../../fixtures/core/source.ts'

const of = (ttlMs: number, cacheScope: Caching['cacheScope'] = 'public'): Caching => ({ ttlMs, cacheScope })
const serverOf = (name: string, caching?: Caching): Source =>
  sourceOf(
    name,
    { tools: toolsOf('one'), resources: [{ uri: `${name}://1` }] },
    caching && { caching: { tools: caching, resources: caching } },
  )

function open(all: readonly Source[], sources: { pending: boolean; settled(): Promise<void> } = { ...SETTLED }) {
  const names = { tools: new Names(64), prompts: new Names(64) }
  const gateway = createGateway({
    sources: Object.assign(sources, { all }),
    names,
    middleware: [],
    logger: captureLog().logger,
    firstListWait: 1,
  })
  const list = async (
    method: 'tools/list' | 'prompts/list' | 'resources/list' = 'tools/list',
    principal = userWith('*'),
  ) => {
    const outcome = await gateway.call(callOf(method, {}, principal))
    return outcome.result as JsonObject
  }
  const everybody = { id: 'local', roles: [] }
  return {
    gateway,
    caching: async (method?: Parameters<typeof list>[0], principal: typeof everybody = everybody) =>
      cachingOf(await list(method, principal)),
  }
}

describe('how long a merged list may be kept', () => {
  it.each<[string, (Caching | undefined)[], Caching]>([
    ['no server', [], of(0, 'private')],
    ['one server', [of(5000)], of(5000)],
    ['the shortest time', [of(5000), of(300), of(700)], of(300)],
    ['the strictest scope', [of(5000), of(9000, 'private')], of(5000, 'private')],
    ['one that says nothing', [of(5000), undefined], of(0, 'private')],
    ['one that says nothing, first', [undefined, of(5000)], of(0, 'private')],
  ])('%s: %j', async (_what, cachings, merged) => {
    const all = cachings.map((caching, at) => serverOf(`s${at}`, caching))
    expect(mergeCaching('tools', all)).toEqual(merged)
    expect(await open(all).caching()).toEqual(merged)
  })

  it('is said by those who contribute to it', async () => {
    const { caching } = open([serverOf('a', of(5000)), sourceOf('b', { prompts: [{ name: 'p' }] })])
    expect(await caching('tools/list')).toEqual(of(5000))
    expect(await caching('prompts/list')).toEqual(of(0, 'private'))
  })

  it('is private where it is cut to what somebody may use', async () => {
    const { caching } = open([serverOf('a', of(5000)), serverOf('b', of(300))])
    expect(await caching('tools/list', userWith('a_*') as never)).toEqual(of(5000, 'private'))
    expect(await caching('resources/list', userWith('*') as never)).toEqual(of(300, 'private'))
  })

  it('is the same for all pages', async () => {
    const tools = toolsOf(...Array.from({ length: 1001 }, (_, at) => `t${at}`))
    const { gateway } = open([sourceOf('a', { tools }, { caching: { tools: of(5000) } })])
    for (const params of [{}, { cursor: 'page-1' }]) {
      const outcome = await gateway.call(callOf('tools/list', params))
      expect(cachingOf(outcome.result as JsonObject)).toEqual(of(5000))
    }
  })

  it('is not at all while servers are on their first connect, and as they say after that', async () => {
    const sources = { pending: true, settled: async () => {} }
    const { caching } = open([serverOf('a', of(5000))], sources)
    expect(await caching()).toEqual(of(0, 'private'))
    sources.pending = false
    expect(await caching()).toEqual(of(5000))
  })

  it('changes with the servers', async () => {
    const a: { caching: Source['caching'] } & Source = Object.assign(sourceOf('a', { tools: toolsOf('one') }), {
      caching: { tools: of(5000) },
    })
    const { gateway, caching } = open([a])
    expect(await caching()).toEqual(of(5000))
    a.caching = { tools: of(1) }
    gateway.refresh(['tools'])
    expect(await caching()).toEqual(of(1))
  })
})
