import { Client as V2Client, StreamableHTTPClientTransport as V2Transport } from '@modelcontextprotocol/client'
import { Client as V1Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as V1Transport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterEach, describe, expect, it } from 'vitest'
import { wrapSchema } from '../../../core/downstream/output-schema.ts'
import { project, projectError } from '../../../core/downstream/projection.ts'
import { RpcError } from '../../../core/errors.ts'
import { complete, type Method } from '../../../core/gateway/call.ts'
import type { JsonObject, JsonValue } from '../../../core/wire/jsonrpc.ts'
import { isPrepared, parseJsonRpc, prepare, serialise } from '../../../core/wire/serialise.ts'
import { openAsked, openFaces, type Faces } from '../../fixtures/core/faces.ts'
import { callOf, sourceOf } from '../../fixtures/core/source.ts'

const opened: Faces[] = []
afterEach(async () => void (await Promise.all(opened.splice(0).map((faces) => faces.close()))))

const SERVER_INFO = 'io.modelcontextprotocol/serverInfo'

/** Before a gateway whose tools have these output schemas. */
function projected(result: JsonObject, method: Method = 'tools/call', schemas: Record<string, JsonValue> = {}) {
  const tool = (_: unknown, name: string) => (name in schemas ? { name, outputSchema: schemas[name] } : undefined)
  return project(result, callOf(method, { name: 'it' }), { tool })
}

describe('a result for older clients', () => {
  it.each([
    [{ resultType: 'complete', content: [] }, { content: [] }],
    [{ ttlMs: 0, cacheScope: 'private', contents: [1] }, { contents: [1] }],
    [{ a: 1, _meta: { [SERVER_INFO]: { name: 'x' } } }, { a: 1 }],
    [{ _meta: { [SERVER_INFO]: {}, 'x/y': 1 }, resultType: 'x' }, { _meta: { 'x/y': 1 } }],
  ])('has nothing that only 2026-07-28 knows: %j', (result, expected) => {
    const before = JSON.stringify(result)
    expect(projected(result)).toEqual(expected)
    expect(JSON.stringify(result)).toBe(before)
  })

  it.each([
    [{ content: [], _meta: { 'x/y': 1 }, isError: true, odd: [null] }],
    [{ structuredContent: { a: 1 } }],
    [{ _meta: {} }],
  ])('is the very same object where nothing has to change: %j', (result) => {
    expect(projected(result)).toBe(result)
  })

  it('keeps the text of a large one that needs no change', () => {
    const text = `{"jsonrpc":"2.0","id":7,"result":{ "content" : "${'x'.repeat(20_000)}"}}`
    const { result } = parseJsonRpc(text) as { result: JsonObject }
    expect(serialise({ jsonrpc: '2.0', id: 1, result: projected(result) })).toContain('{ "content" : "x')
  })

  it.each([
    ['an array', [1], undefined, { result: [1] }],
    ['null', null, undefined, { result: null }],
    ['a string', 'x', { type: 'object' }, { result: 'x' }],
    ['an object of a schema that allows others', { a: 1 }, { anyOf: [{ type: 'object' }] }, { result: { a: 1 } }],
    ['an object of an object schema', { a: 1 }, { type: 'object' }, { a: 1 }],
    ['an object without a schema', { result: [1] }, undefined, { result: [1] }],
    ['a number', 7, { type: 'number' }, { result: 7 }],
  ])('has structured content that is an object: %s', (_, value, schema, expected) => {
    const schemas = schema === undefined ? {} : { it: schema as JsonObject }
    const result = { resultType: 'complete', content: [], structuredContent: value as JsonValue }
    expect(projected(result, 'tools/call', schemas)).toEqual({ content: [], structuredContent: expected })
  })

  it('comes from a server of their own revisions: then it is wrapped only where the list says so', () => {
    const result = { content: [], structuredContent: [1] }
    expect(projected(result)).toBe(result)
    expect(projected(result, 'tools/call', { it: { type: 'object' } })).toBe(result)
    expect(projected(result, 'tools/call', { it: { type: 'array' } })).toMatchObject({
      structuredContent: { result: [1] },
    })
  })

  it('of no tool is left alone', () => {
    const result = { structuredContent: [1] }
    expect(projected(result, 'prompts/get')).toBe(result)
  })
})

