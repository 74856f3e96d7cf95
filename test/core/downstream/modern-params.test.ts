import { afterEach, describe, expect, it } from 'vitest'
import type { Call } from '../../../core/gateway/call.ts'
import { complete } from '../../../core/gateway/call.ts'
import type { Source } from '../../../core/gateway/source.ts'
import { postModern } from '../../harness.ts'
import { openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { answers, form, never, say, toolsThat } from '../../fixtures/core/asked.ts'
import { sourceOf, userWith } from '../../fixtures/core/source.ts'

const opened: Faces[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((faces) => faces.close()))))

const named = (name: string, type = 'string') => ({ type, 'x-mcp-header': name })
const tool = (name: string, properties: object) => ({ name, inputSchema: { type: 'object', properties } as never })
const tools = [
  tool('query', { region: named('Region'), count: named('Count', 'integer'), dry: named('Dry', 'boolean') }),
  tool('broken', { a: named('A'), b: named('a') }),
  tool('plain', { region: { type: 'string' } }),
]
const encode = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`

async function open(options: Parameters<typeof openFaces>[1] = {}) {
  const calls: Call[] = []
  const call = async (call: Call) => (calls.push(call), complete({}))
  const faces = await openFaces([sourceOf('a', { tools }, { prefix: false, call })], options)
  opened.push(faces)
  const post = (name: string, args: unknown, headers: Record<string, string> = {}) =>
    postModern(faces.url, 'tools/call', { name, ...(args !== undefined && { arguments: args }) }, headers)
  return { post, calls }
}

describe('arguments that are mirrored in headers', () => {
  it.each<[unknown, Record<string, string>, boolean]>([
    [
      { region: 'eu', count: 7, dry: true },
      { 'Mcp-Param-Region': 'eu', 'mcp-param-count': '7', 'Mcp-Param-Dry': 'true' },
      true,
    ],
    [{ region: 'eu' }, { 'Mcp-Param-Region': encode('eu') }, true],
    [{ region: 'Grüße 😀' }, { 'Mcp-Param-Region': encode('Grüße 😀') }, true],
    [{ region: '' }, { 'Mcp-Param-Region': '=?base64??=' }, true],
    [{ region: '=?base64?ZXU=?=' }, { 'Mcp-Param-Region': encode('=?base64?ZXU=?=') }, true],
    [{ count: 7 }, { 'Mcp-Param-Count': '7.0' }, true],
    [{ region: null }, {}, true],
    [{}, {}, true],
    [undefined, {}, true],
    [{ region: 'eu' }, {}, false],
    [{ region: 'eu' }, { 'Mcp-Param-Region': 'us' }, false],
    [{ region: 'eu' }, { 'Mcp-Param-Region': 'EU' }, false],
    [{ region: 'eu' }, { 'Mcp-Param-Region': encode('us') }, false],
    [{ region: 'eu' }, { 'Mcp-Param-Region': 'eu', 'Mcp-Param-Count': '1' }, false],
    [{ count: 7 }, { 'Mcp-Param-Count': '8' }, false],
    [{ count: 7 }, { 'Mcp-Param-Count': 'seven' }, false],
    [{ dry: true }, { 'Mcp-Param-Dry': 'True' }, false],
    [{ region: null }, { 'Mcp-Param-Region': 'null' }, false],
    [undefined, { 'Mcp-Param-Region': 'eu' }, false],
    [{ region: 'eu' }, { 'Mcp-Param-Region': '=?base64?ZXU?=' }, false],
    [{ region: 'eu' }, { 'Mcp-Param-Region': '=?base64?ZXU=A?=' }, false],
    [{ region: '=?base64?%%?=' }, { 'Mcp-Param-Region': '=?base64?%%?=' }, false],
    [{ region: '\ufffd' }, { 'Mcp-Param-Region': '=?base64?/w==?=' }, false],
  ])('%j with %j: %s', async (args, headers, fits) => {
    const { post, calls } = await open()
    const response = await post('query', args, headers)
    const { error } = (await response.json()) as any
    expect([response.status, error?.code, calls.length]).toEqual(fits ? [200, undefined, 1] : [400, -32020, 0])
  })

  it('are not looked at where a tool declares none, or declares them against the rules', async () => {
    const { post, calls } = await open()
    for (const name of ['plain', 'broken']) {
      expect((await post(name, { region: 'eu', a: 'x', b: 'y' }, { 'mcp-param-a': 'other' })).status).toBe(200)
    }
    expect(calls).toHaveLength(2)
  })

  it('are checked on every round', async () => {
    const source = toolsThat({ query: (call) => call.ask(form('Sure?'), never()) })
    const faces = await openFaces([{ ...source, lists: { ...source.lists, tools } }])
    opened.push(faces)
    const more = { arguments: { region: 'eu' } }
    const headers = { 'mcp-param-region': 'eu' }
    const asked = await say(faces.url, 'query', { more, headers })
    expect((await say(faces.url, 'query', { more, ...answers(asked) })).error.code).toBe(-32020)
    expect((await say(faces.url, 'query', { more, headers, ...answers(asked) })).type).toBe('complete')
  })

  it('are checked for a tool that comes while its server is on its first connect', async () => {
    const late = { tools: [] as any[], prompts: [], resources: [], templates: [] }
    const calls: Call[] = []
    const source: Source = sourceOf(
      'a',
      {},
      { prefix: false, lists: late, call: async (call) => (calls.push(call), complete({})) },
    )
    let faces: Faces | undefined
    const sources = {
      pending: true,
      async settled() {
        sources.pending = false
        late.tools = tools
        faces?.gateway.refresh(['tools'])
      },
    }
    faces = await openFaces([source], { sources })
    opened.push(faces)
    const response = await postModern(faces.url, 'tools/call', { name: 'query', arguments: { region: 'eu' } })
    expect([response.status, calls.length]).toEqual([400, 0])
  })

  it('say nothing of a tool that the caller may not use', async () => {
    const { post } = await open({ authenticate: () => userWith('plain') })
    const { error } = (await (await post('query', { region: 'eu' })).json()) as any
    expect(error).toMatchObject({ code: -32602, message: 'Unknown tool: query' })
  })
})

describe('the headers of a call', () => {
  it('are all its Mcp-Param-* as they came, names in lower case; nothing else, and nothing at all where there are none', async () => {
    const { post, calls } = await open()
    await post('plain', {}, { 'MCP-Param-Tenant': 'x 1', 'mcp-param-raw': encode('ü'), 'x-other': '1' })
    await post('plain', {})
    expect(calls[0]?.headers).toEqual({ 'mcp-param-tenant': 'x 1', 'mcp-param-raw': encode('ü') })
    expect(calls[1]).not.toHaveProperty('headers')
  })

  it('are read without Node, too', async () => {
    const { readParamHeaders } = await import('../../../core/downstream/params.ts')
    const headers = { 'Mcp-Param-A': '1', other: '2' }
    expect(readParamHeaders(new Request('http://x', { headers }))).toEqual({ 'mcp-param-a': '1' })
    expect(readParamHeaders(new Request('http://x'))).toBeUndefined()
  })
})

describe('Mcp-Name', () => {
  it.each(['=?base64?cGxhaW4?=', '=?base64?cGxhaW4=A?=', '=?base64?%%?=', '=?base64?/w==?='])(
    'that is %s is refused',
    async (name) => {
      const { post } = await open()
      const response = await post('plain', {}, { 'mcp-name': name })
      const { error } = (await response.json()) as any
      expect([response.status, error.code, error.message]).toEqual([400, -32020, 'Mcp-Name header is no valid base64'])
    },
  )
})
