import fc from 'fast-check'
import { setTimeout as sleep } from 'node:timers/promises'
import { queryObjects } from 'node:v8'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ModernCall } from '../../core/downstream/modern-call.ts'
import { Question } from '../../core/downstream/questions.ts'
import { Reply } from '../../core/downstream/reply.ts'
import { definePlugin } from '../../core/index.ts'
import { startScript, type RunningServer } from '../fixtures/transport/start.ts'
import { node, openProxy, ROOT, type TestProxy } from '../harness.ts'
import type { Act, Kind } from '../fixtures/actor/script.ts'
import { legacyPlayer } from './support/actors/legacy.ts'
import { modernPlayer } from './support/actors/modern.ts'
import { nonceOf, type Done, type Player, type Reply as ReplyStyle, type Step } from './support/actors/player.ts'
import { sdkLegacyPlayer, sdkModernPlayer } from './support/actors/sdk.ts'
import { complaintsOf } from './support/actors/story.ts'
import { holdings, untilReturned, type Holdings } from './support/holdings.ts'
import { until } from './support/until.ts'

/**
 * Runs, and the seed: `BOTH_ERAS_SEED=… BOTH_ERAS_RUNS=… npx vitest run …` repeats what a failure has printed, as far as
 * timing lets it.
 */
const RUNS = Number(process.env.BOTH_ERAS_RUNS ?? 3)
const SEED = process.env.BOTH_ERAS_SEED
const LIMIT = 60_000 * Math.max(4, RUNS)

const CLIENTS = 50
const USERS = ['ann', 'bob', 'cid', 'dee', 'eve']
const SERVERS = ['auto', 'own', 'all', 'web', 'wpost', 'mpipe', 'mweb']
/** Servers that may ask one call what another one is about: the pipe cannot tell. */
const VAGUE = new Set(['auto', 'own', 'all', 'web'])

const times = fc.integer({ min: 1, max: 4 })
const kinds = fc.array(fc.constantFrom<Kind>('elicitation', 'sampling', 'roots'), { minLength: 1, maxLength: 3 })
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ do: fc.constantFrom('progress' as const, 'log' as const), times }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 1, 5, 20, 60) }),
  fc.record({
    do: fc.constant('ask' as const),
    kinds,
    giveUp: fc.option(fc.constantFrom(0, 3, 20, 40), { nil: undefined, freq: 6 }),
    meanwhile: fc.constantFrom(0, 0, 1, 3),
  }),
)
const script: fc.Arbitrary<Step['script']> = fc.record({
  acts: fc.array(act, { maxLength: 6 }),
  deaf: fc.boolean(),
  ends: fc.constantFrom('result', 'result', 'result', 'isError', 'error'),
  late: fc.subarray(['progress', 'log', 'ask']),
  aside: fc.boolean(),
})
const step: fc.Arbitrary<Step> = fc.record({
  client: fc.nat(CLIENTS - 1),
  server: fc.constantFrom(...SERVERS),
  script,
  replies: fc.array(fc.constantFrom<ReplyStyle>('accept', 'accept', 'decline', 'error', 'late'), {
    minLength: 1,
    maxLength: 4,
  }),
  cancel: fc.option(fc.integer({ min: 0, max: 80 }), { nil: undefined, freq: 3 }),
  pause: fc.constantFrom(0, 0, 0, 1, 5),
})
const scenario = fc.array(step, { minLength: 150, maxLength: 300, size: 'max' })

const byHeader = definePlugin({
  name: 'auth-by-header',
  setup: () => ({
    auth: {
      authenticate(request) {
        const id = request.headers.get('x-user')
        return id === null ? undefined : { id, roles: [] }
      },
    },
  }),
})

const SCRIPT = 'test/fixtures/actor-server.ts'
let legacyWeb: RunningServer
let modernWeb: RunningServer
beforeAll(async () => {
  legacyWeb = await startScript([join(ROOT, SCRIPT), 'legacy', 'http'])
  modernWeb = await startScript([join(ROOT, SCRIPT), 'modern', 'http'])
})
afterAll(() => Promise.all([legacyWeb?.close(), modernWeb?.close()]))

