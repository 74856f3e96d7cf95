import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { RunningServer } from '../fixtures/transport/start.ts'
import { openProxy } from '../harness.ts'
import { act, legacyMember, modernMember, type Member, type Step } from './support/crowd.ts'
import { startStateful, statefulEntry } from './support/stateful.ts'
import {
  badAnswers,
  badEnds,
  badProgress,
  badResults,
  leakedAsksAndLogs,
  legacyOf,
  lostLogs,
  strays,
  type Story,
} from './support/story.ts'

/** Runs of each property; a failure prints its seed. */
const RUNS = 15
const MOST_STEPS = 40
const LIMIT = 120_000

type Isolate = 'shared' | 'auto' | 'session'
type Check = (story: Story, given: Scenario) => void | Promise<void>

interface Scenario {
  /** Legacy clients: whether each has a GET stream. */
  readonly listens: readonly boolean[]
  readonly steps: readonly Step[]
}

const tools: readonly Step['tool'][] = ['log', 'progress', 'ask', 'deaf', 'late', 'sleep', 'touch', 'subscribe']
const step: fc.Arbitrary<Step> = fc.record({
  client: fc.nat(6),
  tool: fc.constantFrom(...tools),
  kind: fc.constantFrom('elicitation', 'sampling', 'roots'),
  amount: fc.integer({ min: 1, max: 8 }),
  cancel: fc.option(fc.integer({ min: 0, max: 30 }), { nil: undefined, freq: 4 }),
  pause: fc.constantFrom(0, 0, 1, 5, 20),
})
const scenario: fc.Arbitrary<Scenario> = fc.record({
  listens: fc.array(fc.boolean(), { minLength: 2, maxLength: 6 }),
  steps: fc.array(step, { minLength: 10, maxLength: MOST_STEPS, size: 'max' }),
})

let web: RunningServer
beforeAll(async () => void (web = await startStateful()))
afterAll(() => web.close())

describe.each(['stdio', 'http'] as const)('over %s', (over) => {
  const entry = (isolate: Isolate) => (over === 'stdio' ? { ...statefulEntry(), isolate } : { url: web.url, isolate })
  let run = 0

  /** Lets clients loose on a proxy of their own; `primed`: two of them have used the server before. */
  async function play(isolate: Isolate, given: Scenario, check: Check, primed: boolean): Promise<void> {
    const proxy = await openProxy({ mcpServers: { s: entry(isolate) } })
    const members: Member[] = []
    try {
      run++
      for (const [index, listens] of given.listens.entries()) {
        members.push(await legacyMember(proxy.url, `client${index}`, listens))
      }
      members.push(modernMember(proxy.url))
      if (primed) for (const { wire } of members.slice(0, 2)) await wire?.tool('s_whoami')
      const story = { members, done: await act(members, given.steps, run) }
      expect([...strays(story), ...badEnds(story), ...badProgress(story), ...badResults(story)]).toEqual([])
      await check(story, given)
      expect(strays(story)).toEqual([])
      expect(proxy.log()).not.toMatch(/^error /m)
    } finally {
      await Promise.all(members.map((member) => member.leave()))
      await proxy.close()
    }
  }

  const property = (isolate: Isolate, check: Check, primed = false) =>
    fc.assert(
      fc.asyncProperty(scenario, (given) => play(isolate, given, check, primed)),
      { numRuns: RUNS, endOnFailure: true },
    )

  test('shared: everything reaches its owner or nobody', () => property('shared', () => {}), LIMIT)

  test(
    'shared by several from the start: questions and logs reach nobody',
    () => property('shared', (story) => expect(leakedAsksAndLogs(story)).toEqual([]), true),
    LIMIT,
  )

  test(
    'session: everything reaches its owner, and nothing is lost',
    () =>
      property('session', async (story, { listens }) => {
        expect(badAnswers(story)).toEqual([])
        // What is said after an answer may take its time on a busy machine.
        await vi.waitFor(() => expect(lostLogs(story, listens)).toEqual([]), 5000)
      }),
    LIMIT,
  )

  test(
    'auto: everything reaches its owner or nobody, and in the end everybody can be asked',
    () =>
      property('auto', async (story) => {
        const names = new Set<string>()
        for (const { wire, owner } of legacyOf(story)) {
          // The first question may still be refused: it is what shows that the server asks.
          await wire?.tool('s_ask', { mark: `${owner} first`, kind: 'roots' })
          const answer = await wire?.tool('s_ask', { mark: `${owner} again`, kind: 'roots' })
          expect(answer).toEqual({ result: { by: owner, mark: `${owner} again` } })
          names.add((await wire?.tool('s_whoami'))?.name)
        }
        expect(names.size).toBe(legacyOf(story).length)
      }),
    LIMIT,
  )
})
