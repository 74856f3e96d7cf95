import { timingSafeEqual, createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AuthError, type AuthProvider, type Principal } from '../../core/index.ts'
import { createAccounts } from '../../plugins/auth-local/accounts.ts'
import authLocal from '../../plugins/auth-local/index.ts'
import { hashPassword } from '../../plugins/auth-local/password.ts'
import { authContract, openPlugin, type MadeAuth } from '../../testing/index.ts'
import { ALICE, clientsOf, PASSWORD } from '../plugins/auth-local/client.ts'
import { record, type Failures } from './recording.ts'

const ORIGIN = 'https://mcp.example.com'
const stored = hashPassword(PASSWORD)

// The authorization server that every login plugin stands on, with its own login page before it.
authContract({ describe, test }, 'auth-local', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-auth-'))
  await writeFile(join(dataDir, 'users.json'), JSON.stringify({ [ALICE]: {} }))
  const config = { baseUrl: ORIGIN, plugins: ['access-users'], dataDir }
  const { kernel, context, contribution, close } = await openPlugin(authLocal(), { config })
  await createAccounts(context.storage).create(ALICE, await stored)
  const clients = clientsOf(ORIGIN, (input, init) => kernel.fetch(new Request(input, init)))
  const { tokens } = await clients.tokens()
  const bearing =
    (token = '') =>
    () =>
      new Request(`${ORIGIN}/mcp`, { headers: { authorization: `Bearer ${token}` } })
  if (contribution.auth === undefined) throw new Error('auth-local fills no slot "auth"')
  return {
    provider: contribution.auth,
    known: [bearing(tokens.access_token)],
    wrong: [bearing(tokens.refresh_token), () => new Request(`${ORIGIN}/mcp?access_token=${tokens.access_token}`)],
    secrets: [tokens.access_token, tokens.refresh_token ?? '', PASSWORD],
    async dispose() {
      await close()
      await rm(dataDir, { recursive: true })
    },
  }
})

const KEYS = { ada: 'key-of-ada-0123456789', bob: 'key-of-bob-0123456789' }
const digest = (text: string) => createHash('sha256').update(text).digest()
const withKey = (key: string) => () =>
  new Request('http://127.0.0.1/mcp', { headers: { authorization: `Bearer ${key}` } })

/** A provider of fixed keys, whose logins can be ended. */
function keyProvider() {
  const ended = new Set<string>()
  const principals = new Map<string, Principal>(Object.keys(KEYS).map((id) => [id, { id, login: id, roles: [] }]))
  const provider = {
    authenticate(request: Request): Principal | undefined {
      const given = /^Bearer ([\w-]+)$/.exec(request.headers.get('authorization') ?? '')?.[1]
      if (given === undefined) return undefined
      for (const [id, key] of Object.entries(KEYS)) {
        if (timingSafeEqual(digest(key), digest(given)) && !ended.has(id)) return principals.get(id)
      }
      throw new AuthError(401, 'The key is not known.', { 'WWW-Authenticate': 'Bearer error="invalid_token"' })
    },
    challenge: () => ({ 'WWW-Authenticate': 'Bearer' }),
    isActive: ({ login = '' }: Principal) => principals.has(login) && !ended.has(login),
    refuse({ login = '' }: Principal) {
      ended.add(login)
      return new AuthError(403, 'You may not use this server.')
    },
    review: () => undefined,
  } satisfies AuthProvider
  return { provider, ended }
}

type KeyProvider = ReturnType<typeof keyProvider>

/** What the suite finds in a provider that is changed like this. */
async function findings(change: (made: KeyProvider) => Partial<AuthProvider>): Promise<Failures> {
  const make = (): MadeAuth => {
    const made = keyProvider()
    const known = Object.values(KEYS).map(withKey)
    return {
      provider: { ...made.provider, ...change(made) },
      known,
      wrong: [withKey('key-of-eve')],
      secrets: ['s3cret-s3cret'],
    }
  }
  return (await record((runner) => authContract(runner, 'broken', make))).failures
}

const ONCE = 'knows its callers: the same one each time, as plain data'
const APART = 'tells its callers apart, also many at once'
const STRANGERS = 'leaves strangers to the next provider'
const NONSENSE = 'lets nobody in with credentials that make no sense'
const ALIKE = 'lets nobody in with credentials that are only like good ones'
const BODY = 'leaves the body to whoever comes next'
const CHALLENGE = 'challenges with headers that HTTP allows and that give nothing away'
const REFUSE = 'ends the login of whom the policy refuses, and says how to answer'

let count = 0
let lastSeen: Principal | undefined