function open(): Promise<TestProxy> {
  const pipe = node(SCRIPT, 'legacy', 'stdio')
  // Nothing ends for want of work: what a session has for itself is to end with the session.
  const idleStop = 600_000
  return openProxy({
    plugins: [byHeader, 'transport-stdio', 'transport-streamable', 'storage-fs'],
    mcpServers: {
      auto: { ...pipe, isolate: 'auto', idleStop },
      own: { ...pipe, isolate: 'session', idleStop },
      all: { ...pipe, isolate: 'shared' },
      web: { url: legacyWeb.url, isolate: 'session', idleStop },
      wpost: { url: legacyWeb.url, isolate: 'user', idleStop },
      mpipe: node(SCRIPT, 'modern', 'stdio'),
      mweb: { url: modernWeb.url },
    },
  })
}

const userOf = (client: number): string => USERS[client % USERS.length] ?? ''
const isSdk = (client: number): boolean => client % 25 >= 20
const isModern = (client: number): boolean => client >= CLIENTS / 2

/** 20 raw sessions (half of them listening), 5 of the SDK's; 20 raw clients of 2026-07-28, 5 of the SDK's. */
function join50(url: string, plan: ReadonlyMap<string, Step>): Promise<Player[]> {
  const one = async (client: number): Promise<Player> => {
    const who = { name: nameOf(client), user: userOf(client), plan }
    if (isModern(client)) {
      return isSdk(client)
        ? sdkModernPlayer(url, who)
        : modernPlayer(url, { ...who, logs: !who.name.endsWith('quiet') })
    }
    return isSdk(client) ? sdkLegacyPlayer(url, who) : legacyPlayer(url, { ...who, listens: client % 2 === 0 })
  }
  return Promise.all(Array.from({ length: CLIENTS }, (_, client) => one(client)))
}

function nameOf(client: number): string {
  if (!isModern(client)) return `legacy${client}`
  // They ask for no log messages.
  return client % 25 < 20 && client % 4 === 0 ? `modern${client}quiet` : `modern${client}`
}

/**
 * What cannot be without harm is left out: a client of 2026-07-28 that closes a stream in the very moment in which it
 * is answered with a question is taken to come back with the answer. Where the question may be another call's, that one
 * would wait for it. So of such clients, those of one user either cancel at a server or are asked by it.
 */
function harmless(step: Step, seed: number): Step {
  const { server, script, client } = step
  const aside = script.aside && server !== 'wpost'
  // What is left alone and not given up shows at the server.
  const acts = server === 'wpost' && step.cancel !== undefined ? script.acts.map(patient) : script.acts
  // A question after the answer is on no call's stream: it may come with any call.
  const late = server === 'wpost' && isModern(client) ? script.late.filter((each) => each !== 'ask') : script.late
  if (!isModern(client) || !VAGUE.has(server)) return { ...step, script: { ...script, acts, aside, late } }
  const asks = (USERS.indexOf(userOf(client)) + SERVERS.indexOf(server) + seed) % 2 === 0
  if (asks) return { ...step, cancel: undefined, script: { ...script, aside } }
  const unasking = script.acts.filter((each) => each.do !== 'ask')
  return { ...step, script: { ...script, aside, acts: unasking, late: script.late.filter((each) => each !== 'ask') } }
}

const patient = (act: Act): Act => (act.do === 'ask' ? { ...act, giveUp: undefined } : act)

const asks = ({ script }: Step): boolean => script.acts.some((each) => each.do === 'ask')

/** Some of the calls that are cancelled end by that alone. */
function hanging(step: Step): Step {
  const { script, cancel, replies, client } = step
  // One of the SDK's clients says only once that it cancels, which may overtake the call.
  if (cancel === undefined || script.deaf || replies.length % 2 === 0 || isSdk(client)) return step
  return { ...step, script: { ...script, acts: [...script.acts, { do: 'wait', ms: 1_000_000 }] } }
}

/** Calls that may have been left in the very moment in which they were answered with questions: they wait for their client. */
function leftAlone(done: readonly Done[]): ReadonlySet<string> {
  const left = done.filter(
    ({ step, player }) => step.server === 'wpost' && player.era === 'modern' && step.cancel !== undefined && asks(step),
  )
  return new Set(left.map(({ nonce }) => nonce))
}

/** How many objects there are that belong to calls; takes about half a second for each kind. */
function remains(kinds: readonly (new (...args: never[]) => object)[]): number {
  return kinds.reduce((sum, kind) => sum + queryObjects(kind as never, { format: 'count' }), 0)
}

