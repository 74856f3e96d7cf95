import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createBreaker } from '../../../core/upstream/breaker.ts'

/** The longest pause after each further failure, in ms. */
const LONGEST = [1000, 2000, 4000, 8000, 16_000, 30_000, 60_000, 60_000, 60_000]

afterEach(() => void vi.useRealTimers())

describe('a breaker', () => {
  it.each([-1, 1])('pauses as long as ever when somebody sets the clock (%i day)', (days) => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const breaker = createBreaker()
    breaker.failed('no')
    vi.setSystemTime(Date.now() + days * 86_400_000)
    expect(breaker.wait()).toBeLessThanOrEqual(1000)
    expect(breaker.wait()).toBeGreaterThan(0)
  })

  it('lets everybody through until something has failed', () => {
    const breaker = createBreaker()
    expect(breaker.wait()).toBe(0)
    expect(breaker.reason).toBeUndefined()
  })

  it('pauses longer after each failure, up to a minute; chance only shortens, to half at most', () => {
    const breaker = createBreaker(() => 0)
    for (const longest of LONGEST) {
      breaker.failed('no')
      expect(breaker.wait()).toBeLessThanOrEqual(longest)
      expect(breaker.wait()).toBeGreaterThanOrEqual(longest / 2)
    }
  })

  it('does not let many knock at the same moment', () => {
    const waits = Array.from({ length: 50 }, () => {
      const breaker = createBreaker(() => 0)
      breaker.failed('no')
      return breaker.wait()
    })
    expect(new Set(waits).size).toBeGreaterThan(1)
  })

  it('lets through again once the pause is over, and still knows why it was', () => {
    let now = 0
    const breaker = createBreaker(() => now)
    breaker.failed('connection refused')
    now = breaker.wait() - 1
    expect(breaker.wait()).toBe(1)
    now += 1
    expect(breaker.wait()).toBe(0)
    now += 10_000
    expect(breaker.wait()).toBe(0)
    expect(breaker.reason).toBe('connection refused')
  })

  it('forgets everything with a success', () => {
    const breaker = createBreaker(() => 0)
    for (const reason of ['a', 'b', 'c', 'd']) breaker.failed(reason)
    expect(breaker.reason).toBe('d')
    breaker.succeeded()
    expect(breaker.wait()).toBe(0)
    expect(breaker.reason).toBeUndefined()
    breaker.failed('e')
    expect(breaker.wait()).toBeLessThanOrEqual(1000)
  })

  it('never waits longer than a minute, nor less than half a second after a failure, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 50 }), (events) => {
        const breaker = createBreaker(() => 0)
        for (const failed of events) {
          if (failed) breaker.failed('no')
          else breaker.succeeded()
          expect(breaker.wait()).toBeLessThanOrEqual(60_000)
          expect(breaker.wait() >= 500).toBe(failed)
        }
      }),
    )
  })
})
