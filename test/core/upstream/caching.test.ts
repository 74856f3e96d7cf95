import { describe, expect, it } from 'vitest'
import { fakeInstance } from '../../fixtures/core/instance.ts'
import { stricter } from '../../../core/gateway/caching.ts'
import { readCaching, rereadAfter } from '../../../core/upstream/caching.ts'

describe('what a result says about keeping it', () => {
  it.each([
    [
      { ttlMs: 5000, cacheScope: 'public' },
      { ttlMs: 5000, cacheScope: 'public' },
    ],
    [
      { ttlMs: 5000, cacheScope: 'private' },
      { ttlMs: 5000, cacheScope: 'private' },
    ],
    [{ ttlMs: 5000 }, { ttlMs: 5000, cacheScope: 'private' }],
    [{ cacheScope: 'public' }, { ttlMs: 0, cacheScope: 'public' }],
    [
      { ttlMs: -1, cacheScope: 'all' },
      { ttlMs: 0, cacheScope: 'private' },
    ],
    [
      { ttlMs: '5', cacheScope: 7 },
      { ttlMs: 0, cacheScope: 'private' },
    ],
  ])('%j means %j', (result, caching) => expect(readCaching(result)).toEqual(caching))

  it('is, for two, the shorter time and the narrower scope', () => {
    const open = { ttlMs: 9, cacheScope: 'public' } as const
    const narrow = { ttlMs: 20, cacheScope: 'private' } as const
    expect(stricter(undefined, open)).toEqual(open)
    expect(stricter(open, narrow)).toEqual({ ttlMs: 9, cacheScope: 'private' })
    expect(stricter(narrow, open)).toEqual({ ttlMs: 9, cacheScope: 'private' })
    expect(stricter(open, { ...open, ttlMs: 20 })).toEqual(open)
  })
})

describe('a list is read again', () => {
  const caching = (ttlMs: number) => ({ ttlMs, cacheScope: 'public' }) as const
  it.each([
    ['when it says how long it lasts, and nobody tells of changes', { tools: {} }, 'tools', 60_000, 60_000],
    ['not more often than every half minute', { tools: {} }, 'tools', 5, 30_000],
    ['at least once a day', { tools: {} }, 'tools', 1e12, 86_400_000],
    ['not when changes are told', { tools: { listChanged: true } }, 'tools', 60_000, undefined],
    ['not when it lasts no time', { tools: {} }, 'tools', 0, undefined],
    ['as resources are, for templates', { resources: { listChanged: true } }, 'templates', 60_000, undefined],
    ['as resources are, for templates too', { resources: {} }, 'templates', 60_000, 60_000],
  ] as const)('%s', (_, capabilities, kind, ttl, ms) =>
    expect(rereadAfter(fakeInstance({ about: { capabilities } }), kind, caching(ttl))).toBe(ms),
  )
  it('when the server announces to tell, but does not', () => {
    const { about, face } = fakeInstance({ about: { capabilities: { resources: { listChanged: true } } } })
    for (const kind of ['resources', 'templates'] as const)
      expect(rereadAfter({ about, face: { ...face, hears: () => false } }, kind, caching(60_000))).toBe(60_000)
  })
  it('not when nothing is said', () =>
    expect(rereadAfter(fakeInstance({ about: { capabilities: { tools: {} } } }), 'tools', undefined)).toBeUndefined())
})