const censusOf = async (web: RunningServer): Promise<any> => (await fetch(new URL('/census', web.url))).json()

let run = 0

async function play(given: readonly Step[]): Promise<void> {
  const number = ++run
  const steps = given.map((each) => hanging(harmless(each, number)))
  const nonces = steps.map((each, at) => nonceOf(nameOf(each.client), each.server, `${number}.${at}`))
  const plan = new Map(steps.map((each, at) => [nonces[at] ?? '', each]))
  const before = holdings()
  const proxy = await open()
  let players: Player[] = []
  try {
    players = await join50(proxy.url, plan)
    const doing: Promise<Done>[] = []
    for (const [at, each] of steps.entries()) {
      const player = players[each.client]
      if (player === undefined) throw new Error(`there is no client ${each.client}`)
      doing.push(player.play(each, nonces[at] ?? ''))
      if (each.pause > 0) await sleep(each.pause)
    }
    const done = await Promise.all(doing)
    await sleep(80)
    expect(complaintsOf({ players, done })).toEqual([])
    const alone = leftAlone(done)
    await Promise.all(players.map((player) => everyServerIsThere(player, alone, number)))
    expect(complaintsOf({ players, done })).toEqual([])
    await Promise.all(players.splice(0).map((player) => player.leave()))
    const waiting: string[] = (await censusOf(legacyWeb)).open
    await nothingStays(waiting.filter((nonce) => alone.has(nonce)).length, before)
    expect(proxy.log()).not.toMatch(/^(error|warn) /m)
  } finally {
    await Promise.all(players.map((player) => player.leave().catch(() => {})))
    await proxy.close()
  }
  await untilReturned({ ...before, heap: Number.POSITIVE_INFINITY }, 0)
  expect(remains([ModernCall])).toBe(0)
  for (const web of [legacyWeb, modernWeb]) {
    await until('the servers have nothing left', async () => (await censusOf(web)).open.length === 0).catch(() => {})
    expect(await censusOf(web)).toMatchObject({ open: [], asking: [] })
  }
  // The last ones may still be on their way to be ended.
  await until('the sessions at the server have ended', async () => (await censusOf(legacyWeb)).sessions === 0).catch(
    () => {},
  )
  expect(await censusOf(legacyWeb)).toMatchObject({ sessions: 0 })
}

/** Every server answers every client, and has nothing of this run under way. */
async function everyServerIsThere(player: Player, alone: ReadonlySet<string>, number: number): Promise<void> {
  for (const server of SERVERS) {
    const left = async () => {
      const { open, asking } = await player.census(server)
      return [...open, ...asking].filter(
        (nonce) => nonce.includes(`:${number}.`) && !alone.has(nonce.split('?')[0] ?? ''),
      )
    }
    let last: string[] = []
    await until(`${server} is at rest`, async () => (last = await left()).length === 0, 30_000).catch(() => {
      throw new Error(`${player.name}: ${server} still has ${last.join(', ')}`)
    })
  }
}

/** What the clients needed ends with them; `alone`: calls that may wait for ever. */
async function nothingStays(alone: number, before: Holdings): Promise<void> {
  // Of `auto` and `own` one for each user of 2026-07-28, who never says goodbye, and the first one; what all share.
  const shared = before.processes + 2 * (USERS.length + 1) + 2
  let now = before
  const isFine = () => (now = holdings()).processes <= shared
  await until('what runs for single clients has ended', isFine).catch(() => {
    throw new Error(`there are ${now.processes} processes, not ${shared}`)
  })
  const kinds = [ModernCall, Question, Reply]
  // Each of those has up to three questions.
  const isGone = () => kinds.every((kind) => remains([kind]) <= (kind === Question ? 3 * alone : alone))
  await until('calls have left nothing', isGone, 5000).catch(() => {
    const counts = kinds.map((kind) => `${kind.name} ${remains([kind])}`)
    throw new Error(`still there: ${counts.join(', ')}; of ${alone} calls that may wait`)
  })
}

test(
  'fifty clients of both eras at servers of both eras: each hears of its own calls, and all of them end',
  { timeout: LIMIT },
  () =>
    fc.assert(fc.asyncProperty(scenario, play), {
      numRuns: RUNS,
      endOnFailure: true,
      ...(SEED !== undefined && { seed: Number(SEED) }),
    }),
)
