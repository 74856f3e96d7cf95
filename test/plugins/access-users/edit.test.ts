import { execFile } from 'node:child_process'
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { addUser, readUsers, removeUser } from '../../../plugins/access-users/index.ts'
import { withLock } from '../../../plugins/access-users/lock.ts'
import { replaceFile } from '../../../plugins/access-users/replace.ts'
import { ROOT } from '../../harness.ts'

const EDIT = pathToFileURL(join(ROOT, 'plugins/access-users/index.ts')).href
const NEW = '{ "roles": [], "allowed_tools": ["*"] }'

let dir: string
let file: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'users-'))
  file = join(dir, 'users.json')
})
afterEach(() => rm(dir, { recursive: true }))

const text = () => readFile(file, 'utf8')
const mode = async () => ((await stat(file)).mode & 0o777).toString(8)
const config = (message: string | RegExp) =>
  expect.objectContaining({ code: 'ERR_PROXY_CONFIG', message: expect.stringMatching(message) })

describe('a user', () => {
  it('is added to a file that is made, for this user alone, with all that can be set', async () => {
    file = join(dir, 'new', 'folder', 'users.json')
    expect(await addUser(file, 'Alice@Example.com')).toBe('added')
    expect(await text()).toBe(`{\n  "alice@example.com": ${NEW}\n}\n`)
    expect(await mode()).toBe('600')
    expect(((await stat(join(dir, 'new'))).mode & 0o777).toString(8)).toBe('700')
    expect(
      await addUser(file, 'bert@example.com', { name: 'Bert "B"', roles: ['admin'], allowedTools: ['a_*', 'b'] }),
    ).toBe('added')
    expect(await text()).toBe(
      `{\n  "alice@example.com": ${NEW},\n` +
        '  "bert@example.com": { "name": "Bert \\"B\\"", "roles": ["admin"], "allowed_tools": ["a_*", "b"] }\n}\n',
    )
    expect(await readdir(join(dir, 'new', 'folder'))).toEqual(['users.json'])
  })

  it('is changed in what is given, and in nothing else', async () => {
    const before = '{\r\n\t"X@y.z":   {"allowed_tools":["a"],\r\n\t\t"name" : "X"},\r\n\t"sub:1": {}\r\n}'
    await writeFile(file, before, { mode: 0o640 })
    await chmod(file, 0o640)
    const { ino } = await stat(file)
    expect(await addUser(file, 'x@y.z')).toBe('updated')
    expect(await text()).toBe(before)
    expect((await stat(file)).ino).toBe(ino)
    expect(await addUser(file, 'x@Y.Z', { name: 'Y' })).toBe('updated')
    expect(await text()).toBe(before.replace('"X"}', '"Y"}'))
    expect(await addUser(file, 'x@y.z', { name: 'X', roles: ['r', 's'], allowedTools: [] })).toBe('updated')
    expect(await text()).toBe(before.replace('["a"]', '[]').replace('"X"}', '"X",\r\n\t\t"roles": ["r", "s"]}'))
    expect(await mode()).toBe('640')
    expect(await addUser(file, 'z@y.z')).toBe('added')
    expect(await text()).toContain(`\t"sub:1": {},\r\n\t"z@y.z": ${NEW}\r\n}`)
    expect(await readdir(dir)).toEqual(['users.json'])
  })

  it('gets a first field in an entry without any, and a list of nobody its first user', async () => {
    await writeFile(file, '{"x@y.z":{}}')
    await addUser(file, 'x@y.z', { roles: [] })
    expect(await text()).toBe('{"x@y.z":{ "roles": [] }}')
    await writeFile(file, '{\r\n}\r\n')
    await addUser(file, 'x@y.z')
    expect(await text()).toBe(`{\r\n  "x@y.z": ${NEW}\r\n}\r\n`)
    await writeFile(file, '{ }')
    await addUser(file, 'x@y.z')
    expect(await text()).toBe(`{\n  "x@y.z": ${NEW}\n}`)
  })

  it.each([
    ['the first', 'a@b.c', '{\n  "b@b.c": {},\n  "c@b.c": {}\n}\n'],
    ['one in the middle', 'B@B.C', '{\n  "A@b.c": {},\n  "c@b.c": {}\n}\n'],
    ['the last', 'c@b.c', '{\n  "A@b.c": {},\n  "b@b.c": {}\n}\n'],
  ])('is removed, and nobody else: %s', async (_, email, after) => {
    await writeFile(file, '{\n  "A@b.c": {},\n  "b@b.c": {},\n  "c@b.c": {}\n}\n')
    expect(await removeUser(file, email)).toBe(true)
    expect(await text()).toBe(after)
    expect(await removeUser(file, email)).toBe(false)
    expect(await text()).toBe(after)
  })

  it('is removed from a list of one, and from none', async () => {
    await writeFile(file, '{\n  "a@b.c": {}\n}\n')
    expect(await removeUser(file, 'a@b.c')).toBe(true)
    expect(await text()).toBe('{}\n')
    expect(await removeUser(join(dir, 'no', 'users.json'), 'a@b.c')).toBe(false)
    expect(await readdir(dir)).toEqual(['users.json'])
  })

  it('T76 must have an address', async () => {
    for (const email of ['', 'alice', 'a@b.c ', 'sub:1', '__proto__', 'a@b.c\n', 7 as never]) {
      await expect(addUser(file, email)).rejects.toEqual(config('is no e-mail address'))
      await expect(removeUser(file, email)).rejects.toEqual(config('is no e-mail address'))
    }
    expect(await readdir(dir)).toEqual([])
  })
})

