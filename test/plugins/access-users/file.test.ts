import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isProxyError } from '../../../core/index.ts'
import { parseUsers } from '../../../plugins/access-users/file.ts'
import { readUsersFile } from '../../../plugins/access-users/read.ts'

const parse = (text: string) => parseUsers('users.json', text)

/** What is on the list; nothing where the text was refused. Throws any other error. */
function taken(text: string): ReturnType<typeof parse> | undefined {
  try {
    return parse(text)
  } catch (error) {
    if (isProxyError(error, 'ERR_PROXY_CONFIG')) return undefined
    throw error
  }
}

/** The message of the error for a text that is no list of users. */
function faultOf(text: string): string {
  try {
    parse(text)
  } catch (error) {
    if (isProxyError(error, 'ERR_PROXY_CONFIG')) return error.message
    throw error
  }
  throw new Error('it was taken')
}

describe('a list of users', () => {
  it('is read with its defaults: no roles, every tool', () => {
    const users = parse(`{
      "alice@example.com": { "name": "Alice", "roles": ["admin"], "allowed_tools": ["time_*", "a"] },
      "Bert@Example.com": {},
      "sub:auth0|123": { "allowed_tools": [] }
    }`)
    expect([...users]).toEqual([
      ['alice@example.com', { name: 'Alice', roles: ['admin'], allowedTools: ['time_*', 'a'] }],
      ['bert@example.com', { roles: [], allowedTools: ['*'] }],
      ['sub:auth0|123', { roles: [], allowedTools: [] }],
    ])
    expect(parse('{}').size).toBe(0)
    expect(parse(' \n{ }\r\n').size).toBe(0)
  })

  it.each([
    [
      'a misspelt key',
      '{\n  "a@b.c": {\n    "alowed_tools": ["x"] } }',
      ':3 "a@b.c".alowed_tools: unknown key; did you mean "allowed_tools"?',
    ],
    [
      'another spelling',
      '{"a@b.c": {"allowedTools": []}}',
      ':1 "a@b.c".allowedTools: unknown key; did you mean "allowed_tools"?',
    ],
    ['a hyphen', '{"a@b.c": {"allowed-tools": []}}', '"allowed-tools": unknown key; did you mean "allowed_tools"?'],
    ['a shorter key', '{"a@b.c": {"tools": []}}', '.tools: unknown key; there are name, roles, allowed_tools'],
    ['one letter less', '{"a@b.c": {"role": []}}', '.role: unknown key; did you mean "roles"?'],
    ['another case', '{"a@b.c": {"Name": "A"}}', '.Name: unknown key; did you mean "name"?'],
    ['a key like no other', '{"a@b.c": {"x": 1}}', '.x: unknown key; there are name, roles, allowed_tools'],
    ['__proto__ in an entry', '{"a@b.c": {"__proto__": {"allowed_tools": ["*"]}}}', '.__proto__: unknown key'],
    [
      'a string for a list',
      '{"a@b.c":\n{"allowed_tools": "*"}}',
      ':2 "a@b.c".allowed_tools: expected a list of strings, not a string',
    ],
    ['null for a list', '{"a@b.c": {"allowed_tools": null}}', '.allowed_tools: expected a list of strings, not null'],
    ['an object for a list', '{"a@b.c": {"roles": {}}}', '.roles: expected a list of strings, not an object'],
    [
      'a number in a list',
      '{"a@b.c": {"allowed_tools": ["a",\n1]}}',
      ':2 "a@b.c".allowed_tools: expected a string, not a number',
    ],
    ['a list in a list', '{"a@b.c": {"roles": [["admin"]]}}', '.roles: expected a string, not an array'],
    ['a list for a name', '{"a@b.c": {"name": ["A"]}}', '.name: expected a string, not an array'],
    ['null for an entry', '{"a@b.c": null}', ':1 "a@b.c": expected an object, such as { "roles": []'],
    ['a list for an entry', '{"a@b.c": ["*"]}', ':1 "a@b.c": expected an object'],
    [
      'a key twice in an entry',
      '{"a@b.c": {"allowed_tools": [],\n"allowed_tools": ["*"]}}',
      ':2 "a@b.c".allowed_tools: there twice',
    ],
    ['a user twice', '{"a@b.c": {},\n"a@b.c": {}}', ':2 "a@b.c": the same user as in line 1'],
    [
      'a user twice in another case',
      '{"a@b.c": {"allowed_tools": []},\n\n"A@B.c": {}}',
      ':3 "A@B.c": the same user as in line 1',
    ],
    ['a user twice in punycode', '{"a@ü.example": {},\n"a@xn--tda.example": {}}', 'the same user as in line 1'],
    ['a subject twice', '{"sub:1": {},\n"sub:1": {}}', ':2 "sub:1": the same user as in line 1'],
    ['no address', '{"alice": {}}', ':1 "alice": expected an e-mail address, or "sub:"'],
    ['a space too many', '{"a@b.c ": {}}', '"a@b.c ": expected an e-mail address'],
    ['a subject of nothing', '{"sub:": {}}', '"sub:": expected an e-mail address'],
    ['a wildcard', '{"*": {}}', '"*": expected an e-mail address'],
    ['a list at the top', '[]', ':1: expected an object with a user per key'],
    ['null at the top', 'null', ':1: expected an object'],
    ['a string at the top', '"a@b.c"', ':1: expected an object'],
    ['nothing', '', ':1: the file is empty'],
    ['only space', ' \n\n', ':1: the file is empty'],
    ['half of it', '{\n"a@b.c": {\n"roles": [', ':3: not valid JSON'],
    ['more than one value', '{} {}', ':1: not valid JSON'],
    ['a comment', '{\n// c\n}', ':2: not valid JSON: invalid comment token'],
    ['a trailing comma', '{"a@b.c": {},\n}', ':2: not valid JSON: property name expected'],
    ['no quotes', '{a: 1}', ':1: not valid JSON'],
    ['a very deep one', '['.repeat(500_000), ':1: too deeply nested'],
  ])('T74 is refused whole for %s, and it is said where', (_, text, message) => {
    expect(faultOf(text)).toContain(`users.json${message.startsWith(':') ? message : ''}`)
    expect(faultOf(text)).toContain(message)
  })

  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])('T81 key %s is nobody', (key) => {
    expect(faultOf(`{"${key}": {"allowed_tools": ["*"]}}`)).toContain(`"${key}": expected an e-mail address`)
    expect(parse('{"a@b.c": {}}').get(key)).toBeUndefined()
  })

  it('names users in the message as it is told to', () => {
    const label = (key: string) => `user-${key.length}`
    expect(() => parseUsers('users.json', '{"alice@example.com": {"role": []}}', label)).toThrow(
      '"user-17".role: unknown',
    )
    expect(() => parseUsers('users.json', '{"alice@example.com": []}', label)).not.toThrow('alice')
  })

  it('says no more than needed of what is very long', () => {
    expect(faultOf(`{"${'x'.repeat(100_000)}": {}}`).length).toBeLessThan(500)
    expect(faultOf(`{"a@b.c": {"${'x'.repeat(100_000)}": 1}}`).length).toBeLessThan(500)
  })

  const key = fc.oneof(
    fc.constantFrom(
      'a@b.c',
      'A@b.c',
      'ü@b.c',
      '__proto__',
      'constructor',
      'sub:x',
      'sub:',
      'sub:__proto__',
      '__proto__@b.c',
    ),
    fc.string(),
  )
  const texts = fc.oneof(fc.array(fc.string()), fc.jsonValue())
  const field = fc.constantFrom('name', 'roles', 'allowed_tools', 'allowed_tool', '__proto__', 'constructor')
  const object = <T>(keys: fc.Arbitrary<string>, value: fc.Arbitrary<T>) =>
    fc
      .array(fc.tuple(keys, value), { maxLength: 4 })
      .map((pairs) => `{${pairs.map(([key, text]) => `${JSON.stringify(key)}:${String(text)}`).join(',')}}`)
  const json = (value: fc.Arbitrary<unknown>) => value.map((any) => JSON.stringify(any))
  const list = object(key, fc.oneof(object(field, json(texts)), json(fc.jsonValue())))
  /** A good list, or one with a cut or a stranger in it. */
  const nearly = fc.tuple(list, fc.nat(), fc.string({ maxLength: 2 }), fc.boolean()).map(([text, at, more, isCut]) => {
    const place = at % (text.length + 1)
    return isCut ? text.slice(0, place) : text.slice(0, place) + more + text.slice(place)
  })

  it('T81 is taken or refused, whatever it is: no other error, nothing polluted, nothing that JSON would refuse', () => {
    const before = Object.getOwnPropertyNames(Object.prototype).sort()
    let count = 0
    fc.assert(
      fc.property(fc.oneof(list, nearly, fc.string({ unit: 'binary' })), (text) => {
        const users = taken(text)
        if (users !== undefined) count++
        expect(users?.size).toBe(users && Object.keys(JSON.parse(text)).length)
        const items = [...(users?.values() ?? [])].flatMap(({ roles, allowedTools }) => [...roles, ...allowedTools])
        expect(items.filter((item) => typeof item !== 'string')).toEqual([])
        expect(Object.getOwnPropertyNames(Object.prototype).sort()).toEqual(before)
        expect(({} as Record<string, unknown>)['allowed_tools']).toBeUndefined()
      }),
      { numRuns: 3000 },
    )
    expect(count).toBeGreaterThan(50)
  })
})

