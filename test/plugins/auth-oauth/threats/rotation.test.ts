import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, assert, expect, test, vi } from 'vitest'
import { SourceError } from '../../../../plugins/auth-oauth/index.ts'
import { fsDriver } from '../../../../plugins/storage-fs/driver.ts'
import { openGate } from '../../../fixtures/oauth/gate.ts'
import { openOAuth, type OAuthProxy, type OAuthProxyOptions, type Registered } from '../../../fixtures/oauth/proxy.ts'
import { collectionOf, riggedStorage, type RiggedStorage, type Step } from '../../../fixtures/oauth/rigged.ts'
import { openSecond, type SecondProcess } from '../../../fixtures/oauth/second.ts'
import { ALICE } from '../../../fixtures/oauth/source.ts'
import { granted, refusal } from '../../../fixtures/oauth/token-answers.ts'

let proxy: OAuthProxy
let second: SecondProcess | undefined
let folder: string | undefined
afterEach(async () => {
  vi.restoreAllMocks()
  await second?.close()
  second = undefined
  await proxy.close()
  if (folder !== undefined) await rm(folder, { recursive: true })
  folder = undefined
})

const open = async (options?: OAuthProxyOptions): Promise<OAuthProxy> => (proxy = await openOAuth(options))

/** What the source was asked with at refreshes. */
const askedWith = (): unknown[] => proxy.source.asked.flatMap(({ what, kept }) => (what === 'refresh' ? [kept] : []))
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index))

function refreshFields({ client_id }: Registered, token: string | undefined): Record<string, string> {
  return { grant_type: 'refresh_token', refresh_token: token ?? '', client_id }
}

/** The source answers when it is let go, not before. */
function holdSource() {
  const { again } = proxy.source
  const [begun, gate] = [openGate(), openGate()]
  proxy.source.again = async (...asked) => {
    begun.resolve()
    await gate.promise
    return again(...asked)
  }
  return { begun: begun.promise, letGo: gate.resolve, again }
}

/** Resolves once logins were looked at so often from now on: who waits for another refresh does so all the time. */
function loginLooks(rigged: RiggedStorage, count: number): Promise<void> {
  const { promise, resolve } = openGate()
  let seen = 0
  rigged.after = (step) => {
    if (step.what === 'read' && collectionOf(step) === 'login' && ++seen === count) resolve()
  }
  return promise
}

for (const [name, storage] of [
  ['memory', () => riggedStorage().plugin],
  ['storage-fs', undefined],
] as const) {
  test(`T40 8 refreshes at once (${name}): all get 200 and one and the same refresh token, the source is asked once`, async () => {
    await open(storage && { storage: storage() })
    const { client, tokens } = await proxy.tokens()
    let token = tokens.refresh_token
    for (let generation = 0; generation < 3; generation++) {
      const held = holdSource()
      const answers = times(8, () => proxy.refresh(client, token))
      await held.begun
      held.letGo()
      const all = await Promise.all((await Promise.all(answers)).map(granted))
      proxy.source.again = held.again
      expect(new Set(all.map(({ refresh_token }) => refresh_token)).size).toBe(1)
      for (const { access_token } of all) expect((await proxy.mcp(access_token)).status).toBe(200)
      token = all[0]?.refresh_token
    }
    expect(askedWith()).toEqual(times(3, (number) => ({ token: `upstream-secret-${number}` })))
    expect(token).toContain('.3.')
  })
}