describe('a list of tools for older clients', () => {
  const object = { name: 'o', outputSchema: { type: 'object' } }
  const plain = { name: 'p', inputSchema: { type: 'object' } }

  it('is made once per page, and prepared', () => {
    const page = prepare({ tools: [object, plain, { name: 'n', outputSchema: { type: 'array' } }], nextCursor: 'c' })
    const first = projected(page, 'tools/list')
    expect(first).toEqual({
      tools: [
        object,
        plain,
        {
          name: 'n',
          outputSchema: { type: 'object', required: ['result'], properties: { result: { type: 'array' } } },
        },
      ],
      nextCursor: 'c',
    })
    expect(projected(page, 'tools/list')).toBe(first)
    expect(isPrepared(first)).toBe(true)
    expect(projected(prepare({ ttlMs: 1, prompts: [] }), 'prompts/list')).toEqual({ prompts: [] })
  })

  it('is the same page where every schema can be read', () => {
    const page = prepare({ tools: [object, plain] })
    expect(projected(page, 'tools/list')).toBe(page)
  })
})

describe('an output schema', () => {
  it('moves definitions to the new root, and leads references to other places to where these went', () => {
    const schema = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $defs: { node: { type: 'object', properties: { next: { $ref: '#/$defs/node' }, all: { $ref: '#' } } } },
      type: 'array',
      items: {
        anyOf: [{ $ref: '#/$defs/node' }, { $ref: '#/prefixItems/0' }, { $ref: '#name' }, { $ref: 'x.json#/a' }],
      },
      prefixItems: [{ $anchor: 'name', const: { $ref: '#' } }],
      default: [{ $ref: '#/items' }],
    }
    const before = JSON.stringify(schema)
    expect(wrapSchema(schema)).toEqual({
      $schema: schema.$schema,
      $defs: {
        node: {
          type: 'object',
          properties: { next: { $ref: '#/$defs/node' }, all: { $ref: '#/properties/result' } },
        },
      },
      type: 'object',
      required: ['result'],
      properties: {
        result: {
          type: 'array',
          items: {
            anyOf: [
              { $ref: '#/$defs/node' },
              { $ref: '#/properties/result/prefixItems/0' },
              { $ref: '#name' },
              { $ref: 'x.json#/a' },
            ],
          },
          prefixItems: [{ $anchor: 'name', const: { $ref: '#' } }],
          default: [{ $ref: '#/items' }],
        },
      },
    })
    expect(JSON.stringify(schema)).toBe(before)
  })

  it('tells properties that are named like keywords from keywords', () => {
    const properties = { default: { $ref: '#/a' }, $ref: { $ref: '#' }, properties: { $ref: '#' } }
    expect(wrapSchema({ anyOf: [{ properties }] })).toMatchObject({
      properties: {
        result: {
          anyOf: [
            {
              properties: {
                default: { $ref: '#/properties/result/a' },
                $ref: { $ref: '#/properties/result' },
                properties: { $ref: '#/properties/result' },
              },
            },
          ],
        },
      },
    })
  })

  it('with an id is a document of its own', () => {
    const schema = { $id: 'https://example.com/s', $schema: 'x', $defs: { a: {} }, items: { $ref: '#/$defs/a' } }
    expect(wrapSchema(schema)).toEqual({
      $schema: 'x',
      type: 'object',
      required: ['result'],
      properties: { result: schema },
    })
    const inner = { type: 'array', items: { $id: 'https://example.com/i', $ref: '#' } }
    expect(wrapSchema(inner)).toMatchObject({ properties: { result: inner } })
    expect(wrapSchema({ $id: '#old', items: { $ref: '#' } })).toMatchObject({
      properties: { result: { items: { $ref: '#/properties/result' } } },
    })
  })

  it('that is nested beyond reason does no harm', () => {
    let schema: JsonObject = { $ref: '#' }
    for (let depth = 0; depth < 3000; depth++) schema = { not: schema }
    expect(wrapSchema(schema)).toMatchObject({ type: 'object' })
  })
})

