import { describe, expect, it } from 'vitest'
import { complete, type Call } from '../../../core/gateway/call.ts'
import { messagesOf, postModern } from '../../harness.ts'
import { type Faces, facesPerTest } from '../../fixtures/core/faces.ts'
import { logOf, SETTLED, sourceOf, toolsOf, userWith, watchedSource } from '../../fixtures/core/source.ts'

const LEVEL = 'io.modelcontextprotocol/logLevel'

const open = facesPerTest()

describe('the log of a call', () => {
  const calls: Call[] = []
  const server = sourceOf(
    'a',
    { tools: toolsOf('talk') },
    {
      async call(call) {
        calls.push(call)
        for (const level of ['debug', 'info', 'error', 'loud']) call.notify(logOf(level, level))
        return complete({ done: true })
      },
    },
  )
  const talk = (url: string, _meta: object) => postModern(url, 'tools/call', { name: 'a_talk', _meta })

  it('is sent from the level up that the request asks for, and not at all without', async () => {
    const { url } = await open([server])
    const heard = async (_meta: object) =>
      (await messagesOf(await talk(url, _meta))).flatMap(({ params }) => (params ? [params.level] : []))
    expect(await heard({})).toEqual([])
    expect(await heard({ [LEVEL]: 'debug' })).toEqual(['debug', 'info', 'error'])
    expect(await heard({ [LEVEL]: 'notice' })).toEqual(['error'])
    expect(calls.map(({ logLevel }) => logLevel)).toEqual([undefined, 'debug', 'notice'])
    // It is about this hop: the server must not see it among the parameters.
    expect(calls.every(({ params }) => !JSON.stringify(params).includes('logLevel'))).toBe(true)
  })

  it.each(['loud', 7, null, {}])('at a level that is none is refused: %j', async (level) => {
    const { url } = await open([server])
    const response = await talk(url, { [LEVEL]: level })
    expect([response.status, await response.json()]).toMatchObject([400, { id: 1, error: { code: -32602 } }])
  })
})

describe('server/discover', () => {
  const all = [sourceOf('a', { tools: toolsOf('one') }, { instructions: 'Be brief.' }), sourceOf('b')]
  const discover = async ({ url }: Faces) => ((await (await postModern(url, 'server/discover')).json()) as any).result

  it('says what is served, and what servers say of themselves', async () => {
    expect(await discover(await open(all))).toMatchObject({
      capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } },
      instructions: '## a\n\nBe brief.',
      ttlMs: 3_600_000,
      cacheScope: 'public',
    })
  })

  it('is kept only once every server had its say, and privately where it depends on who asks', async () => {
    const settling = await open(all, { sources: { ...SETTLED, pending: true } })
    expect(await discover(settling)).toMatchObject({ ttlMs: 0 })
    const result = await discover(await open(all, { authenticate: () => userWith('b_*') }))
    expect(result).toMatchObject({ cacheScope: 'private' })
    expect(result).not.toHaveProperty('instructions')
  })
})

describe('a party of one request', () => {
  it('is gone for good after it; the one local user is not', async () => {
    for (const [oneParty, gone] of [
      [true, 0],
      [false, 2],
    ] as const) {
      const server = watchedSource('a', { tools: toolsOf('one') })
      const { url } = await open([server], { oneParty })
      for (const name of ['a_one', 'nothing']) await (await postModern(url, 'tools/call', { name })).text()
      expect(new Set(server.gone).size).toBe(gone)
    }
  })
})
