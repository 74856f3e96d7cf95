import { describe, expect, it, vi } from 'vitest'
import {
  LOCAL_USER,
  type AccessPolicy,
  type AuthProvider,
  type Permissions,
  type Principal,
} from '../../../core/auth.ts'
import { AuthError } from '../../../core/errors.ts'
import { createAuthenticator } from '../../../core/http/authenticate.ts'
import { definePlugin } from '../../../core/plugin.ts'
import { openKernel, ORIGIN } from '../../fixtures/core/kernel.ts'

type Refuse = NonNullable<AuthProvider['refuse']>
type IsActive = NonNullable<AuthProvider['isActive']>

/** An authenticator that is waited for, whether it had to wait itself or not. */
function open(...args: Parameters<typeof createAuthenticator>) {
  const { authenticate, isCurrent } = createAuthenticator(...args)
  return { authenticate: async (request: Request) => authenticate(request), isCurrent }
}

const requestOf = (headers: Record<string, string> = {}) => new Request('http://localhost/mcp', { headers })
const anna: Principal = { id: 'anna', roles: [] }

/** Knows whoever names this header; its challenge names it too. */
function byHeader(header: string, more: Partial<AuthProvider> = {}): AuthProvider {
  return {
    authenticate({ headers }) {
      const id = headers.get(header)
      return id === null ? undefined : { id, roles: [header] }
    },
    challenge: () => ({ [`x-needs-${header}`]: 'yes', 'www-authenticate': header }),
    ...more,
  }
}

/** A policy of one answer, which may be changed. */
function policy(first: Permissions | undefined | Error) {
  const state = { answer: first, asked: [] as Principal[] }
  const access: AccessPolicy = {
    permissions(principal) {
      state.asked.push(principal)
      if (state.answer instanceof Error) throw state.answer
      return state.answer
    },
  }
  return Object.assign(state, { access })
}

describe('who is calling', () => {
  it('is the local user where nobody asks', async () => {
    const { authenticate, isCurrent } = createAuthenticator([], undefined)
    expect(authenticate(requestOf())).toBe(LOCAL_USER)
    expect(await isCurrent(LOCAL_USER)).toBe(true)
  })

  it('is the local user, with what a policy allows, where there is only that', async () => {
    const permissions = { allowedTools: ['a_*'] }
    const { authenticate } = open([], policy(permissions).access)
    expect(await authenticate(requestOf())).toEqual({ ...LOCAL_USER, permissions })
  })

  it('says the first provider that knows', async () => {
    const second = vi.fn<AuthProvider['authenticate']>(byHeader('b').authenticate)
    const { authenticate } = open([byHeader('a'), byHeader('b', { authenticate: second })], undefined)
    expect(await authenticate(requestOf({ a: 'anna', b: 'bert' }))).toEqual({ id: 'anna', roles: ['a'] })
    expect(second).not.toHaveBeenCalled()
    expect(await authenticate(requestOf({ b: 'bert' }))).toEqual({ id: 'bert', roles: ['b'] })
  })

  it('is 401 with every challenge where none knows; of one header the last word counts', async () => {
    const providers = [byHeader('a'), { authenticate: () => undefined }, byHeader('b')]
    await expect(open(providers, undefined).authenticate(requestOf())).rejects.toMatchObject({
      status: 401,
      headers: { 'x-needs-a': 'yes', 'x-needs-b': 'yes', 'www-authenticate': 'b' },
    })
  })

  it('is not asked further where a provider refuses or fails', async () => {
    const second = vi.fn<AuthProvider['authenticate']>(byHeader('b').authenticate)
    for (const error of [new AuthError(401, 'Expired.'), new AuthError(503, 'Not now.'), new Error('broken')]) {
      const first: AuthProvider = { authenticate: () => Promise.reject(error) }
      const { authenticate } = open([first, byHeader('b', { authenticate: second })], undefined)
      await expect(authenticate(requestOf({ b: 'bert' }))).rejects.toBe(error)
    }
    expect(second).not.toHaveBeenCalled()
  })
})

describe('waiting', () => {
  const permissions = { allowedTools: ['*'] }
  const slow = (provider: AuthProvider): AuthProvider => ({
    ...provider,
    authenticate: async (request) => provider.authenticate(request),
  })
  const slowPolicy: AccessPolicy = { permissions: async () => permissions }

  it('is done only where somebody has to be waited for', () => {
    const { authenticate } = createAuthenticator([byHeader('a'), byHeader('b')], policy(permissions).access)
    expect(authenticate(requestOf({ b: 'bert' }))).toEqual({ id: 'bert', roles: ['b'], permissions })
    expect(() => authenticate(requestOf())).toThrow('Authentication is required.')
  })

  it.each([
    ['the first provider', [slow(byHeader('a')), byHeader('b')], policy(permissions).access],
    ['the second provider', [byHeader('a'), slow(byHeader('b'))], policy(permissions).access],
    ['the policy', [byHeader('a'), byHeader('b')], slowPolicy],
    ['everybody', [slow(byHeader('a')), slow(byHeader('b'))], slowPolicy],
  ])('for %s changes nothing', async (_, providers, access) => {
    const { authenticate } = open(providers, access)
    for (const header of ['a', 'b']) {
      expect(await authenticate(requestOf({ [header]: 'anna' }))).toEqual({ id: 'anna', roles: [header], permissions })
    }
    await expect(authenticate(requestOf())).rejects.toMatchObject({ status: 401 })
  })
})

