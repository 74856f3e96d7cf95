import { afterEach, describe, expect, it } from 'vitest'
import { stamp } from '../../../core/downstream/results.ts'
import { complete } from '../../../core/gateway/call.ts'
import { isPrepared, prepare } from '../../../core/wire/serialise.ts'
import { openFaces, openAsked, type Faces } from '../../fixtures/core/faces.ts'
import { say } from '../../fixtures/core/asked.ts'
import { sourceOf, toolsOf, userWith } from '../../fixtures/core/source.ts'

const INFO = 'io.modelcontextprotocol/serverInfo'

const opened: Faces[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((faces) => faces.close()))))

async function open(...args: Parameters<typeof openFaces>): Promise<string> {
  const faces = await openFaces(...args)
  opened.push(faces)
  return faces.url
}

const caching = { ttlMs: 5000, cacheScope: 'public' } as const
const lists = {
  tools: [{ name: 'old', execution: { taskSupport: 'optional' }, inputSchema: { type: 'object' } }, ...toolsOf('new')],
  resources: [{ uri: 'a://1' }],
}
const server = (read: object = {}) =>
  sourceOf('a', lists, { caching: { tools: caching, resources: caching }, call: async () => complete(read as {}) })

describe('lists', () => {
  it('say how long they may be kept, as their servers do', async () => {
    const url = await open([server()])
    expect((await say(url, '', { method: 'tools/list' })).result).toMatchObject({ ...caching, resultType: 'complete' })
    expect((await say(url, '', { method: 'prompts/list' })).result).toMatchObject({ ttlMs: 0, cacheScope: 'private' })
  })

  it('are private where they depend on who asks', async () => {
    const url = await open([server()], { authenticate: () => userWith('a_*') })
    expect((await say(url, '', { method: 'tools/list' })).result).toMatchObject({ ttlMs: 5000, cacheScope: 'private' })
  })

  it('know nothing of tasks, which clients of sessions still hear of', async () => {
    const url = await open([server()])
    const { tools } = (await say(url, '', { method: 'tools/list' })).result
    expect(tools).toEqual([{ name: 'a_old', inputSchema: { type: 'object' } }, ...toolsOf('a_new')])
    const { result } = await (await openAsked(url)).request('tools/list')
    expect(Object.keys(result)).toEqual(['tools'])
    expect(result.tools[0].execution).toEqual({ taskSupport: 'optional' })
  })

  it('are made once', () => {
    const page = prepare({ tools: lists.tools })
    expect(stamp('tools/list', page, false)).toBe(stamp('tools/list', page, false))
    expect(isPrepared(stamp('tools/list', page, false))).toBe(true)
  })
})

describe('resources/read', () => {
  const read = async (result: object, options?: Parameters<typeof openFaces>[1]) =>
    (await say(await open([server(result)], options), 'a://1', { method: 'resources/read' })).result

  it('says what the server says of keeping it, and what it does not say', async () => {
    expect(await read({ ...caching, contents: [] })).toMatchObject({ ...caching, contents: [] })
    expect(await read({ ttlMs: 7 })).toMatchObject({ ttlMs: 7, cacheScope: 'private' })
    expect(await read({})).toMatchObject({ ttlMs: 0, cacheScope: 'private' })
    expect(await read({ ttlMs: -1, cacheScope: 'all' })).toMatchObject({ ttlMs: 0, cacheScope: 'private' })
  })

  it('is private where reading depends on who asks', async () => {
    const options = { authenticate: () => userWith('a_*') }
    expect(await read({ ...caching }, options)).toMatchObject({ ttlMs: 5000, cacheScope: 'private' })
  })
})

describe('results of calls', () => {
  it('come from the proxy, whatever the server says of itself, and keep all else', async () => {
    const said = { resultType: 'task', ttlMs: 3, content: [], _meta: { [INFO]: { name: 'their own' }, trace: 1 } }
    const { result } = await say(await open([server(said)]), 'a_new')
    expect(result).toEqual({
      resultType: 'complete',
      ttlMs: 3,
      content: [],
      _meta: { [INFO]: expect.objectContaining({ name: 'mcp-proxy-server' }), trace: 1 },
    })
  })
})