test('T40 8 refreshes at once in two processes: all get 200 and the same refresh token, one source is asked once', async () => {
  await open()
  second = await openSecond(proxy.dataDir)
  const { client, tokens } = await proxy.tokens()
  let token = tokens.refresh_token
  for (let generation = 1; generation <= 5; generation++) {
    const before = askedWith().length
    const [here, there] = await Promise.all([
      Promise.all(times(4, () => proxy.refresh(client, token).then(granted))),
      second.token(refreshFields(client, token), 4),
    ])
    expect(there.answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const all = [...here, ...there.answers.map(({ body }) => body)]
    expect(new Set(all.map(({ refresh_token }) => refresh_token)).size).toBe(1)
    expect(askedWith().length - before + there.asked).toBe(1)
    token = all[0]?.refresh_token
    expect(token).toContain(`.${generation}.`)
    for (const { access_token } of all) expect((await proxy.mcp(access_token)).status).toBe(200)
  }
})

test('T40 a source without refresh: still one refresh token for all who ask at once', async () => {
  await open()
  proxy.source.who = () => ({ identity: ALICE.identity })
  const { client, tokens } = await proxy.tokens()
  const all = await Promise.all(times(8, () => proxy.refresh(client, tokens.refresh_token).then(granted)))
  expect(new Set(all.map(({ refresh_token }) => refresh_token)).size).toBe(1)
  expect(all[0]?.refresh_token).toContain('.1.')
  expect(askedWith()).toEqual([])
})

test('T40 refreshes of different logins do not wait for each other', async () => {
  await open()
  const [slow, quick] = [await proxy.tokens(), await proxy.tokens()]
  const held = holdSource()
  const waiting = proxy.refresh(slow.client, slow.tokens.refresh_token)
  await held.begun
  proxy.source.again = held.again
  await granted(await proxy.refresh(quick.client, quick.tokens.refresh_token))
  held.letGo()
  await granted(await waiting)
})

test('T40 who waits 10 s for another refresh of the login gets 503, and the same token works once that one is through', async () => {
  const rigged = riggedStorage()
  await open({ storage: rigged.plugin })
  const { client, tokens } = await proxy.tokens()
  const held = holdSource()
  const first = proxy.refresh(client, tokens.refresh_token)
  await held.begun
  const waiting = loginLooks(rigged, 30)
  const others = times(3, () => proxy.refresh(client, tokens.refresh_token))
  await waiting
  proxy.pass(10_001)
  for (const answer of others) await refusal(await answer, 503, 'temporarily_unavailable')
  held.letGo()
  const { refresh_token } = await granted(await first)
  expect((await granted(await proxy.refresh(client, tokens.refresh_token))).refresh_token).toBe(refresh_token)
  expect(askedWith()).toHaveLength(1)
})

test('T40 the clock is set back by a day under a refresh that never ends: the others wait for 15 s, not for a day', async () => {
  const rigged = riggedStorage()
  await open({ storage: rigged.plugin })
  const { client, tokens } = await proxy.tokens()
  const held = holdSource()
  proxy.pass(86_400_000)
  const first = proxy.refresh(client, tokens.refresh_token)
  await held.begun
  proxy.source.again = held.again
  proxy.pass(-86_400_000)
  const waiting = loginLooks(rigged, 30)
  const early = proxy.refresh(client, tokens.refresh_token)
  await waiting
  proxy.pass(10_001)
  await refusal(await early, 503, 'temporarily_unavailable')
  const now = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 15_001)
  expect((await granted(await proxy.refresh(client, tokens.refresh_token))).refresh_token).toContain('.1.')
  held.letGo()
  expect((await granted(await first)).refresh_token).toContain('.1.')
})

test('T40 the source fails while others wait: one of them asks again, the rest get what that one got', async () => {
  await open({ storage: riggedStorage().plugin })
  const { client, tokens } = await proxy.tokens()
  const { again } = proxy.source
  const [begun, gate] = [openGate(), openGate<never>()]
  let calls = 0
  proxy.source.again = (...asked) => {
    begun.resolve()
    return ++calls === 1 ? gate.promise : again(...asked)
  }
  const first = proxy.refresh(client, tokens.refresh_token)
  await begun.promise
  const others = times(4, () => proxy.refresh(client, tokens.refresh_token))
  gate.reject(new SourceError('unavailable', 'HTTP 503'))
  await refusal(await first, 503, 'temporarily_unavailable')
  const all = await Promise.all((await Promise.all(others)).map(granted))
  expect(new Set(all.map(({ refresh_token }) => refresh_token)).size).toBe(1)
  expect(calls).toBe(2)
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
})

