import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startPatience } from '../../../core/upstream/patience.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('patience', () => {
  it('ends once, after so long without a sign of life', () => {
    const expire = vi.fn<(waited: number) => void>()
    startPatience(100, 1000, expire)
    vi.advanceTimersByTime(99)
    expect(expire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(5000)
    expect(expire).toHaveBeenCalledTimes(1)
    expect(expire).toHaveBeenCalledWith(100)
  })

  it('starts anew with every sign of life, up to its ceiling', () => {
    const expire = vi.fn<(waited: number) => void>()
    const patience = startPatience(100, 1000, expire)
    for (let passed = 0; passed < 990; passed += 90) {
      vi.advanceTimersByTime(90)
      expect(expire).not.toHaveBeenCalled()
      patience.reset()
    }
    vi.advanceTimersByTime(10)
    expect(expire).toHaveBeenCalledTimes(1)
    expect(expire).toHaveBeenCalledWith(1000)
  })

  it('ends at the ceiling where that is the shorter one', () => {
    const expire = vi.fn<(waited: number) => void>()
    startPatience(1000, 100, expire)
    vi.advanceTimersByTime(100)
    expect(expire).toHaveBeenCalledTimes(1)
  })

  it('leaves no timer once stopped, nor after a reset at the ceiling', () => {
    const expire = vi.fn<(waited: number) => void>()
    const patience = startPatience(100, 1000, expire)
    patience.reset()
    patience.stop()
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(5000)
    expect(expire).not.toHaveBeenCalled()
  })
})
