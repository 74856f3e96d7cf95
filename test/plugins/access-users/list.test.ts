import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseUsers } from '../../../plugins/access-users/file.ts'
import { createUserList, type UserList } from '../../../plugins/access-users/list.ts'
import type { Reading } from '../../../plugins/access-users/read.ts'
import { captureLog } from '../../harness.ts'

const ALICE = { 'alice@example.com': {} }
const BOTH = { ...ALICE, 'bert@example.com': { allowed_tools: ['a'] } }
const MISSING: Reading = { kind: 'absent', missing: true, reason: 'users.json is missing' }

function valid(users: object): Reading {
  const text = JSON.stringify(users)
  return { kind: 'valid', text, users: parseUsers('users.json', text) }
}

function invalid(text: string): Reading {
  return { kind: 'invalid', text, reason: 'users.json:1: half of it' }
}

describe('the list over time', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => {
    list?.close()
    const left = vi.getTimerCount()
    vi.useRealTimers()
    if (left > 0) throw new Error(`${left} timer(s) after it was closed`)
  })

  let list: UserList | undefined
  let now: Reading

  async function open(first: Reading) {
    now = first
    const read = vi.fn<() => Promise<Reading>>(async () => now)
    const onchange = vi.fn<() => void>()
    const log = captureLog()
    const label = (key: string) => `<${key}>`
    list = await createUserList({ read, logger: log.logger, label, onchange, remedy: 'add a user' })
    const opened = list
    return {
      read,
      onchange,
      lines: log.lines,
      users: () => opened.current() && [...(opened.current()?.keys() ?? [])],
      current: opened.current,
      touch: opened.touch,
      /** The file becomes this, and it is noticed. */
      async change(next: Reading, ms = 1000) {
        now = next
        opened.touch()
        await vi.advanceTimersByTimeAsync(ms)
      },
      levels: () => log.lines.splice(0).map(({ level, text }) => `${level} ${text}`),
    }
  }

  it('T74 is read at once; a change is taken over a second after it was noticed, not before', async () => {
    const { users, change, onchange, levels } = await open(valid(ALICE))
    expect(users()).toEqual(['alice@example.com'])
    expect(levels()).toEqual(['info the list of users has 1 user(s): 1 added, 0 changed, 0 removed'])
    await change(valid(BOTH), 999)
    expect([users()?.length, onchange.mock.calls.length]).toEqual([1, 0])
    await vi.advanceTimersByTimeAsync(1)
    expect([users()?.length, onchange.mock.calls.length]).toEqual([2, 1])
    expect(levels()).toEqual(['info the list of users has 2 user(s): 1 added, 0 changed, 0 removed'])
  })

  it('T73 who is taken off is off, it is said, and open streams are looked at; the others keep their permissions', async () => {
    const { current, users, change, onchange, levels } = await open(valid(BOTH))
    const alice = current()?.get('alice@example.com')
    levels()
    await change(valid(ALICE))
    expect(users()).toEqual(['alice@example.com'])
    expect(current()?.get('alice@example.com')).toBe(alice)
    expect(onchange).toHaveBeenCalledTimes(1)
    expect(levels()).toEqual([
      'info the list of users has 1 user(s): 0 added, 0 changed, 1 removed',
      'info user removed {"event":"user-removed","user":"<bert@example.com>"}',
    ])
    await change(valid({ ...ALICE, 'alice@example.com': { allowed_tools: [] } }))
    expect(current()?.get('alice@example.com')).not.toBe(alice)
    expect(onchange).toHaveBeenCalledTimes(2)
    await change(valid({}))
    expect([users(), onchange.mock.calls.length]).toEqual([[], 3])
  })

  it('looks at no streams where nobody’s permissions have changed', async () => {
    const { change, onchange } = await open(valid(ALICE))
    await change(valid(ALICE))
    await change(valid({ 'alice@example.com': { name: 'Alice', roles: [] } }))
    expect(onchange).not.toHaveBeenCalled()
  })

  it('T74 invalid or half-written: the last good list stays, which is said once for the same text', async () => {
    const { current, change, onchange, levels } = await open(valid(BOTH))
    const before = current()
    levels()
    await change(invalid('{'))
    await change(invalid('{'))
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(current()).toBe(before)
    expect(levels()).toEqual(['error users.json:1: half of it; the last valid list stays in force (2 user(s))'])
    await change(invalid('{{'))
    expect(levels()).toHaveLength(1)
    await change(valid(BOTH))
    expect(levels()).toEqual(['info the list of users is valid again: 2 user(s), none changed'])
    expect([current(), onchange.mock.calls.length]).toEqual([before, 0])
    await change(invalid('{{'))
    expect(levels()).toHaveLength(1)
    await change(valid(ALICE))
    expect([current()?.size, onchange.mock.calls.length]).toEqual([1, 1])
  })

  it('T74 missing: the last list for 5 s more, then nobody, then everybody again', async () => {
    const { current, users, change, onchange, levels } = await open(valid(ALICE))
    const alice = current()?.get('alice@example.com')
    levels()
    await change(MISSING)
    await vi.advanceTimersByTimeAsync(4999)
    expect([users()?.length, onchange.mock.calls.length]).toEqual([1, 0])
    expect(levels()).toEqual(['warn users.json is missing; if it is not back within 5 s, nobody is let in'])
    await vi.advanceTimersByTimeAsync(1)
    expect([users(), onchange.mock.calls.length]).toEqual([undefined, 1])
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect([users(), onchange.mock.calls.length]).toEqual([undefined, 1])
    expect(levels()).toEqual(['error users.json is missing; nobody is let in until it is back; add a user'])
    await change(valid(ALICE))
    expect(current()?.get('alice@example.com')).toBe(alice)
    expect(onchange).toHaveBeenCalledTimes(2)
    expect(levels()).toEqual(['info the list of users has 1 user(s): 0 added, 0 changed, 0 removed'])
  })

  it('T74 missing for less than that harms nobody, and the 5 s begin anew each time', async () => {
    const { users, change, onchange } = await open(valid(ALICE))
    for (let round = 0; round < 5; round++) {
      await change(MISSING)
      await vi.advanceTimersByTimeAsync(4900)
      await change(valid(ALICE))
    }
    expect([users()?.length, onchange.mock.calls.length]).toEqual([1, 0])
  })

  it('T74 missing is missing, however often it is touched', async () => {
    const { users, change, touch } = await open(valid(ALICE))
    await change(MISSING)
    for (let ms = 0; ms < 7000; ms += 100) {
      touch()
      await vi.advanceTimersByTimeAsync(100)
    }
    expect(users()).toBeUndefined()
  })

  it('T74 back from missing, but invalid: still nobody', async () => {
    const { users, change, levels } = await open(valid(ALICE))
    await change(MISSING, 6000)
    expect(users()).toBeUndefined()
    levels()
    await change(invalid('{'))
    expect(users()).toBeUndefined()
    expect(levels()).toEqual(['error users.json:1: half of it; nobody is let in until it is corrected'])
    await change(valid(ALICE))
    expect(users()).toEqual(['alice@example.com'])
  })

  it('T74 a user who is gone when a missing file comes back is off', async () => {
    const { users, change, levels } = await open(valid(BOTH))
    await change(MISSING, 6000)
    levels()
    await change(valid(ALICE))
    expect(users()).toEqual(['alice@example.com'])
    expect(levels().join('\n')).toContain('<bert@example.com>')
  })

  it.each([
    ['missing', MISSING, 'warn users.json is missing; nobody is let in; add a user'],
    ['invalid', invalid('{'), 'error users.json:1: half of it; nobody is let in until it is corrected'],
  ])(
    'T74 %s at start: nobody from the first moment, one line, and everybody once it is valid',
    async (_, first, line) => {
      const { users, change, levels } = await open(first)
      expect(users()).toBeUndefined()
      await vi.advanceTimersByTimeAsync(60_000)
      expect(users()).toBeUndefined()
      expect(levels()).toEqual([line])
      await change(valid(ALICE))
      expect(users()).toEqual(['alice@example.com'])
    },
  )

  it('comes back by itself where the watch sees no change (readable again)', async () => {
    const { users } = await open({ kind: 'absent', missing: false, reason: 'users.json cannot be read: EACCES' })
    now = valid(ALICE)
    await vi.advanceTimersByTimeAsync(1000)
    expect(users()).toEqual(['alice@example.com'])
  })

  it('a file that changes all the time is read all the same', async () => {
    const { users, touch } = await open(valid(BOTH))
    now = valid(ALICE)
    for (let ms = 0; ms < 1500; ms += 100) {
      touch()
      await vi.advanceTimersByTimeAsync(100)
    }
    expect(users()).toEqual(['alice@example.com'])
  })

  it('a change that comes while it is read is read too', async () => {
    const { users, read, touch } = await open(valid(BOTH))
    let answer = (_reading: Reading): void => {}
    read.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)))
    touch()
    await vi.advanceTimersByTimeAsync(1000)
    expect(read).toHaveBeenCalledTimes(2)
    now = valid(ALICE)
    touch()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(read).toHaveBeenCalledTimes(2)
    answer(valid(BOTH))
    await vi.advanceTimersByTimeAsync(1000)
    expect(users()).toEqual(['alice@example.com'])
  })

  it('a listener that throws harms nothing', async () => {
    const { users, change, onchange, levels } = await open(valid(BOTH))
    onchange.mockImplementationOnce(() => {
      throw new Error('not yet')
    })
    levels()
    await change(valid(ALICE))
    expect(levels().at(-1)).toContain('not yet')
    await change(valid(BOTH))
    expect(users()).toHaveLength(2)
    onchange.mockImplementationOnce(() => {
      throw new Error('not yet')
    })
    await change(MISSING, 6000)
    expect(users()).toBeUndefined()
    now = valid(BOTH)
    await vi.advanceTimersByTimeAsync(1000)
    expect(users()).toHaveLength(2)
  })

  it('closed, it looks no more and changes no more', async () => {
    const { read, users, touch } = await open(valid(ALICE))
    let answer = (_reading: Reading): void => {}
    touch()
    read.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)))
    await vi.advanceTimersByTimeAsync(1000)
    list?.close()
    answer(MISSING)
    touch()
    await vi.advanceTimersByTimeAsync(60_000)
    expect([users()?.length, read.mock.calls.length, vi.getTimerCount()]).toEqual([1, 2, 0])
    list?.close()
  })
})