test('T40 the source fails whoever asks: all get 503, nobody is logged out, and the same token works afterwards', async () => {
  await open({ storage: riggedStorage().plugin })
  const { client, tokens } = await proxy.tokens()
  const { again } = proxy.source
  proxy.source.again = () => {
    throw new SourceError('unavailable', 'HTTP 503')
  }
  const failed = await Promise.all(times(8, () => proxy.refresh(client, tokens.refresh_token)))
  for (const response of failed) await refusal(response, 503, 'temporarily_unavailable')
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  proxy.source.again = again
  expect((await granted(await proxy.refresh(client, tokens.refresh_token))).refresh_token).toContain('.1.')
})

test('T40 the login ends while the source is being asked: everybody who waits gets invalid_grant, and nothing comes back to life', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const held = holdSource()
  const answers = times(4, () => proxy.refresh(client, tokens.refresh_token))
  await held.begun
  const revoked = await proxy.fetch('/revoke', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: tokens.access_token, client_id: client.client_id }).toString(),
  })
  expect(revoked.status).toBe(200)
  held.letGo()
  for (const answer of answers) await refusal(await answer, 400, 'invalid_grant')
  expect((await proxy.mcp(tokens.access_token)).status).toBe(401)
  await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
})

test('T40 a refresh that slept through its lease and two generations takes nothing back: it gets the current token, and what it learnt is dropped', async () => {
  await open({ storage: riggedStorage().plugin })
  const { client, tokens } = await proxy.tokens()
  const { again } = proxy.source
  const [begun, gate] = [openGate(), openGate<typeof ALICE>()]
  proxy.source.again = () => {
    begun.resolve()
    return gate.promise
  }
  const sleeper = proxy.refresh(client, tokens.refresh_token)
  await begun.promise
  proxy.source.again = again
  proxy.pass(15_001)
  const first = await granted(await proxy.refresh(client, tokens.refresh_token))
  const next = await granted(await proxy.refresh(client, first.refresh_token))
  gate.resolve({ ...ALICE, kept: { token: 'of long ago' } })
  expect((await granted(await sleeper)).refresh_token).toBe(next.refresh_token)
  const third = await granted(await proxy.refresh(client, next.refresh_token))
  expect(third.refresh_token).toContain('.3.')
  expect((await proxy.mcp(third.access_token)).status).toBe(200)
  expect(askedWith()).toEqual([0, 0, 1, 2].map((number) => ({ token: `upstream-secret-${number}` })))
})

/** What the test knows of a login: who may do what with which of its tokens. */
interface Model {
  readonly client: Registered
  readonly name: string
  /** The refresh token of each generation. */
  readonly tokens: string[]
  /** When each was replaced, on the proxy's clock without what really passes. */
  readonly replaced: number[]
  access: string
  over: boolean
}

