import { describe, expect, test } from 'vitest'
import { SourceError, type IdentitySource } from '../../plugins/auth-oauth/index.ts'
import { oidcSource } from '../../plugins/auth-oidc/index.ts'
import { identitySourceContract, type MadeSource } from '../../testing/index.ts'
import { atCallback, openBrowser, walk } from '../fixtures/oidc/browser.ts'
import { ORIGIN, settingsFor } from '../fixtures/oidc/proxy.ts'
import { createStage } from '../fixtures/oidc/stage.ts'
import { captureLog } from '../harness.ts'
import { record } from './recording.ts'

const stage = createStage()

// Against a real OpenID provider.
identitySourceContract({ describe, test }, 'auth-oidc', async () => {
  const idp = await stage.provider()
  const end = new AbortController()
  const source = oidcSource(settingsFor(idp), { signal: end.signal, logger: captureLog().logger })
  return {
    source,
    callback: `${ORIGIN}/auth/callback`,
    login: (url) => walk(openBrowser(fetch), url, { until: atCallback }),
    secrets: [idp.knobs.secret],
    dispose: () => end.abort(),
  }
})

const CALLBACK = 'https://mcp.example.com/auth/callback'
const SECRET = 'canary-client-secret'

/** A login page that lets Ada in at once. */
function page(): { source: IdentitySource; login(url: string): URL } {
  const codes = new Set<string>()
  const identity = { issuer: 'https://id.example', subject: '4711', email: 'ada@example.com', emailVerified: true }
  return {
    source: {
      name: 'the page',
      begin: ({ state }) => ({ url: `https://id.example/login?state=${state}`, kept: { state } }),
      finish({ url }) {
        if (url.searchParams.has('error')) throw new SourceError('denied', 'the page said no')
        if (!codes.delete(url.searchParams.get('code') ?? '')) throw new SourceError('denied', 'the code is unknown')
        return { identity, kept: { subject: identity.subject } }
      },
      refresh: (kept) => ({ identity, kept }),
    },
    login(url) {
      const code = `code ${codes.size} of ${new URL(url).searchParams.get('state') ?? ''}`
      codes.add(code)
      return new URL(
        `${CALLBACK}?${new URLSearchParams({ code, state: new URL(url).searchParams.get('state') ?? '' }).toString()}`,
      )
    },
  }
}

async function findings(change: (source: IdentitySource) => Partial<IdentitySource>) {
  const make = (): MadeSource => {
    const { source, login } = page()
    return { source: { ...source, ...change(source) }, login, secrets: [SECRET] }
  }
  return Object.keys((await record((runner) => identitySourceContract(runner, 'broken', make))).failures)
}

const BEGINS = 'begins at an address that gives nothing away, another one each time'
const VOUCHES = 'vouches for whoever logs in: the same person, the same identity'
const NOBODY = 'vouches for nobody who was turned away, nor for who comes back with nothing'
const AGAIN = 'vouches again at a refresh, for the same person'

const identity = { issuer: 'https://id.example', subject: '4711' }
let count = 0

const BROKEN: readonly (readonly [string, (source: IdentitySource) => Partial<IdentitySource>, string])[] = [
  [
    'a secret in the URL',
    ({ begin }) => ({ begin: async (a) => ({ url: `${(await begin(a)).url}&secret=${SECRET}` }) }),
    BEGINS,
  ],
  ['one address for all logins', () => ({ begin: () => ({ url: 'https://id.example/login?state=1' }) }), BEGINS],
  [
    'something kept that is no JSON',
    ({ begin }) => ({ begin: async (a) => ({ ...(await begin(a)), kept: new Date() as never }) }),
    BEGINS,
  ],
  [
    'another subject each time',
    () => ({ finish: () => ({ identity: { ...identity, subject: String(++count) } }) }),
    VOUCHES,
  ],
  [
    'an end in seconds',
    ({ finish }) => ({ finish: async (b) => ({ ...(await finish(b)), expires: Math.floor(Date.now() / 1000) + 60 }) }),
    VOUCHES,
  ],
  ['anybody vouched for', () => ({ finish: () => ({ identity }) }), NOBODY],
  [
    'a failure that is no SourceError',
    ({ finish }) => ({
      finish: async (b) =>
        rethrow(
          () => finish(b),
          () => new Error('no'),
        ),
    }),
    NOBODY,
  ],
  [
    'an error that only looks like one',
    ({ finish }) => ({
      finish: async (b) =>
        rethrow(
          () => finish(b),
          () => Object.assign(new Error('no'), { failure: 'denied' }),
        ),
    }),
    NOBODY,
  ],
  [
    'a "no" that counts as an outage',
    ({ finish }) => ({
      finish: async (b) =>
        rethrow(
          () => finish(b),
          () => new SourceError('unavailable', 'no'),
        ),
    }),
    NOBODY,
  ],
  [
    'a secret in a message',
    ({ finish }) => ({
      finish: async (b) =>
        rethrow(
          () => finish(b),
          () => new SourceError('denied', `no: ${SECRET}`),
        ),
    }),
    NOBODY,
  ],
  ['somebody else at a refresh', () => ({ refresh: () => ({ identity: { ...identity, subject: '4712' } }) }), AGAIN],
]

describe('the identity source suite', () => {
  test('passes a source without any of these mistakes', async () => {
    expect(await findings(() => ({}))).toEqual([])
  })

  test.each(BROKEN)('finds %s', async (_, change, found) => {
    expect(await findings(change)).toContain(found)
  })
})

async function rethrow<T>(work: () => T, error: () => Error): Promise<T> {
  try {
    return await work()
  } catch {
    throw error()
  }
}
