import { describe, expect, it } from 'vitest'
import { matchTemplate } from '../../../core/gateway/template.ts'

describe('matchTemplate', () => {
  it.each([
    ['x://item/{id}', 'x://item/7', true],
    ['x://item/{id}', 'x://item/', false],
    ['x://item/{id}', 'x://item/7/more', false],
    ['x://item/{id}', 'y://item/7', false],
    ['x://{a}/{b}', 'x://1/2', true],
    ['x://{a}-{b}', 'x://1-2-3', true],
    ['x://{a}-{b}', 'x://12', false],
    ['x://{+path}', 'x://a/b/c?d', true],
    ['x://files{/path*}', 'x://files/a/b', true],
    ['x://files{/path*}', 'x://files', true],
    ['x://find{?q,page}', 'x://find?q=1&page=2', true],
    ['x://{id*}/end', 'x:///end', true],
    ['x://plain', 'x://plain', true],
    ['x://plain', 'x://plainer', false],
    // What means something in a regular expression means itself here.
    ['x://a.b(c)/{id}', 'x://a.b(c)/1', true],
    ['x://a.b/{id}', 'x://aXb/1', false],
    ['x://[{id}]', 'x://[1]', true],
    ['x://{unclosed', 'x://{unclosed', true],
    ['x://{id}', 'x://ünï😀', true],
  ])('%s and %s: %s', (template, uri, expected) => {
    expect(matchTemplate(template)(uri)).toBe(expected)
  })

  it('does not hang on many expressions and a long URI', () => {
    // Backtracking would take longer than anybody waits for.
    expect(matchTemplate(`x://${'{a}'.repeat(30)}!`)(`x://${'a'.repeat(5000)}`)).toBe(false)
    expect(matchTemplate('x://{a}-{b}-{c}!')(`x://${'-'.repeat(50_000)}`)).toBe(false)
    expect(matchTemplate('x://{+a}-{+b}!')(`x://${'-'.repeat(200_000)}`)).toBe(false)
  })
})
