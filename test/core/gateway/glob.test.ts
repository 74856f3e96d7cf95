import { describe, expect, it } from 'vitest'
import { matchNames } from '../../../core/gateway/glob.ts'

describe('matchNames', () => {
  it.each([
    [['time_*'], 'time_now', true],
    [['time_*'], 'time_', true],
    [['time_*'], 'a_time_now', false],
    [['*_now'], 'time_now', true],
    [['*'], 'anything', true],
    [['time_now'], 'time_now', true],
    [['time_now'], 'time_nowhere', false],
    [['a*b*c'], 'a__b__c', true],
    [['a*b*c'], 'a__c__b', false],
    [['a**c'], 'abc', true],
    [['a*'], 'a\nb', true],
    // Only the asterisk means anything.
    [['time.now'], 'time_now', false],
    [['[ab]'], 'a', false],
    [['(x|y)*'], '(x|y)z', true],
    [['a?'], 'ab', false],
    [[], 'a', false],
    [['x', 'y_*'], 'y_1', true],
  ])('%j and %s: %s', (globs, name, expected) => {
    expect(matchNames(globs)(name)).toBe(expected)
  })

  it('does not hang on many asterisks and a long name', () => {
    expect(matchNames(['*a*a*a*a*a*a*a*b'])('a'.repeat(3000))).toBe(false)
    expect(matchNames(['*_*_b'])('_'.repeat(200_000))).toBe(false)
  })
})
