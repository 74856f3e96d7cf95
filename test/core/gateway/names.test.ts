import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Names } from '../../../core/gateway/names.ts'

const VALID = /^[A-Za-z0-9_-]+$/

describe('exposed names', () => {
  it('carry the prefix of their server', () => {
    expect(new Names(64).assign('time', 'time', 'now')).toBe('time_now')
    expect(new Names(64).assign('time', 'clock', 'now')).toBe('clock_now')
  })

  it('are bare with prefix false, and the later comer of two gets its server in front', () => {
    const names = new Names(64)
    expect(names.assign('a', false, 'now')).toBe('now')
    expect(names.assign('b', false, 'now')).toBe('b_now')
    expect(names.assign('a', false, 'now')).toBe('now')
  })

  it('replace every character that clients do not take', () => {
    expect(new Names(64).assign('my server', 'my server', 'a.b/c:ü')).toBe('my_server_a_b_c__')
  })

  it('end in a hash where they would be too long or are taken', () => {
    const names = new Names(64)
    const long = names.assign('server', 'server', 'x'.repeat(100))
    expect(long).toHaveLength(64)
    expect(long).toMatch(/^server_x+_[0-9a-f]{8}$/)
    expect(names.assign('s', 's', 'a.b')).toBe('s_a_b')
    expect(names.assign('s', 's', 'a/b')).toMatch(/^s_a_b_[0-9a-f]{8}$/)
    expect(names.assign('a', 'a', 'b_c')).toBe('a_b_c')
    expect(names.assign('a_b', 'a_b', 'c')).toMatch(/^a_b_c_[0-9a-f]{8}$/)
  })

  it('do not depend on other servers as long as nothing collides', () => {
    const alone = new Names(64).assign('b', 'b', 'y'.repeat(90))
    const names = new Names(64)
    names.assign('a', 'a', 'z')
    expect(names.assign('b', 'b', 'y'.repeat(90))).toBe(alone)
  })

  it('stay with their owner after a restart, whoever comes first then', () => {
    const first = new Names(64)
    expect(first.assign('a', false, 'now')).toBe('now')
    const second = new Names(64, JSON.parse(JSON.stringify([...first.owners()])))
    expect(second.assign('b', false, 'now')).toBe('b_now')
    expect(second.assign('a', false, 'now')).toBe('now')
  })

  it('already given win over restored ones', () => {
    const names = new Names(64)
    names.assign('a', false, 'now')
    names.restore([
      ['now', ['b', 'now']],
      ['later', ['b', 'later']],
    ])
    expect(names.assign('a', false, 'now')).toBe('now')
    expect(names.assign('c', false, 'later')).toBe('c_later')
  })

  it('tell of a new owner once', () => {
    const names = new Names(64)
    let told = 0
    names.onassign = () => told++
    names.assign('a', 'a', 'x')
    names.assign('a', 'a', 'x')
    expect(told).toBe(1)
  })

  it('stay within the limit even when every shorter hash is taken', () => {
    const owner = ['other', 'tool'] as const
    const taken = new Names(16)
    const long = 'x'.repeat(40)
    const first = taken.assign('s', 's', long)
    const names = new Names(16, [[first, owner]])
    const given = names.assign('s', 's', long)
    expect(given).not.toBe(first)
    expect(given.length).toBeLessThanOrEqual(16)
  })

  it('are always valid, within the limit, distinct and stable', () => {
    const text = fc.oneof(
      fc.constantFrom('a', 'a_b', 'b', 'a.b', 'a/b', '__proto__', 'ü', '😀', ''),
      fc.string({ minLength: 1, maxLength: 90, unit: 'grapheme' }),
    )
    const owner = fc.record({
      server: text.filter((name) => name !== ''),
      prefix: fc.oneof(
        fc.constant(false as const),
        text.filter((name) => name !== ''),
      ),
      name: text.filter((name) => name !== ''),
    })
    // Prefix is a property of the server: one server does not change it while the proxy runs.
    const owners = fc.uniqueArray(owner, { selector: ({ server, name }) => JSON.stringify([server, name]) })
    fc.assert(
      fc.property(owners, fc.integer({ min: 16, max: 128 }), (all, limit) => {
        const names = new Names(limit)
        const given = all.map(({ server, prefix, name }) => names.assign(server, prefix, name))
        for (const name of given) {
          expect(name).toMatch(VALID)
          expect(name.length).toBeLessThanOrEqual(limit)
        }
        expect(new Set(given).size).toBe(given.length)
        expect(all.map(({ server, prefix, name }) => names.assign(server, prefix, name))).toEqual(given)
        const restored = new Names(limit, JSON.parse(JSON.stringify([...names.owners()])))
        const reversed = all.toReversed().map(({ server, prefix, name }) => restored.assign(server, prefix, name))
        expect(reversed.toReversed()).toEqual(given)
      }),
    )
  })
})