const BROKEN: readonly (readonly [
  what: string,
  change: (made: KeyProvider) => Partial<AuthProvider>,
  found: string,
])[] = [
  [
    'everybody let in',
    ({ provider }) => ({ authenticate: (r) => catching(() => provider.authenticate(r)) ?? GUEST }),
    STRANGERS,
  ],
  [
    'strangers refused instead of left to others',
    ({ provider }) => ({ authenticate: (r) => provider.authenticate(r) ?? fail(new AuthError(401, 'Who are you?')) }),
    STRANGERS,
  ],
  [
    'an error that is no AuthError',
    ({ provider }) => ({
      authenticate: (r) =>
        catching(() => provider.authenticate(r)) ??
        (r.headers.has('authorization') ? fail(new TypeError('no key')) : undefined),
    }),
    NONSENSE,
  ],
  [
    'keys of which the beginning is enough',
    () => ({
      authenticate: (r) => (r.headers.get('authorization')?.startsWith('Bearer key-of-ada') ? GUEST : undefined),
    }),
    ALIKE,
  ],
  ['an id that changes', ({ provider }) => ({ authenticate: (r) => renamed(provider.authenticate(r)) }), ONCE],
  ['roles that are a text', ({ provider }) => ({ authenticate: (r) => withRoles(provider.authenticate(r)) }), ONCE],
  [
    'one caller in place of another',
    ({ provider }) => ({
      async authenticate(r) {
        lastSeen = provider.authenticate(r)
        await new Promise((resolve) => setImmediate(resolve))
        return lastSeen
      },
    }),
    APART,
  ],
  [
    'a body that is read',
    ({ provider }) => ({ authenticate: async (r) => (await r.text(), provider.authenticate(r)) }),
    BODY,
  ],
  [
    'a challenge with a line break',
    () => ({ challenge: () => ({ 'WWW-Authenticate': 'Bearer realm="x\r\ny"' }) }),
    CHALLENGE,
  ],
  ['a challenge without a scheme', () => ({ challenge: () => ({ 'WWW-Authenticate': '="x"' }) }), CHALLENGE],
  ['a challenge that is a promise', () => ({ challenge: (async () => ({})) as never }), CHALLENGE],
  [
    'a challenge that repeats the key',
    () => ({ challenge: (r) => ({ 'WWW-Authenticate': `Bearer realm="${r.headers.get('authorization') ?? ''}"` }) }),
    CHALLENGE,
  ],
  [
    'a challenge with a secret',
    () => ({ challenge: () => ({ 'WWW-Authenticate': 'Bearer realm="s3cret-s3cret"' }) }),
    CHALLENGE,
  ],
  [
    'a refusal that repeats the key',
    ({ provider }) => ({
      authenticate: (r) =>
        catching(() => provider.authenticate(r)) ??
        (r.headers.has('authorization')
          ? fail(new AuthError(401, `Wrong: ${r.headers.get('authorization') ?? ''}`))
          : undefined),
    }),
    ALIKE,
  ],
  ['a login that goes on', () => ({ refuse: () => new AuthError(403, 'No.') }), REFUSE],
  ['a refusal that is no AuthError', () => ({ refuse: () => new Error('no') as never }), REFUSE],
  [
    'an end for everybody',
    ({ ended }) => ({ review: () => Object.keys(KEYS).forEach((id) => ended.add(id)) }),
    'ends nobody’s login where the policy refuses nobody',
  ],
  ['streams cut off', () => ({ isActive: () => false }), 'keeps the streams of those whose login is good'],
  [
    'a throw for a login of somebody else’s',
    () => ({ isActive: ({ id }) => (id in KEYS ? true : fail(new Error('not mine'))) }),
    'says of a login that it never gave whether it is active, without a throw',
  ],
]

describe('the auth suite', () => {
  test('passes a provider without any of these mistakes, and one that only authenticates', async () => {
    expect(await findings(() => ({}))).toEqual({})
    const authenticate = keyProvider().provider.authenticate
    const made = (): MadeAuth => ({ provider: { authenticate }, known: [withKey(KEYS.ada)] })
    expect((await record((runner) => authContract(runner, 'plain', made))).failures).toEqual({})
  })

  test.each(BROKEN)('finds %s', async (_, change, found) => {
    expect(Object.keys(await findings(change))).toContain(found)
  })
})

const GUEST: Principal = { id: 'guest', roles: [] }

function renamed(principal: Principal | undefined): Principal | undefined {
  return principal && { ...principal, id: `${principal.id}-${++count}` }
}

function withRoles(principal: Principal | undefined): Principal | undefined {
  return principal && { ...principal, roles: 'admin' as never }
}

function catching<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}

function fail(error: Error): never {
  throw error
}