describe('the file', () => {
  it('is read as it is enforced; missing, it lists nobody', async () => {
    expect((await readUsers(file)).size).toBe(0)
    await writeFile(file, '{"A@b.c": {"name": "A"}, "sub:1": {"roles": ["x"], "allowed_tools": []}}')
    expect([...(await readUsers(file))]).toEqual([
      ['a@b.c', { name: 'A', roles: [], allowedTools: ['*'] }],
      ['sub:1', { roles: ['x'], allowedTools: [] }],
    ])
  })

  it.each([
    ['half', '{\n"a@b.c": {', /users\.json:2: not valid JSON/],
    ['misspelt', '{"a@b.c": {"role": []}}', /users\.json:1 "a@b\.c"\.role: unknown key/],
    ['empty', '', /users\.json:1: the file is empty/],
  ])('T74 %s, it is not touched', async (_, content, message) => {
    await writeFile(file, content)
    await expect(readUsers(file)).rejects.toEqual(config(message))
    await expect(addUser(file, 'x@y.z')).rejects.toEqual(config(message))
    await expect(removeUser(file, 'a@b.c')).rejects.toEqual(config(message))
    expect(await text()).toBe(content)
    expect(await readdir(dir)).toEqual(['users.json'])
  })

  it('is never made into something that would be refused', async () => {
    await addUser(file, 'a@b.c')
    const before = await text()
    await expect(addUser(file, 'a@b.c', { allowedTools: '*' as never })).rejects.toEqual(
      config('expected a list of strings'),
    )
    await expect(addUser(file, 'x@y.z', { name: null as never })).rejects.toEqual(config('expected a string, not null'))
    await expect(addUser(file, 'x@y.z', { name: 'x'.repeat(1 << 20) })).rejects.toEqual(config('larger than 1 MiB'))
    expect(await text()).toBe(before)
    expect(await readdir(dir)).toEqual(['users.json'])
  })

  it('says what is in its way', async () => {
    await writeFile(join(dir, 'taken'), '')
    await expect(addUser(join(dir, 'taken', 'users.json'), 'a@b.c')).rejects.toEqual(
      config(/users\.json cannot be (?:changed|read): .*(?:ENOTDIR|EEXIST)/),
    )
    await mkdir(file)
    await expect(readUsers(file)).rejects.toEqual(config('it is a folder'))
    await expect(addUser(file, 'a@b.c')).rejects.toEqual(config('it is a folder'))
  })

  it('behind a link is changed where it is, and the link stays', async () => {
    await mkdir(join(dir, 'real'))
    await symlink('real', join(dir, 'way'))
    await symlink(join('way', 'list.json'), file)
    expect(await addUser(file, 'a@b.c')).toBe('added')
    expect(await addUser(file, 'b@b.c')).toBe('added')
    expect(await readlink(file)).toBe(join('way', 'list.json'))
    expect([...(await readUsers(join(dir, 'real', 'list.json'))).keys()]).toEqual(['a@b.c', 'b@b.c'])
    expect(await readdir(join(dir, 'real'))).toEqual(['list.json'])
    await rm(file)
    await symlink('users.json', file)
    await expect(addUser(file, 'a@b.c')).rejects.toEqual(config(/users\.json cannot be changed/))
  })

  it('is replaced in one step: who has the old one open keeps it whole', async () => {
    await addUser(file, 'a@b.c')
    const before = await text()
    await link(file, join(dir, 'old'))
    await addUser(file, 'b@b.c')
    expect(await readFile(join(dir, 'old'), 'utf8')).toBe(before)
    expect((await readUsers(file)).size).toBe(2)
  })
})