describe('an error for older clients', () => {
  it('has no code that only 2026-07-28 knows; others stay', () => {
    const error = { code: -32021, message: 'm', data: { requiredCapabilities: {} } }
    expect(projectError(error)).toEqual({ ...error, code: -32603 })
    for (const code of [-32602, -32042, -32002, -1]) expect(projectError({ code, message: 'm' }).code).toBe(code)
  })
})

describe('through the face', () => {
  const node = { type: 'object', properties: { next: { $ref: '#/$defs/node' }, name: { type: 'string' } } }
  const outputSchemas: Record<string, JsonObject> = {
    list: { type: 'array', items: { $ref: '#/$defs/node' }, $defs: { node } },
    tree: { type: 'array', items: { anyOf: [{ type: 'string' }, { $ref: '#' }] } },
    either: { anyOf: [{ type: 'null' }, { type: 'object', required: ['a'] }] },
    plain: { type: 'object', required: ['a'] },
  }
  const values: Record<string, JsonValue> = {
    list: [{ name: 'x', next: { name: 'y' } }],
    tree: ['a', ['b', ['c']]],
    either: null,
    plain: { a: 1 },
  }

  async function open() {
    const tools = Object.entries(outputSchemas).map(([name, outputSchema]) => ({
      name,
      inputSchema: { type: 'object' },
      outputSchema,
    }))
    const server = sourceOf(
      'a',
      { tools, resources: [{ uri: 'a://1', name: 'one' }] },
      {
        async call({ method, params }) {
          if (method === 'resources/read') throw new RpcError(-32602, 'gone', { uri: 'a://1' })
          if (params.arguments !== undefined && (params.arguments as JsonObject).fail !== undefined) {
            throw new RpcError((params.arguments as { fail: number }).fail, 'no', { elicitations: [] })
          }
          const structuredContent = typeof params.name === 'string' ? (values[params.name] ?? null) : null
          const content = [{ type: 'text', text: JSON.stringify(structuredContent) }]
          return complete({ resultType: 'complete', content, structuredContent, _meta: { [SERVER_INFO]: {} } })
        },
      },
    )
    const faces = await openFaces([server])
    opened.push(faces)
    return faces
  }

  const expected = { a_list: { result: values.list }, a_tree: { result: values.tree }, a_either: { result: null } }

  it('the 1.x client of the SDK reads lists and results, and finds every value to be of its schema', async () => {
    const { url } = await open()
    const client = new V1Client({ name: 'v1', version: '1' })
    await client.connect(new V1Transport(new URL(url)))
    expect((await client.listTools()).tools).toHaveLength(4)
    for (const [name, structuredContent] of Object.entries({ ...expected, a_plain: values.plain })) {
      expect(await client.callTool({ name, arguments: {} })).toEqual({
        content: [expect.anything()],
        structuredContent,
      })
    }
    await client.close()
  })

  it('so does the 2.x client', async () => {
    const { url } = await open()
    const client = new V2Client({ name: 'v2', version: '2' })
    await client.connect(new V2Transport(new URL(url)))
    await client.listTools()
    for (const [name, structuredContent] of Object.entries(expected)) {
      expect((await client.callTool({ name, arguments: {} })).structuredContent).toEqual(structuredContent)
    }
    await client.close()
  })

  it.each([
    [-32021, -32603],
    [-32042, -32042],
    [-32000, -32000],
  ])('an error %i is %i', async (fail, code) => {
    const wire = await openAsked((await open()).url)
    expect(await wire.request('tools/call', { name: 'a_plain', arguments: { fail } })).toMatchObject({
      error: { code, message: 'no', data: { elicitations: [] } },
    })
    expect(await wire.request('resources/read', { uri: 'a://1' })).toMatchObject({ error: { code: -32602 } })
  })
})
