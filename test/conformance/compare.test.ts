import { describe, expect, it } from 'vitest'
import { differences, failures, judge } from './compare.ts'
import type { Expected } from './expected.ts'
import type { Results, Status } from './results.ts'

function results(scenarios: Record<string, readonly [id: string, status: Status, errorMessage?: string][]>): Results {
  return new Map(
    Object.entries(scenarios).map(([name, checks]) => [
      name,
      checks.map(([id, status, errorMessage]) => ({ id, status, ...(errorMessage !== undefined && { errorMessage }) })),
    ]),
  )
}

const entry = (more: Partial<Expected>): Expected => ({
  sections: ['ml'],
  scenario: 's',
  checks: ['a'],
  reason: 'the wire has no place for it',
  ...more,
})

describe('differences', () => {
  it('are none between runs with the same checks in another order', () => {
    const one = results({
      s: [
        ['a', 'SUCCESS'],
        ['b', 'FAILURE'],
        ['a', 'INFO'],
      ],
    })
    const other = results({
      s: [
        ['a', 'INFO'],
        ['a', 'SUCCESS'],
        ['b', 'FAILURE'],
      ],
    })
    expect(differences(one, other)).toEqual([])
  })

  it('are another status, with what the suite says about it', () => {
    const found = differences(results({ s: [['a', 'SUCCESS']] }), results({ s: [['a', 'FAILURE', 'got 500']] }))
    expect(found).toEqual([{ scenario: 's', check: 'a', wanted: 'SUCCESS', got: 'FAILURE', message: 'got 500' }])
  })

  it('are a check that is missing, one that is new, and one that comes another number of times', () => {
    const wanted = results({
      s: [
        ['a', 'SUCCESS'],
        ['c', 'SUCCESS'],
        ['c', 'SUCCESS'],
      ],
    })
    const got = results({
      s: [
        ['b', 'SUCCESS'],
        ['c', 'SUCCESS'],
      ],
    })
    expect(differences(wanted, got)).toMatchObject([
      { check: 'a', wanted: 'SUCCESS', got: 'absent' },
      { check: 'c', wanted: 'SUCCESS×2', got: 'SUCCESS' },
      { check: 'b', wanted: 'absent', got: 'SUCCESS' },
    ])
  })

  it('are all checks of a scenario that did not run, also where all of them failed directly', () => {
    expect(differences(results({ s: [['a', 'FAILURE']] }), new Map())).toMatchObject([{ scenario: 's', got: 'absent' }])
  })
})

describe('failures', () => {
  it('are checks that failed or warned, each once', () => {
    const got = results({
      s: [
        ['a', 'FAILURE', 'no'],
        ['a', 'SUCCESS'],
        ['b', 'WARNING'],
        ['c', 'SKIPPED'],
        ['d', 'INFO'],
      ],
    })
    expect(failures(got)).toMatchObject([
      { check: 'a', got: 'FAILURE SUCCESS', message: 'no' },
      { check: 'b', got: 'WARNING' },
    ])
  })
})

describe('the verdict', () => {
  const found = differences(results({ s: [['a', 'SUCCESS']] }), results({ s: [['a', 'FAILURE']] }))
  const ran = new Set(['s'])

  it('takes a difference that is expected, with its reason', () => {
    const verdict = judge(found, [entry({})], ran)
    expect(verdict).toMatchObject({ unexpected: [], stale: [], expected: [{ check: 'a', reason: entry({}).reason }] })
  })

  it('does not take one that nobody expects, in another scenario or another check', () => {
    expect(judge(found, [], ran).unexpected).toHaveLength(1)
    expect(judge(found, [entry({ scenario: 't' })], ran).unexpected).toHaveLength(1)
    expect(judge(found, [entry({ checks: ['b'] })], ran).unexpected).toHaveLength(1)
  })

  it('does not take one whose entry gives no reason', () => {
    expect(judge(found, [entry({ reason: ' ' })], ran).unexpected).toHaveLength(1)
  })

  it('calls an entry stale for those of its checks that no longer differ', () => {
    expect(judge(found, [entry({ checks: ['a', 'b'] })], ran).stale).toMatchObject([{ checks: ['b'] }])
  })

  it('says nothing about entries for scenarios that did not run', () => {
    expect(judge([], [entry({ scenario: 'other' })], ran).stale).toEqual([])
  })
})