describe('what a principal may do', () => {
  it('is the very object of the policy, whose roles replace those of the provider', async () => {
    const permissions = { allowedTools: ['*'] }
    const { authenticate } = open([byHeader('a')], policy(permissions).access)
    const plain = await authenticate(requestOf({ a: 'anna' }))
    expect(plain).toEqual({ id: 'anna', roles: ['a'], permissions })
    expect(plain.permissions).toBe(permissions)
    const ruled = open([byHeader('a')], policy({ allowedTools: [], roles: ['admin'] }).access)
    expect(await ruled.authenticate(requestOf({ a: 'anna' }))).toMatchObject({ roles: ['admin'] })
    const none = open([byHeader('a')], policy({ allowedTools: [], roles: [] }).access)
    expect(await none.authenticate(requestOf({ a: 'anna' }))).toMatchObject({ roles: [] })
  })

  it('leaves alone what a provider hands out again and again', async () => {
    const shared = Object.freeze({ ...anna })
    const { authenticate } = open([{ authenticate: () => shared }], policy({ allowedTools: [] }).access)
    expect(await authenticate(requestOf())).toHaveProperty('permissions')
    expect(shared).toEqual(anna)
  })

  it('makes nothing new of a principal that comes again, until the permissions change', async () => {
    const shared = Object.freeze({ ...anna })
    const rules = policy({ allowedTools: [] })
    const { authenticate } = open([{ authenticate: () => shared }], rules.access)
    const first = await authenticate(requestOf())
    expect(await authenticate(requestOf())).toBe(first)
    rules.answer = { allowedTools: ['*'] }
    const second = await authenticate(requestOf())
    expect([first.permissions, second.permissions]).toEqual([{ allowedTools: [] }, { allowedTools: ['*'] }])
    expect(await authenticate(requestOf())).toBe(second)
    const alone = open([{ authenticate: () => shared }], undefined)
    expect(await alone.authenticate(requestOf())).toBe(await alone.authenticate(requestOf()))
  })

  it('is nothing, 403, for whom the policy does not know', async () => {
    const { authenticate } = open([byHeader('a')], policy(undefined).access)
    await expect(authenticate(requestOf({ a: 'anna' }))).rejects.toMatchObject({ status: 403, headers: {} })
    const alone = open([], policy(undefined).access)
    await expect(alone.authenticate(requestOf())).rejects.toMatchObject({ status: 403 })
  })

  it('is nothing in the words of the provider that recognised them, which may end the login', async () => {
    const refusal = new AuthError(401, 'Gone.', { 'www-authenticate': 'Bearer error="invalid_token"' })
    const refuse = vi.fn<Refuse>(async () => refusal)
    const others = vi.fn<Refuse>(async () => new AuthError(403, 'Not mine.'))
    const providers = [byHeader('a', { refuse: others }), byHeader('b', { refuse })]
    const { authenticate } = open(providers, policy(undefined).access)
    const request = requestOf({ b: 'bert' })
    await expect(authenticate(request)).rejects.toBe(refusal)
    expect(refuse.mock.calls).toEqual([[{ id: 'bert', roles: ['b'] }, request]])
    expect(others).not.toHaveBeenCalled()
  })

  it('cannot be said while the policy cannot: its error, and no login ends', async () => {
    const refuse = vi.fn<Refuse>(async () => new AuthError(403, 'Gone.'))
    const error = new AuthError(503, 'Not now.', { 'retry-after': '5' })
    const { authenticate } = open([byHeader('a', { refuse })], policy(error).access)
    await expect(authenticate(requestOf({ a: 'anna' }))).rejects.toBe(error)
    expect(refuse).not.toHaveBeenCalled()
  })
})

