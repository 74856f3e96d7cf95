import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createDebounce } from '../../../plugins/reload/debounce.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Work that is counted, and goes on until the test ends it. */
function scene(delay = 100) {
  const end = new AbortController()
  const ends: (() => void)[] = []
  const debounce = createDebounce(delay, end.signal, () => new Promise((resolve) => void ends.push(resolve)))
  return {
    ...debounce,
    end,
    get begun() {
      return ends.length
    },
    /** Ends the work that was begun last. */
    async done() {
      ends.at(-1)?.()
      await vi.advanceTimersByTimeAsync(0)
    },
  }
}

test('begins after the last wish for it', async () => {
  const one = scene()
  one.soon()
  await vi.advanceTimersByTimeAsync(99)
  one.soon()
  await vi.advanceTimersByTimeAsync(99)
  expect(one.begun).toBe(0)
  await vi.advanceTimersByTimeAsync(1)
  expect(one.begun).toBe(1)
})

test('begins after ten delays though it is wished for all the time, and counts anew from there', async () => {
  const one = scene()
  const wish = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 50) {
      one.soon()
      await vi.advanceTimersByTimeAsync(50)
    }
  }
  await wish(950)
  expect(one.begun).toBe(0)
  await wish(100)
  expect(one.begun).toBe(1)
  await one.done()
  await wish(900)
  expect(one.begun).toBe(1)
  await wish(200)
  expect(one.begun).toBe(2)
})

test('a wish while it works lets it begin once more, however many there were', async () => {
  const one = scene()
  one.now()
  expect(one.begun).toBe(1)
  one.now()
  one.soon()
  await vi.advanceTimersByTimeAsync(100)
  one.now()
  expect(one.begun).toBe(1)
  await one.done()
  expect(one.begun).toBe(2)
  await one.done()
  await vi.advanceTimersByTimeAsync(1000)
  expect(one.begun).toBe(2)
})

test('now overtakes soon', async () => {
  const one = scene()
  one.soon()
  one.now()
  await one.done()
  await vi.advanceTimersByTimeAsync(1000)
  expect(one.begun).toBe(1)
})

test('without a delay it begins in a moment', async () => {
  const one = scene(0)
  one.soon()
  await vi.advanceTimersByTimeAsync(1)
  expect(one.begun).toBe(1)
})

test('nothing begins after the end, and nothing is left waiting', async () => {
  const one = scene()
  one.now()
  one.now()
  one.soon()
  one.end.abort()
  await one.done()
  one.soon()
  one.now()
  await vi.advanceTimersByTimeAsync(1000)
  expect(one.begun).toBe(1)
  expect(vi.getTimerCount()).toBe(0)
})
