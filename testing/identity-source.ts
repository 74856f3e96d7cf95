import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Awaitable, JsonValue } from '../core/index.ts'
import { contract, type Made, type Runner } from './contract.ts'
import { keepsSecrets } from './secrets.ts'

/** What a source is told of one login. */
interface Attempt {
  readonly state: string
  readonly callback: string
  readonly signal: AbortSignal
}

/** Whom a source vouches for. */
interface Identified {
  readonly identity: {
    readonly issuer: string
    readonly subject: string
    readonly email?: string
    readonly emailVerified?: boolean
    readonly name?: string
  }
  readonly kept?: JsonValue
  readonly expires?: number
}

/** An `IdentitySource` of `mcp-proxy-server/plugins/auth-oauth`. */
interface Source {
  readonly name: string
  begin(attempt: Attempt): Awaitable<{ readonly url: string; readonly kept?: JsonValue }>
  finish(back: Attempt & { readonly url: URL; readonly kept: JsonValue }): Awaitable<Identified>
  refresh?(kept: JsonValue, signal: AbortSignal, keep: (kept: JsonValue) => Promise<void>): Awaitable<Identified>
  revoke?(kept: JsonValue, signal: AbortSignal): Awaitable<void>
}

/** A source, and somebody who can log in there. */
export interface MadeSource extends Made {
  readonly source: Source
  /** Where the browser comes back to; default: `https://mcp.example.com/auth/callback`. */
  readonly callback?: string
  /** Logs the same person in, as their browser would: from the URL where it begins to the one at which it is back. */
  login(url: string): Awaitable<string | URL>
  /** What must stand in no URL and in no message: client secrets, passwords. */
  readonly secrets?: readonly string[]
}

const FAILURES: ReadonlySet<string> = new Set(['denied', 'ended', 'unavailable', 'misconfigured'])

/** What every identity source must hold, before the authorization server stands in front of it. */
export function identitySourceContract(runner: Runner, name: string, make: () => Awaitable<MadeSource>): void {
  contract(runner, `identity source contract: ${name}`, make, (check) => {
    check('begins at an address that gives nothing away, another one each time', async (made) => {
      const [one, two] = [await begin(made), await begin(made)]
      assert.notEqual(one.url, two.url)
      for (const { url, kept } of [one, two]) {
        assert.match(new URL(url).protocol, /^https?:$/)
        keepsSecrets(url, made.secrets, 'the URL that the browser is sent to')
        checkJson(kept, 'kept')
      }
    })

    check('vouches for whoever logs in: the same person, the same identity', async (made) => {
      const [one, two] = [await logIn(made), await logIn(made)]
      checkIdentified(one)
      checkIdentified(two)
      assert.deepEqual(personOf(two), personOf(one))
    })

    check('two who log in at once do not get into each other’s way', async (made) => {
      const [one, two] = await Promise.all([logIn(made), logIn(made)])
      assert.deepEqual(personOf(two), personOf(one))
    })

    check('vouches for nobody who was turned away, nor for who comes back with nothing', async (made) => {
      const denied = await failureOf(made, { error: 'access_denied' })
      assert.equal(denied.failure, 'denied', 'a person or a provider that said no is "denied"')
      await failureOf(made, {})
      await failureOf(made, { code: 'canary-of-a-stranger' })
    })

    check('vouches again at a refresh, for the same person', async (made) => {
      const { source } = made
      const first = await logIn(made)
      if (source.refresh === undefined) return
      let kept: JsonValue = first.kept ?? null
      for (let round = 0; round < 2; round++) {
        const keep = async (next: JsonValue): Promise<void> => void (kept = next)
        const again: Identified = await source.refresh(kept, AbortSignal.timeout(10_000), keep)
        checkIdentified(again)
        assert.deepEqual(personOf(again), personOf(first))
        kept = again.kept ?? null
      }
    })

    check('waits no longer than it is told to', async (made) => {
      const { url, kept, ...attempt } = await begin(made)
      const back = new URL(await made.login(url))
      const ended = AbortSignal.abort()
      // Whether it still vouches is its own affair, as it may need nobody for that; it has to come to an end.
      await settled(async () => made.source.finish({ ...attempt, url: back, kept, signal: ended }))
      await settled(async () => made.source.begin({ ...attempt, signal: ended }))
    })
  })
}

type Begun = Attempt & { readonly url: string; readonly kept: JsonValue }

async function begin({ source, callback = 'https://mcp.example.com/auth/callback' }: MadeSource): Promise<Begun> {
  const attempt = { state: randomBytes(32).toString('base64url'), callback, signal: AbortSignal.timeout(10_000) }
  const { url, kept = null } = await source.begin(attempt)
  return { ...attempt, url, kept }
}

async function logIn(made: MadeSource): Promise<Identified> {
  const { url, ...begun } = await begin(made)
  const back = new URL(await made.login(url))
  assert.equal(back.origin + back.pathname, begun.callback, 'the browser came back elsewhere')
  assert.equal(back.searchParams.get('state'), begun.state, 'the browser came back without the state')
  return made.source.finish({ ...begun, url: back })
}

/** What a source says to a browser that comes back with this; it has to be a `SourceError`. */
async function failureOf(made: MadeSource, query: Record<string, string>): Promise<{ readonly failure: string }> {
  const begun = await begin(made)
  const url = new URL(`${begun.callback}?${new URLSearchParams({ ...query, state: begun.state }).toString()}`)
  const outcome = await settled(async () => made.source.finish({ ...begun, url }))
  const what = `for ${JSON.stringify(query)}`
  assert.ok('error' in outcome, `it vouched ${what}`)
  const { name, failure, message } = outcome.error as { name?: unknown; failure?: unknown; message?: unknown }
  assert.equal(
    name,
    'SourceError',
    `${what} it threw ${String(outcome.error)}; anything but a SourceError counts as an outage`,
  )
  assert.ok(FAILURES.has(String(failure)), `there is no failure "${String(failure)}"`)
  keepsSecrets(String(message), made.secrets, 'the message of a SourceError')
  return { failure: String(failure) }
}

async function settled<T>(work: () => Promise<T>): Promise<{ readonly value: T } | { readonly error: unknown }> {
  try {
    return { value: await work() }
  } catch (error) {
    return { error }
  }
}

function personOf({ identity: { issuer, subject } }: Identified) {
  return { issuer, subject }
}

function checkIdentified({ identity, kept, expires }: Identified): void {
  const { issuer, subject, email, emailVerified, name } = identity
  for (const [key, value] of Object.entries({ issuer, subject })) {
    assert.ok(typeof value === 'string' && value !== '', `${key} must be a text that is not empty`)
  }
  for (const [key, value] of Object.entries({ email, name })) {
    if (value !== undefined) assert.equal(typeof value, 'string', `${key} must be a text`)
  }
  if (emailVerified !== undefined) assert.equal(typeof emailVerified, 'boolean', 'emailVerified must be true or false')
  if (expires !== undefined) assert.ok(expires > Date.now(), 'expires is in ms since the epoch, and not over yet')
  checkJson(kept, 'kept')
}

function checkJson(value: JsonValue | undefined, what: string): void {
  if (value !== undefined)
    assert.deepEqual(JSON.parse(JSON.stringify(value)), value, `${what} must be JSON: it is stored`)
}