test('T40 whatever clients refresh at once, with whatever generations: one refresh token and one source call for each, and only reuse ends a login', async () => {
  const rigged = riggedStorage()
  await open({ storage: rigged.plugin })
  let passed = 0
  const upstream = new Map<string, number>()
  proxy.source.again = (kept) => {
    const { token = '' } = kept as { token?: string }
    const [name = '', number = ''] = token.split('/')
    // Each time with what was kept last, or the source would have ended it.
    if (upstream.get(name) !== Number(number)) throw new SourceError('ended', `${token} was used before`)
    upstream.set(name, Number(number) + 1)
    return { ...ALICE, kept: { token: `${name}/${Number(number) + 1}` } }
  }

  async function login(name: string): Promise<Model> {
    upstream.set(name, 0)
    proxy.source.who = () => ({ ...ALICE, kept: { token: `${name}/0` } })
    const { client, tokens } = await proxy.tokens()
    return {
      client,
      name,
      tokens: [tokens.refresh_token ?? ''],
      replaced: [],
      access: tokens.access_token,
      over: false,
    }
  }

  /** One login's share of what happens at once. `ages`: how many generations behind each request is. */
  async function step(model: Model, ages: readonly number[]): Promise<void> {
    const current = model.tokens.length - 1
    const behind = (age: number) => Math.min(age, current)
    const rotates = ages.some((age) => behind(age) === 0)
    // With a rotation under way three behind may become four in between.
    const depth = rotates ? 2 : 4
    const generations = ages.map((age) => current - Math.min(behind(age), depth))
    const isReuse = generations.some(
      (generation) =>
        generation < current && (passed - (model.replaced[generation] ?? 0) > 60_000 || current - generation > 3),
    )
    const calls = upstream.get(model.name) ?? 0
    const responses = await Promise.all(
      generations.map((generation) => proxy.refresh(model.client, model.tokens[generation])),
    )
    if (model.over) {
      for (const response of responses) await refusal(response, 400, 'invalid_grant')
      return
    }
    if (isReuse) {
      // Who came before the reuse got something, who came after it nothing; in the end nobody has anything.
      assert(responses.every(({ status }) => status === 200 || status === 400))
      assert(responses.some(({ status }) => status === 400))
      model.over = true
      return
    }
    const answers = await Promise.all(responses.map(granted))
    const isOld = (index: number) => answers[index]?.refresh_token === model.tokens[current]
    // What is no longer the next token was given to one who asked with an older one, before the next was there.
    expect(generations.filter((generation, index) => isOld(index) && generation === current)).toEqual([])
    const made = new Set(answers.flatMap(({ refresh_token }, index) => (isOld(index) ? [] : [refresh_token])))
    expect(made.size).toBe(rotates ? 1 : 0)
    expect((upstream.get(model.name) ?? 0) - calls).toBe(rotates ? 1 : 0)
    if (rotates) {
      model.tokens.push(...made)
      model.replaced.push(passed)
    }
    model.access = answers[0]?.access_token ?? model.access
  }

  let run = 0
  const requests = fc.array(fc.record({ login: fc.nat(1), age: fc.nat(4) }), { minLength: 1, maxLength: 6 })
  const batches = fc.array(fc.record({ requests, wait: fc.constantFrom(0, 0, 0, 25_000, 100_000) }), { maxLength: 6 })
  const turns = fc.infiniteStream(fc.nat(3))
  await fc.assert(
    fc.asyncProperty(batches, turns, async (steps, pauses) => {
      run++
      proxy.address = `10.0.${run >> 8}.${run & 255}`
      rigged.before = undefined
      const models = [await login(`${run}a`), await login(`${run}b`)]
      // The store takes its time, now this step and now that one.
      rigged.before = async () => {
        const { value } = pauses.next()
        for (let left = value ?? 0; left > 0; left--) await turn()
      }
      for (const { requests: wanted, wait } of steps) {
        await Promise.all(
          models.map((model, index) =>
            step(
              model,
              wanted.flatMap(({ login: which, age }) => (which === index ? [age] : [])),
            ),
          ),
        )
        passed += wait
        proxy.pass(wait)
      }
      for (const model of models) {
        expect((await proxy.mcp(model.access)).status === 200).toBe(!model.over)
        const last = await proxy.refresh(model.client, model.tokens.at(-1))
        expect(last.status).toBe(model.over ? 400 : 200)
      }
    }),
    { numRuns: 40 },
  )
})

/** Lets the process die for its storage at a step: that one and all later ones fail. */
function dieAt(rigged: RiggedStorage, when: 'before' | 'after', is: (step: Step) => boolean): void {
  let dead = false
  const die = (step: Step, at: 'before' | 'after') => {
    if (dead || (at === when && is(step))) {
      dead = true
      throw new Error('the process has died')
    }
  }
  rigged.before = (step) => die(step, 'before')
  rigged.after = (step) => die(step, 'after')
}

/** Starts again on what was stored. */
async function revive(rigged: RiggedStorage): Promise<void> {
  rigged.before = undefined
  rigged.after = undefined
  await proxy.restart()
}