describe('several at once', () => {
  it('what was changed meanwhile is not overwritten, and no draft is left', async () => {
    await writeFile(file, 'theirs')
    expect(await replaceFile(file, 'ours', async () => false)).toBe(false)
    expect(await text()).toBe('theirs')
    await expect(replaceFile(file, 'ours', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await readdir(dir)).toEqual(['users.json'])
    expect(await replaceFile(file, 'ours', async () => true)).toBe(true)
    expect(await text()).toBe('ours')
  })

  const names = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, at) => `${prefix}${at}@example.com`)

  it('20 calls in one process lose nothing', async () => {
    const outcomes = await Promise.all(names('u', 20).map((email) => addUser(file, email)))
    expect(new Set(outcomes)).toEqual(new Set(['added']))
    expect([...(await readUsers(file)).keys()].sort()).toEqual(names('u', 20).sort())
    const removed = await Promise.all([...names('u', 10), ...names('u', 10)].map((email) => removeUser(file, email)))
    expect(removed.filter(Boolean)).toHaveLength(10)
    expect((await readUsers(file)).size).toBe(10)
    expect(await readdir(dir)).toEqual(['users.json'])
  })

  it('two processes lose nothing of each other', async () => {
    const script = `
      const { addUser, removeUser } = await import(${JSON.stringify(EDIT)})
      const [file, prefix] = process.argv.slice(1)
      for (let at = 0; at < 25; at++) {
        await addUser(file, prefix + at + '@example.com', { name: prefix })
        if (at % 5 === 0) await removeUser(file, prefix + at + '@example.com')
      }`
    const run = (prefix: string) =>
      promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, file, prefix], { timeout: 25_000 })
    await Promise.all([run('a'), run('b')])
    const expected = [...names('a', 25), ...names('b', 25)].filter((_, at) => at % 5 !== 0)
    expect([...(await readUsers(file)).keys()].sort()).toEqual(expected.sort())
    expect(await readdir(dir)).toEqual(['users.json'])
  })

  const lock = () => join(dir, 'x.lock')

  it('a lock of a dead process is taken away, also by many at once', async () => {
    await writeFile(lock(), 'dead')
    let inside = 0
    const most: number[] = []
    const work = async (isHeld: () => Promise<boolean>) => {
      most.push(++inside)
      await new Promise((resolve) => setTimeout(resolve, 5))
      inside--
      return isHeld()
    }
    const times = { stale: 1000, patience: 20_000 }
    const held = await Promise.all(Array.from({ length: 5 }, () => withLock(lock(), work, times)))
    expect(held).toEqual([true, true, true, true, true])
    expect(Math.max(...most)).toBe(1)
    expect(await readdir(dir)).toEqual([])
  })

  it('a lock that others keep is waited for no longer than said', async () => {
    await writeFile(lock(), 'alive')
    const waited = withLock(lock(), async () => 'in', { stale: 60_000, patience: 50 })
    await expect(waited).rejects.toEqual(config('is held by another process'))
    expect(await readFile(lock(), 'utf8')).toBe('alive')
  })

  it('who was taken for dead knows, and leaves the lock of the next one alone', async () => {
    const held = await withLock(lock(), async (isHeld) => {
      const before = await isHeld()
      await writeFile(lock(), 'somebody else')
      return [before, await isHeld()]
    })
    expect(held).toEqual([true, false])
    expect(await readFile(lock(), 'utf8')).toBe('somebody else')
  })

  it('the lock is given back after a failure', async () => {
    await expect(withLock(lock(), () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await withLock(lock(), async () => 'in')).toBe('in')
  })
})
