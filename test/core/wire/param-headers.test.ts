import { describe, expect, it } from 'vitest'
import { decodeHeaderValue, encodeHeaderValue } from '../../../core/wire/headers.ts'
import { mirrorParams, mismatchedParam, paramHeadersOf } from '../../../core/wire/param-headers.ts'

const tool = (properties: object, more: object = {}) => ({
  name: 't',
  inputSchema: { type: 'object', properties, ...more } as never,
})
const named = (name: unknown, type = 'string') => ({ type, 'x-mcp-header': name })

describe('arguments that travel as headers', () => {
  it.each([
    ['a string', tool({ region: named('Region') }), [['mcp-param-region', ['region']]]],
    [
      'inside an object',
      tool({ at: { type: 'object', properties: { x: named('X', 'integer') } } }),
      [['mcp-param-x', ['at', 'x']]],
    ],
    ['none', tool({ region: { type: 'string' } }), []],
    ['a property of that name', tool({ 'x-mcp-header': { type: 'string' } }), []],
    ['data that looks like one', tool({ a: { type: 'object', default: named('A') } }), []],
  ])('are found: %s', (_what, given, found) => {
    expect(paramHeadersOf(given)?.map(({ header, path }) => [header, path])).toEqual(found)
  })

  it.each([
    ['an empty name', { a: named('') }],
    ['a space', { a: named('My Region') }],
    ['a line break', { a: named('A\r\nB') }],
    ['no text', { a: named(7) }],
    ['twice, in other letters', { a: named('Region'), b: named('REGION') }],
    ['an object', { a: named('A', 'object') }],
    ['a list', { a: named('A', 'array') }],
    ['a number, of which no two texts need be alike', { a: named('A', 'number') }],
    ['in the items of a list', { a: { type: 'array', items: named('A') } }],
    ['in one of several', { a: { anyOf: [named('A')] } }],
  ])('make a tool invalid: %s', (_what, properties) => {
    expect(paramHeadersOf(tool(properties))).toBeUndefined()
  })

  it('make a tool invalid behind a reference', () => {
    expect(paramHeadersOf(tool({ a: { $ref: '#/$defs/a' } }, { $defs: { a: named('A') } }))).toBeUndefined()
  })

  it('are mirrored, except absent ones', () => {
    const headers =
      paramHeadersOf(tool({ a: named('A'), b: named('B', 'boolean'), c: named('C', 'integer'), d: named('D') })) ?? []
    expect(mirrorParams(headers, { a: 'Grüße', b: false, c: 42, d: null })).toEqual({
      'mcp-param-a': '=?base64?R3LDvMOfZQ==?=',
      'mcp-param-b': 'false',
      'mcp-param-c': '42',
    })
  })

  it.each([
    [{ a: 'x' }, { 'mcp-param-a': 'x' }, undefined],
    [{ a: 'x' }, { 'mcp-param-a': '=?base64?eA==?=' }, undefined],
    [{ c: 42 }, { 'mcp-param-c': '42.0' }, undefined],
    [{}, {}, undefined],
    [{ a: null }, {}, undefined],
    [{ a: 'x' }, {}, 'Mcp-Param-a header is missing'],
    [{ a: 'x' }, { 'mcp-param-a': 'X' }, 'Mcp-Param-a header and body disagree'],
    [{ c: 0 }, { 'mcp-param-c': ' ' }, 'Mcp-Param-c header and body disagree'],
    [{}, { 'mcp-param-a': 'x' }, 'Mcp-Param-a header and body disagree'],
    [undefined, { 'mcp-param-a': 'x' }, 'Mcp-Param-a header and body disagree'],
  ])('are compared: %j with %j', (args, sent: Record<string, string>, problem) => {
    const headers = paramHeadersOf(tool({ a: named('A'), c: named('C', 'integer') })) ?? []
    expect(mismatchedParam(headers, args, (name) => sent[name] ?? null)).toBe(problem)
  })
})

describe('header values', () => {
  it.each(['plain', 'with space inside', '', ' lead', 'trail ', 'line\nbreak', 'ümlaut', '=?base64?eA==?=', 'a\tb'])(
    'come back: %j',
    (text) => {
      const encoded = encodeHeaderValue(text)
      expect(encoded).toMatch(/^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/)
      expect(decodeHeaderValue(encoded)).toBe(text)
    },
  )
})