describe('the file', () => {
  let dir: string
  beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'users-'))))
  afterEach(() => rm(dir, { recursive: true }))

  async function readingOf(content: string | Buffer) {
    const file = join(dir, 'users.json')
    await writeFile(file, content)
    return readUsersFile(file)
  }

  it('is read, with a byte order mark too', async () => {
    expect(await readingOf('\uFEFF{"a@b.c": {}}')).toMatchObject({ kind: 'valid', text: '{"a@b.c": {}}' })
  })

  it('T74 is invalid in other encodings and beyond 1 MiB', async () => {
    const utf16 = Buffer.from('\uFEFF{"a@b.c": {}}', 'utf16le')
    expect(await readingOf(utf16)).toMatchObject({ kind: 'invalid', reason: expect.stringContaining('not in UTF-8') })
    const text = '{"a@b.c": {}}'
    expect(await readingOf(text + ' '.repeat(1024 * 1024 - text.length))).toMatchObject({ kind: 'valid' })
    const large = await readingOf(text + ' '.repeat(1024 * 1024 - text.length + 1))
    expect(large).toMatchObject({ kind: 'invalid', reason: expect.stringContaining('larger than 1 MiB') })
  })

  it('of thousands of users is read', async () => {
    const users = Object.fromEntries(
      Array.from({ length: 15_000 }, (_, at) => [`user${at}@example.com`, { roles: [] }]),
    )
    const reading = await readingOf(JSON.stringify(users))
    expect(reading.kind === 'valid' && reading.users.size).toBe(15_000)
  })

  it('T74 is absent where it is missing or cannot be read, and it is said why', async () => {
    const missing = join(dir, 'none', 'users.json')
    expect(await readUsersFile(missing)).toEqual({ kind: 'absent', missing: true, reason: `${missing} is missing` })
    await mkdir(join(dir, 'users.json'))
    expect(await readUsersFile(join(dir, 'users.json'))).toMatchObject({
      kind: 'absent',
      missing: false,
      reason: expect.stringContaining('it is a folder'),
    })
    await writeFile(join(dir, 'file'), '')
    expect(await readUsersFile(join(dir, 'file', 'users.json'))).toMatchObject({
      kind: 'absent',
      missing: false,
      reason: expect.stringContaining('ENOTDIR'),
    })
    expect(await readUsersFile('/dev/null')).toMatchObject({
      kind: 'absent',
      reason: expect.stringContaining('no ordinary file'),
    })
  })
})
