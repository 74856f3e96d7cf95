import { expect, test } from 'vitest'
import { backoff, doubling, sleep } from '../../core/backoff.ts'

test('the last delay repeats', () => {
  const delay = backoff({ delays: [1, 2, 4] })
  expect([0, 1, 2, 3, 99].map(delay)).toEqual([1, 2, 4, 4, 4])
})

test('no delays: at once', () => {
  expect(backoff({ delays: [] })(3)).toBe(0)
})

test('jitter shortens by its share at most and never lengthens', () => {
  const least = backoff({ delays: [1000], jitter: 0.5, random: () => 0.999_999 })
  const most = backoff({ delays: [1000], jitter: 0.5, random: () => 0 })
  expect([least(0), most(0)]).toEqual([500, 1000])
})

test('doubling ends at the longest delay', () => {
  expect(doubling(1000, 30_000)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000])
  expect(doubling(100, 100)).toEqual([100])
  expect(doubling(0, 30_000)).toEqual([0])
})

test('sleep ends early, and does not reject, when its signal aborts', async () => {
  const end = new AbortController()
  const long = sleep(1_000_000, end.signal)
  end.abort()
  await expect(long).resolves.toBeUndefined()
  await expect(sleep(1_000_000, end.signal)).resolves.toBeUndefined()
})

test('sleep waits', async () => {
  let early = true
  setTimeout(() => (early = false), 20)
  await sleep(60)
  expect(early).toBe(false)
})
