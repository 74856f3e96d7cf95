import type { Expected } from './expected.ts'
import type { Check, Results } from './results.ts'

/** A check that ended differently, or another number of times, than it should have. */
export interface Difference {
  readonly scenario: string
  readonly check: string
  /** How it ended, and how often, sorted; empty: it did not come at all. */
  readonly wanted: string
  readonly got: string
  /** What the suite says about it. */
  readonly message: string
}

/** Compares check by check: the same ids, each with the same ends, in whatever order. */
export function differences(wanted: Results, got: Results): readonly Difference[] {
  const scenarios = new Set([...wanted.keys(), ...got.keys()])
  return [...scenarios].flatMap((scenario) => {
    const before = wanted.get(scenario) ?? []
    const after = got.get(scenario) ?? []
    const ids = new Set([...before, ...after].map(({ id }) => id))
    return [...ids].flatMap((id) => {
      const difference = { wanted: ends(before, id), got: ends(after, id), message: messageOf(after, id) }
      return difference.wanted === difference.got ? [] : [{ scenario, check: id, ...difference }]
    })
  })
}

/** Every check that should have passed and did not, for runs that nothing is compared with. */
export function failures(got: Results): readonly Difference[] {
  return [...got].flatMap(([scenario, checks]) => {
    const bad = new Set(checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING').map(({ id }) => id))
    return [...bad].map((id) => ({
      scenario,
      check: id,
      wanted: 'SUCCESS',
      got: ends(checks, id),
      message: messageOf(checks, id),
    }))
  })
}

/** What the list of expected differences says to those there are. */
export interface Verdict {
  readonly unexpected: readonly Difference[]
  readonly expected: readonly (Difference & { readonly reason: string })[]
  /** Entries for scenarios that ran and did not differ. */
  readonly stale: readonly Expected[]
}

/** Judges the differences of one run; `entries` are those for its section and suite, `ran` names its scenarios. */
export function judge(found: readonly Difference[], entries: readonly Expected[], ran: ReadonlySet<string>): Verdict {
  const covers = (entry: Expected, { scenario, check }: Difference) =>
    entry.scenario === scenario && entry.checks.includes(check) && entry.reason.trim() !== ''
  const expected = found.flatMap((difference) => {
    const entry = entries.find((one) => covers(one, difference))
    return entry === undefined ? [] : [{ ...difference, reason: entry.reason }]
  })
  const stale = entries
    .filter(({ scenario }) => ran.has(scenario))
    .map((entry) => ({
      ...entry,
      checks: entry.checks.filter(
        (check) => !found.some((one) => one.scenario === entry.scenario && one.check === check),
      ),
    }))
    .filter(({ checks }) => checks.length > 0)
  const unexpected = found.filter((difference) => !entries.some((entry) => covers(entry, difference)))
  return { unexpected, expected, stale }
}

function ends(checks: readonly Check[], id: string): string {
  const statuses = checks.filter((check) => check.id === id).map(({ status }) => status)
  const times = new Map<string, number>()
  for (const status of statuses.sort()) times.set(status, (times.get(status) ?? 0) + 1)
  return [...times].map(([status, number]) => (number === 1 ? status : `${status}×${number}`)).join(' ') || 'absent'
}

function messageOf(checks: readonly Check[], id: string): string {
  return checks.find((check) => check.id === id && check.errorMessage !== undefined)?.errorMessage ?? ''
}
