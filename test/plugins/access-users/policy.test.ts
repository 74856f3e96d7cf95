import { describe, expect, it } from 'vitest'
import { AuthError } from '../../../core/index.ts'
import { parseUsers } from '../../../plugins/access-users/file.ts'
import { permissionsOf, type PermissionList } from '../../../plugins/access-users/permissions.ts'
import { createPolicy } from '../../../plugins/access-users/policy.ts'

const listOf = (users: object, before: PermissionList = new Map()) =>
  permissionsOf(parseUsers('users.json', JSON.stringify(users)), before)

const policyOf = (users: object) => {
  const list = listOf(users)
  return createPolicy(() => list).permissions
}

describe('the policy', () => {
  it('T75 finds a user by e-mail address, in any case', () => {
    const find = policyOf({ 'User@Example.com': { roles: ['r'], allowed_tools: ['a'] } })
    expect(find({ email: 'user@example.com' })).toEqual({ allowedTools: ['a'], roles: ['r'] })
    expect(find({ email: 'USER@EXAMPLE.COM' })).toBe(find({ email: 'user@example.com' }))
    // The second time from memory.
    expect(find({ email: 'USER@EXAMPLE.COM' })).toBe(find({ email: 'user@example.com' }))
  })

  it('finds a user by the identity provider’s id first, exactly', () => {
    const find = policyOf({ 'sub:auth0|A': { roles: ['sub'] }, 'a@b.c': { roles: ['email'] } })
    expect(find({ subject: 'auth0|A', email: 'a@b.c' })?.roles).toEqual(['sub'])
    expect(find({ subject: 'auth0|A' })?.roles).toEqual(['sub'])
    expect(find({ subject: 'auth0|a', email: 'a@b.c' })?.roles).toEqual(['email'])
    expect(find({ subject: 'auth0|a' })).toBeUndefined()
  })

  it('T81 finds nobody by the names of what every object has', () => {
    const find = policyOf({ 'a@b.c': {} })
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
      expect(find({ email: name, subject: name })).toBeUndefined()
    }
  })

  it('T76 finds nobody by what is no text, or an id that poses as an address', () => {
    const find = policyOf({ 'a@b.c': {}, 'sub:x': {}, 'sub:y@b.c': {} })
    for (const odd of [['a@b.c'], ['x'], { toString: () => 'x' }, 1, null, undefined, true]) {
      expect(find({ email: odd as never })).toBeUndefined()
      expect(find({ subject: odd as never })).toBeUndefined()
    }
    expect(find({ email: 'sub:x' })).toBeUndefined()
    expect(find({ email: 'sub:y@b.c' })).toBeUndefined()
    expect(find({ subject: 'a@b.c' })).toBeUndefined()
    expect(find({})).toBeUndefined()
    expect(find({ email: '', subject: '' })).toBeUndefined()
  })

  it('T77 keeps tags and dots apart; T76 look-alikes too', () => {
    const find = policyOf({ 'alice@example.com': {}, 'fiona@example.com': {} })
    const others = [
      'alice+x@example.com',
      'a.lice@example.com',
      'аlice@example.com',
      'ﬁona@example.com',
      'alice@example.com\n',
    ]
    for (const email of others) expect(find({ email })).toBeUndefined()
    const literal = policyOf({ 'josé@example.com': {} })
    expect(literal({ email: 'jose\u0301@example.com' })).toBeDefined()
    expect(literal({ email: 'jose@example.com' })).toBeUndefined()
  })

  it('goes on finding after thousands of different addresses', () => {
    const find = policyOf({ 'a@b.c': {} })
    for (let at = 0; at < 2500; at++) expect(find({ email: `${at}@b.c` })).toBeUndefined()
    expect(find({ email: 'A@b.c' })).toBeDefined()
  })

  it('T74 refuses with 503 while there is no list', () => {
    const find = createPolicy(() => undefined).permissions
    expect(() => find({ email: 'a@b.c' })).toThrow(AuthError)
    expect(() => find({ email: 'a@b.c' })).toThrow(
      expect.objectContaining({ status: 503, headers: { 'retry-after': '5' } }),
    )
  })

  it('gives what nobody can change, and the same as long as nothing has changed', () => {
    const users = { 'a@b.c': { name: 'A', roles: ['x'], allowed_tools: ['t'] }, 'b@b.c': {} }
    const before = listOf(users)
    const a = before.get('a@b.c')
    expect([Object.isFrozen(a), Object.isFrozen(a?.roles), Object.isFrozen(a?.allowedTools)]).toEqual([
      true,
      true,
      true,
    ])
    const after = listOf({ 'b@b.c': { roles: ['new'] }, 'A@B.c': { ...users['a@b.c'], name: 'Anna' } }, before)
    expect(after.get('a@b.c')).toBe(a)
    expect(after.get('b@b.c')).not.toBe(before.get('b@b.c'))
    expect(listOf({ 'b@b.c': { roles: [], allowed_tools: ['*'] } }, before).get('b@b.c')).toBe(before.get('b@b.c'))
    for (const changed of [
      { allowed_tools: [] },
      { allowed_tools: ['u'] },
      { allowed_tools: ['t', 't'] },
      { roles: ['y'] },
    ]) {
      expect(listOf({ 'a@b.c': { ...users['a@b.c'], ...changed } }, before).get('a@b.c')).not.toBe(a)
    }
  })
})