describe('whether a principal is current', () => {
  it('says the provider that recognised them, and no other', async () => {
    const active = { a: true, b: true }
    const providers = [
      byHeader('a', { isActive: () => active.a }),
      byHeader('b', { isActive: async () => active.b }),
      byHeader('c'),
    ]
    const { authenticate, isCurrent } = open(providers, undefined)
    const known: Principal[] = []
    for (const header of ['a', 'b', 'c']) known.push(await authenticate(requestOf({ [header]: 'anna' })))
    const current = () => Promise.all(known.map(isCurrent))
    expect(await current()).toEqual([true, true, true])
    active.a = false
    expect(await current()).toEqual([false, true, true])
    active.b = false
    expect(await current()).toEqual([false, false, true])
  })

  it('is told apart by request, though the provider hands out one object', async () => {
    const [first, second] = [vi.fn<IsActive>(() => true), vi.fn<IsActive>(() => false)]
    const of = (header: string, isActive: IsActive): AuthProvider => ({
      authenticate: ({ headers }) => (headers.has(header) ? anna : undefined),
      isActive,
    })
    const { authenticate, isCurrent } = open([of('a', first), of('b', second)], undefined)
    const one = await authenticate(requestOf({ a: '1' }))
    const two = await authenticate(requestOf({ b: '1' }))
    expect([await isCurrent(one), await isCurrent(two)]).toEqual([true, false])
    expect([first, second].map(({ mock }) => mock.calls.length)).toEqual([1, 1])
  })

  it('goes by the permissions object, not by what is in it', async () => {
    const rules = policy({ allowedTools: ['*'] })
    const { authenticate, isCurrent } = open([byHeader('a')], rules.access)
    const known = await authenticate(requestOf({ a: 'anna' }))
    expect(await isCurrent(known)).toBe(true)
    rules.answer = { allowedTools: ['*'] }
    expect(await isCurrent(known)).toBe(false)
    expect(await isCurrent(await authenticate(requestOf({ a: 'anna' })))).toBe(true)
    rules.answer = undefined
    expect(await isCurrent(known)).toBe(false)
  })

  it('asks policy and provider about the principal as the provider knows them', async () => {
    // A policy that goes by the roles of the identity provider, and gives its own.
    const byRole = new Map([['a', { allowedTools: ['*'], roles: ['admin'] }]])
    const asked: Principal[] = []
    const provider = byHeader('a', { isActive: (principal) => asked.push(principal) > 0 })
    const access: AccessPolicy = { permissions: ({ roles }) => byRole.get(roles[0] ?? '') }
    const { authenticate, isCurrent } = open([provider], access)
    const known = await authenticate(requestOf({ a: 'anna' }))
    expect(known.roles).toEqual(['admin'])
    expect(await isCurrent(known)).toBe(true)
    expect(asked).toEqual([{ id: 'anna', roles: ['a'] }])
  })

  it('is denied while the policy fails, as to requests; a provider that fails cuts nobody off', async () => {
    const rules = policy({ allowedTools: ['*'] })
    let failure: Error | undefined
    const isActive = (): boolean => {
      if (failure !== undefined) throw failure
      return true
    }
    const { authenticate, isCurrent } = open([byHeader('a', { isActive })], rules.access)
    const known = await authenticate(requestOf({ a: 'anna' }))
    failure = new Error('the store is away')
    expect(await isCurrent(known)).toBe(true)
    rules.answer = new AuthError(503, 'Not now.')
    expect(await isCurrent(known)).toBe(false)
  })

  it('does not ask the provider about whom the policy refuses', async () => {
    const rules = policy({ allowedTools: ['*'] })
    const isActive = vi.fn<IsActive>(() => true)
    const { authenticate, isCurrent } = open([byHeader('a', { isActive })], rules.access)
    const known = await authenticate(requestOf({ a: 'anna' }))
    rules.answer = undefined
    expect(await isCurrent(known)).toBe(false)
    expect(isActive).not.toHaveBeenCalled()
  })
})

describe('on the wire', () => {
  const refusing = (error: Error) => {
    const authenticate = (): never => {
      throw error
    }
    return definePlugin({ name: 'test-refusing', setup: () => ({ auth: { authenticate } }) })
  }

  it.each([
    [401, 'invalid_token', { 'www-authenticate': 'Bearer error="invalid_token"' }],
    [403, 'access_denied', {}],
    [503, 'temporarily_unavailable', { 'retry-after': '7' }],
  ] as const)('a refusal is %i %s, with its headers, whatever the method', async (status, error, headers) => {
    const plugin = refusing(new AuthError(status, 'Because.', headers))
    const { fetch, log, close } = await openKernel({ plugins: [plugin, 'storage-fs'] })
    try {
      for (const method of ['POST', 'GET', 'DELETE', 'PUT']) {
        const response = await fetch(`${ORIGIN}/mcp`, { method })
        expect(response.status).toBe(status)
        expect(await response.json()).toEqual({ error, error_description: 'Because.' })
        expect(Object.fromEntries(response.headers)).toMatchObject({ ...headers, 'cache-control': 'no-store' })
      }
      expect(log()).not.toMatch(/^(?:error|warn) /m)
    } finally {
      await close()
    }
  })

  it('a provider that breaks is 500 and tells nobody why but the log', async () => {
    const { fetch, log, close } = await openKernel({ plugins: [refusing(new Error('the secret is 42')), 'storage-fs'] })
    try {
      const response = await fetch(`${ORIGIN}/mcp`, { method: 'POST' })
      expect(response.status).toBe(500)
      expect(await response.text()).not.toContain('42')
      expect(log()).toContain('the secret is 42')
    } finally {
      await close()
    }
  })
})
