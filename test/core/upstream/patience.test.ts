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

  it.each([-1, 1])('lasts as long as ever when somebody sets the clock (%i day)', (days) => {
    const expire = vi.fn<(waited: number) => void>()
    const patience = startPatience(100, 1000, expire)
    vi.setSystemTime(Date.now() + days * 86_400_000)
    for (let passed = 0; passed < 990; passed += 90) {
      vi.advanceTimersByTime(90)
      expect(expire).not.toHaveBeenCalled()
      patience.reset()
    }
    vi.advanceTimersByTime(10)
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

describe('patience while somebody else is waited for', () => {
  function start(idle = 100, ceiling = 1000) {
    const expire = vi.fn<(waited: number) => void>()
    return { patience: startPatience(idle, ceiling, expire), expire }
  }

  it('does not end', () => {
    const { patience, expire } = start()
    patience.hold()
    vi.advanceTimersByTime(999)
    expect(expire).not.toHaveBeenCalled()
  })

  it('ends at the ceiling', () => {
    const { patience, expire } = start()
    patience.hold()
    patience.reset()
    vi.advanceTimersByTime(1000)
    expect(expire).toHaveBeenCalledTimes(1)
    expect(expire).toHaveBeenCalledWith(1000)
  })

  it('starts anew once the answer is there', () => {
    const { patience, expire } = start()
    vi.advanceTimersByTime(90)
    const release = patience.hold()
    vi.advanceTimersByTime(500)
    release()
    vi.advanceTimersByTime(99)
    expect(expire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(expire).toHaveBeenCalledTimes(1)
    expect(expire).toHaveBeenCalledWith(690)
  })

  it('starts anew only after the last of several answers, each of which counts once', () => {
    const { patience, expire } = start()
    const [first, second] = [patience.hold(), patience.hold()]
    first()
    first()
    vi.advanceTimersByTime(500)
    expect(expire).not.toHaveBeenCalled()
    second()
    vi.advanceTimersByTime(100)
    expect(expire).toHaveBeenCalledTimes(1)
  })

  it('ends at the ceiling also when the answer comes just before', () => {
    const { patience, expire } = start()
    const release = patience.hold()
    vi.advanceTimersByTime(950)
    release()
    vi.advanceTimersByTime(50)
    expect(expire).toHaveBeenCalledWith(1000)
  })

  it('is over for good once stopped: what comes after starts no timer', () => {
    const { patience, expire } = start()
    const release = patience.hold()
    patience.stop()
    release()
    patience.reset()
    patience.hold()()
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(5000)
    expect(expire).not.toHaveBeenCalled()
  })
})