for (const when of ['before', 'after'] as const) {
  test(`T46 the process dies ${when} any one step of a refresh: no half answer, and after the restart the same token works`, async () => {
    const rigged = riggedStorage()
    await open({ storage: rigged.plugin })
    let deaths = 0
    for (let at = 0; ; at++) {
      const { client, tokens } = await proxy.tokens()
      let steps = 0
      dieAt(rigged, when, () => steps++ === at)
      const response = await proxy.refresh(client, tokens.refresh_token)
      await revive(rigged)
      // Whoever held the login's lease is dead, and 15 s later that is known.
      proxy.pass(15_001)
      if (response.status === 200) {
        await granted(response)
        break
      }
      deaths++
      await refusal(response, 503, 'temporarily_unavailable')
      expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
      const current = await granted(await proxy.refresh(client, tokens.refresh_token))
      expect(current.refresh_token).toContain('.1.')
      expect((await proxy.mcp(current.access_token)).status).toBe(200)
      await granted(await proxy.refresh(client, current.refresh_token))
    }
    // Client, login, lease, next generation, the client's use: each at least once.
    expect(deaths).toBeGreaterThan(5)
  })
}

/** A source that takes each of its tokens once, without any overlap. */
function strictSource(): void {
  let number = 0
  proxy.source.again = (kept) => {
    if ((kept as { token: string }).token !== `upstream-secret-${number}`)
      throw new SourceError('ended', 'this token was used before')
    return { ...ALICE, kept: { token: `upstream-secret-${++number}` } }
  }
}

/** A proxy that died after its source had answered a refresh and before that was kept; it is up again, and 15 s have passed. */
async function diedBeforeKeeping(prepare = () => {}) {
  const rigged = riggedStorage()
  await open({ storage: rigged.plugin })
  const { client, tokens } = await proxy.tokens()
  prepare()
  const { again } = proxy.source
  proxy.source.again = (...asked) => {
    dieAt(rigged, 'before', () => true)
    return again(...asked)
  }
  await refusal(await proxy.refresh(client, tokens.refresh_token), 503, 'temporarily_unavailable')
  proxy.source.again = again
  await revive(rigged)
  proxy.pass(15_001)
  return { client, tokens }
}

test('T46 the process dies between the answer of the source and keeping it: where old and new token overlap there, the login goes on', async () => {
  const { client, tokens } = await diedBeforeKeeping()
  const retried = await granted(await proxy.refresh(client, tokens.refresh_token))
  expect(retried.refresh_token).toContain('.1.')
  expect((await proxy.mcp(retried.access_token)).status).toBe(200)
  expect(askedWith()).toEqual([{ token: 'upstream-secret-0' }, { token: 'upstream-secret-0' }])
})

test('T46 the same with a source without overlap: invalid_grant, and one connects again', async () => {
  const { client, tokens } = await diedBeforeKeeping(strictSource)
  await refusal(await proxy.refresh(client, tokens.refresh_token), 400, 'invalid_grant')
  expect((await proxy.mcp(tokens.access_token)).status).toBe(401)
  expect(askedWith()).toEqual([{ token: 'upstream-secret-0' }, { token: 'upstream-secret-0' }])
  proxy.source.who = () => ({ ...ALICE, kept: { token: 'upstream-secret-1' } })
  const again = await proxy.tokens(client)
  await granted(await proxy.refresh(client, again.tokens.refresh_token))
})

/** The same, but it hands on its new token at once, before it goes on. */
function carefulSource(then: () => void = () => {}): void {
  strictSource()
  const { again } = proxy.source
  proxy.source.again = async (kept, signal, keep) => {
    const identified = await again(kept, signal, keep)
    await keep(identified.kept ?? null)
    then()
    return identified
  }
}

test('T46 a source without overlap that hands on its new token at once: the process may die right after that, the login goes on', async () => {
  const rigged = riggedStorage()
  await open({ storage: rigged.plugin })
  const { client, tokens } = await proxy.tokens()
  carefulSource(() => dieAt(rigged, 'before', () => true))
  await refusal(await proxy.refresh(client, tokens.refresh_token), 503, 'temporarily_unavailable')
  await revive(rigged)
  proxy.pass(15_001)
  proxy.source.again = () => ({ ...ALICE, kept: { token: 'upstream-secret-2' } })
  const retried = await granted(await proxy.refresh(client, tokens.refresh_token))
  expect(retried.refresh_token).toContain('.1.')
  expect(askedWith()).toEqual([{ token: 'upstream-secret-0' }, { token: 'upstream-secret-1' }])
})

test('T46 and it may fail right after that: 503, and the next refresh asks with the new token', async () => {
  await open({ storage: riggedStorage().plugin })
  const { client, tokens } = await proxy.tokens()
  let fails = true
  carefulSource(() => {
    if (fails) throw new SourceError('unavailable', 'the keys could not be fetched')
  })
  await refusal(await proxy.refresh(client, tokens.refresh_token), 503, 'temporarily_unavailable')
  fails = false
  const next = await granted(await proxy.refresh(client, tokens.refresh_token))
  await granted(await proxy.refresh(client, next.refresh_token))
  expect(askedWith()).toEqual([0, 1, 2].map((number) => ({ token: `upstream-secret-${number}` })))
})

test('T46 what a source hands on long after it was left behind does not replace what is newer', async () => {
  await open({ storage: riggedStorage().plugin })
  const { client, tokens } = await proxy.tokens()
  const { again } = proxy.source
  const [begun, gate, late] = [openGate(), openGate(), openGate()]
  proxy.source.again = async (_kept, _signal, keep) => {
    begun.resolve()
    await gate.promise
    await keep({ token: 'of long ago' })
    late.resolve()
    throw new SourceError('unavailable', 'too late')
  }
  const sleeper = proxy.refresh(client, tokens.refresh_token)
  await begun.promise
  proxy.source.again = again
  proxy.pass(15_001)
  const next = await granted(await proxy.refresh(client, tokens.refresh_token))
  gate.resolve()
  await late.promise
  await refusal(await sleeper, 503, 'temporarily_unavailable')
  await granted(await proxy.refresh(client, next.refresh_token))
  expect(askedWith()).toEqual([0, 0, 1].map((number) => ({ token: `upstream-secret-${number}` })))
})

test('T46 the process dies between keeping the answer of the source and answering: a retry in the grace succeeds, even with a strict source', async () => {
  const rigged = riggedStorage()
  await open({ storage: rigged.plugin })
  strictSource()
  const { client, tokens } = await proxy.tokens()
  let writes = 0
  // The lease is the first write to the login, the new generation the second.
  dieAt(rigged, 'after', (step) => step.what === 'write' && collectionOf(step) === 'login' && ++writes === 2)
  await refusal(await proxy.refresh(client, tokens.refresh_token), 503, 'temporarily_unavailable')
  expect(writes).toBe(2)
  await revive(rigged)
  const retried = await granted(await proxy.refresh(client, tokens.refresh_token))
  expect(retried.refresh_token).toContain('.1.')
  expect(askedWith()).toEqual([{ token: 'upstream-secret-0' }])
  await granted(await proxy.refresh(client, retried.refresh_token))
  expect(askedWith()).toEqual([{ token: 'upstream-secret-0' }, { token: 'upstream-secret-1' }])
})

test('T46 a second process is killed while its source is being asked: 503 for as long as its lease, then the same token works', async () => {
  const dataDir = (folder = await mkdtemp(join(tmpdir(), 'mcp-proxy-oauth-')))
  const rigged = riggedStorage(fsDriver(join(dataDir, 'store')))
  await open({ dataDir, storage: rigged.plugin })
  second = await openSecond(dataDir)
  const { client, tokens } = await proxy.tokens()
  await second.dieAsking(refreshFields(client, tokens.refresh_token))
  // It waits for the lease of the dead, and not for ever.
  const begun = loginLooks(rigged, 10)
  const waiting = proxy.refresh(client, tokens.refresh_token)
  await begun
  proxy.pass(10_001)
  await refusal(await waiting, 503, 'temporarily_unavailable')
  expect(askedWith()).toEqual([])
  proxy.pass(5000)
  const current = await granted(await proxy.refresh(client, tokens.refresh_token))
  expect(current.refresh_token).toContain('.1.')
  expect((await proxy.mcp(current.access_token)).status).toBe(200)
})
