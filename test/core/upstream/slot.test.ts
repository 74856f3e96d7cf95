import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBreaker } from '../../../core/upstream/breaker.ts'
import { createSlot, Unavailable, type Slot, type SlotOptions } from '../../../core/upstream/slot.ts'
import { fakeInstance, type FakeInstance, type FakeOptions } from '../../fixtures/core/instance.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const never = new AbortController().signal
/** Longer than any pause between attempts. */
const PAUSE = 60_000

/** A slot, what it opened, and what it told. `open` stands in for opening an instance. */
function make(
  options: Partial<SlotOptions> & FakeOptions = {},
  open?: (attempt: number, signal: AbortSignal) => Promise<void>,
) {
  const { breaker = createBreaker(), idleStop, onopen = () => {}, ...fake } = options
  const opened: FakeInstance[] = []
  const gone: (string | undefined)[] = []
  let attempts = 0
  const slot = createSlot({
    async open(signal) {
      await open?.(++attempts, signal)
      const instance = fakeInstance(fake)
      opened.push(instance)
      return instance
    },
    breaker,
    ...(idleStop !== undefined && { idleStop }),
    onopen,
    ongone: (reason) => void gone.push(reason),
  })
  return { slot, opened, gone, breaker, attempts: () => attempts }
}

const settle = () => vi.advanceTimersByTimeAsync(0)
const refuse = () => Promise.reject(new Error('connection refused'))

/** Resolves `undefined`, or why it could not be acquired. */
async function reasonOf(acquiring: Promise<unknown>): Promise<unknown> {
  return acquiring.then(
    () => undefined,
    (error: unknown) => error,
  )
}

/** An opening that waits to be let go. */
function gate() {
  let release: () => void = () => {}
  const wait = new Promise<void>((resolve) => (release = resolve))
  return { wait, release }
}

describe('opening', () => {
  it('happens once for many who wait, and they get the same instance', async () => {
    const { wait, release } = gate()
    const { slot, opened } = make({}, () => wait)
    const waiting = Array.from({ length: 50 }, () => slot.acquire(never))
    expect(slot.instance).toBeUndefined()
    expect(slot.busy).toBe(1)
    release()
    const instances = await Promise.all(waiting)
    expect(opened).toHaveLength(1)
    expect(new Set(instances)).toEqual(new Set(opened))
    expect(slot.instance).toBe(opened[0])
    expect(slot.busy).toBe(0)
    expect(await slot.acquire(never)).toBe(opened[0])
  })

  it('that fails rejects everybody who waits, with the reason', async () => {
    const { wait, release } = gate()
    const { slot, gone } = make({}, () => wait.then(refuse))
    const waiting = [slot.acquire(never), slot.acquire(never)].map(reasonOf)
    release()
    for (const reason of await Promise.all(waiting)) {
      expect(reason).toBeInstanceOf(Unavailable)
      expect(reason).toMatchObject({ message: 'connection refused' })
    }
    expect(gone).toEqual(['connection refused'])
  })

  it('is not tried while the breaker is open: who comes then is told at once', async () => {
    const { slot, attempts } = make({ idleStop: 1000 }, refuse)
    await reasonOf(slot.acquire(never))
    expect(attempts()).toBe(1)
    const reason = await reasonOf(slot.acquire(never))
    expect(reason).toBeInstanceOf(Unavailable)
    expect(reason).toMatchObject({ message: 'connection refused' })
    expect(attempts()).toBe(1)
  })

  it('is tried while the breaker is open for who must have one now', async () => {
    const { slot, opened } = make({ idleStop: 1000 }, (attempt) => (attempt === 1 ? refuse() : Promise.resolve()))
    await reasonOf(slot.acquire(never))
    expect(await slot.acquire(never, true)).toBe(opened[0])
  })

  it('is tried again by who comes after the pause', async () => {
    const { slot, opened } = make({ idleStop: 1000 }, (attempt) => (attempt === 1 ? refuse() : Promise.resolve()))
    await reasonOf(slot.acquire(never))
    await vi.advanceTimersByTimeAsync(PAUSE)
    expect(await slot.acquire(never)).toBe(opened[0])
  })

  it('in the background does nothing where it is open already', async () => {
    const { slot, opened } = make()
    slot.open()
    slot.open()
    await settle()
    slot.open()
    await settle()
    expect(opened).toHaveLength(1)
  })

  it('that succeeds makes earlier failures of a slot that closes when idle forgotten', async () => {
    const { slot, breaker } = make({ idleStop: 1000 }, (attempt) => (attempt < 4 ? refuse() : Promise.resolve()))
    for (let attempt = 1; attempt <= 4; attempt++) {
      await reasonOf(slot.acquire(never))
      await vi.advanceTimersByTimeAsync(PAUSE)
    }
    breaker.failed('now')
    expect(breaker.wait()).toBeLessThanOrEqual(1000)
  })
})

describe('a wait that is given up', () => {
  it('rejects with the signal’s reason and leaves the opening to the others', async () => {
    const { wait, release } = gate()
    const { slot, opened } = make({}, () => wait)
    const stop = new AbortController()
    const given = reasonOf(slot.acquire(stop.signal))
    const other = slot.acquire(never)
    stop.abort(new Error('the client left'))
    expect(await given).toMatchObject({ message: 'the client left' })
    release()
    expect(await other).toBe(opened[0])
  })

  it('leaves no listener on its signal, however it ends', async () => {
    const { slot } = make({ idleStop: 10 }, (attempt) => (attempt === 1 ? refuse() : Promise.resolve()))
    const { signal } = new AbortController()
    const add = vi.spyOn(signal, 'addEventListener')
    const remove = vi.spyOn(signal, 'removeEventListener')
    await reasonOf(slot.acquire(signal))
    await vi.advanceTimersByTimeAsync(PAUSE)
    await slot.acquire(signal)
    await settle()
    expect(add).toHaveBeenCalledTimes(2)
    expect(remove.mock.calls.map(([type, listener]) => [type, listener])).toEqual(
      add.mock.calls.map(([type, listener]) => [type, listener]),
    )
  })

  it('that is over before it begins starts nothing to wait for', async () => {
    const { slot } = make()
    const signal = AbortSignal.abort(new Error('too late'))
    expect(await reasonOf(slot.acquire(signal))).toMatchObject({ message: 'too late' })
  })
})

describe('an instance that is lost', () => {
  it('is opened again by itself, at once after a healthy life', async () => {
    const { slot, opened, gone } = make()
    slot.open()
    await settle()
    await vi.advanceTimersByTimeAsync(6000)
    opened[0]?.end(new Error('the cable was cut'))
    await settle()
    expect(gone).toEqual(['the cable was cut'])
    expect(opened).toHaveLength(2)
    expect(slot.instance).toBe(opened[1])
    expect(opened[0]?.isClosed).toBe(true)
  })

  it('is opened again with growing pauses when it ends early each time', async () => {
    const breaker = createBreaker()
    const waits: number[] = []
    const { slot, opened, gone } = make({ breaker })
    slot.open()
    await settle()
    for (let crash = 1; crash <= 5; crash++) {
      opened.at(-1)?.end(new Error('crash'))
      await settle()
      waits.push(breaker.wait())
      expect(opened).toHaveLength(crash)
      expect(slot.instance).toBeUndefined()
      await vi.advanceTimersByTimeAsync(breaker.wait())
      expect(opened).toHaveLength(crash + 1)
    }
    expect(gone).toEqual(Array(5).fill('crash'))
    for (const [index, longest] of [1000, 2000, 4000, 8000, 16_000].entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(longest / 2)
      expect(waits[index]).toBeLessThanOrEqual(longest)
    }
  })

  it('and cannot be opened is tried again and again', async () => {
    const { slot, attempts, opened } = make({}, (attempt) => (attempt < 5 ? refuse() : Promise.resolve()))
    slot.open()
    await vi.advanceTimersByTimeAsync(4 * PAUSE)
    expect(attempts()).toBe(5)
    expect(slot.instance).toBe(opened[0])
  })

  it('without a reason has one all the same', async () => {
    const { slot, opened, gone } = make()
    slot.open()
    await settle()
    opened[0]?.end()
    await settle()
    expect(gone).toEqual(['the server closed the connection'])
    await slot.close()
  })

  it('and closes when idle waits for the next who comes, who opens it at once', async () => {
    const { slot, opened, gone } = make({ idleStop: PAUSE })
    await slot.acquire(never)
    opened[0]?.end(new Error('crash'))
    await vi.advanceTimersByTimeAsync(1)
    expect(gone).toEqual(['crash'])
    expect(opened).toHaveLength(1)
    expect(await slot.acquire(never)).toBe(opened[1])
  })

  it('and closes when idle is opened again by itself where somebody is subscribed, with pauses', async () => {
    const { slot, opened, breaker } = make({ idleStop: PAUSE })
    await slot.watch(new Set(['a']))
    opened[0]?.end(new Error('crash'))
    await settle()
    expect(opened).toHaveLength(1)
    // One client's instance: what befalls it holds nobody else up.
    expect(breaker.wait()).toBe(0)
    await vi.advanceTimersByTimeAsync(1000)
    expect(opened).toHaveLength(2)
    expect(opened[1]?.watched).toEqual([['a']])
  })

  it('keeps the calls under way that can still be answered, and is closed after the last', async () => {
    const { slot, opened } = make()
    const first = await slot.acquire(never)
    slot.enter(first)
    slot.enter(first)
    await vi.advanceTimersByTimeAsync(6000)
    opened[0]?.end(new Error('the session expired'))
    await settle()
    const second = await slot.acquire(never)
    expect(second).not.toBe(first)
    slot.leave(first)
    expect(opened[0]?.isClosed).toBe(false)
    expect(slot.busy).toBe(1)
    slot.leave(first)
    expect(opened[0]?.isClosed).toBe(true)
    expect(opened[1]?.isClosed).toBe(false)
    expect(slot.busy).toBe(0)
  })

  it('as one of its calls tells takes no more calls, even before its end is known', async () => {
    const { slot, opened, gone } = make()
    const first = await slot.acquire(never)
    slot.enter(first)
    slot.lose(first, 'the session expired')
    slot.lose(first, 'the session expired')
    expect(gone).toEqual(['the session expired'])
    expect(slot.instance).toBeUndefined()
    expect(opened[0]?.isClosed).toBe(false)
    slot.leave(first)
    expect(opened[0]?.isClosed).toBe(true)
    opened[0]?.end()
    await vi.advanceTimersByTimeAsync(1000)
    expect(gone).toHaveLength(1)
    expect(slot.instance).toBe(opened[1])
  })
})

describe('dropping', () => {
  it('closes the instance at once, calls or not, and another is opened', async () => {
    const { slot, opened, gone } = make()
    const first = await slot.acquire(never)
    slot.enter(first)
    await vi.advanceTimersByTimeAsync(6000)
    slot.drop(first, 'it no longer answers')
    expect(opened[0]?.isClosed).toBe(true)
    slot.leave(first)
    await settle()
    expect(gone).toEqual(['it no longer answers'])
    expect(slot.instance).toBe(opened[1])
  })

  it('of an instance that is not the slot’s any more harms nobody', async () => {
    const { slot, opened, gone } = make()
    const first = await slot.acquire(never)
    slot.drop(first, 'hung')
    await vi.advanceTimersByTimeAsync(PAUSE)
    slot.drop(first, 'hung')
    expect(slot.instance).toBe(opened[1])
    expect(opened[1]?.isClosed).toBe(false)
    expect(gone).toEqual(['hung'])
  })

  it('without a reason replaces it, and the slot was never gone', async () => {
    const { slot, opened, gone } = make()
    const first = await slot.acquire(never)
    slot.drop(first)
    expect(opened[0]?.isClosed).toBe(true)
    await settle()
    expect(slot.instance).toBe(opened[1])
    expect(gone).toEqual([])
  })
})

describe('the idle stop', () => {
  it('closes an instance that nobody uses, and the next who comes gets a new one', async () => {
    const { slot, opened, gone } = make({ idleStop: 1000 })
    await slot.acquire(never)
    await vi.advanceTimersByTimeAsync(999)
    expect(opened[0]?.isClosed).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(opened[0]?.isClosed).toBe(true)
    expect(gone).toEqual([undefined])
    expect(slot.instance).toBeUndefined()
    await vi.advanceTimersByTimeAsync(PAUSE)
    expect(opened).toHaveLength(1)
    expect(await slot.acquire(never)).toBe(opened[1])
  })

  it('waits for calls under way, and counts from the last', async () => {
    const { slot, opened } = make({ idleStop: 1000 })
    const first = await slot.acquire(never)
    slot.enter(first)
    slot.enter(first)
    expect(slot.busy).toBe(2)
    await vi.advanceTimersByTimeAsync(5000)
    slot.leave(first)
    await vi.advanceTimersByTimeAsync(5000)
    slot.leave(first)
    await vi.advanceTimersByTimeAsync(999)
    expect(opened[0]?.isClosed).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(opened[0]?.isClosed).toBe(true)
  })

  it('waits while anybody is subscribed, and counts from the end of that', async () => {
    const { slot, opened } = make({ idleStop: 1000 })
    await slot.watch(new Set(['a']))
    await vi.advanceTimersByTimeAsync(5000)
    expect(opened[0]?.isClosed).toBe(false)
    await slot.watch(new Set())
    await vi.advanceTimersByTimeAsync(1000)
    expect(opened[0]?.isClosed).toBe(true)
  })

  it('never comes where there is none', async () => {
    const { slot, opened } = make()
    await slot.acquire(never)
    await vi.advanceTimersByTimeAsync(24 * 3_600_000)
    expect(opened[0]?.isClosed).toBe(false)
    await slot.close()
  })
})

describe('closing', () => {
  it('during an opening stops that, and nothing is left', async () => {
    const { slot, gone } = make({}, (_, signal) => {
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))))
    })
    const waiting = reasonOf(slot.acquire(never))
    await slot.close()
    expect(await waiting).toBeInstanceOf(Unavailable)
    expect(gone).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('during an opening that heeds no signal closes what was opened all the same', async () => {
    const { wait, release } = gate()
    const onopen = vi.fn<() => void>()
    const { slot, opened } = make({ onopen }, () => wait)
    const waiting = reasonOf(slot.acquire(never))
    const closing = slot.close()
    release()
    await closing
    expect(await waiting).toBeInstanceOf(Unavailable)
    expect(opened[0]?.isClosed).toBe(true)
    expect(onopen).not.toHaveBeenCalled()
  })

  it('is for good: nothing is opened for whoever comes afterwards', async () => {
    const { slot, opened } = make()
    await slot.close()
    slot.open()
    expect(await reasonOf(slot.acquire(never))).toBeInstanceOf(Unavailable)
    expect(opened).toEqual([])
  })

  it('while level and subscriptions are told anew closes that instance too', async () => {
    const { wait, release } = gate()
    const onopen = vi.fn<() => void>()
    const { slot, opened } = make({ onopen, setLevel: () => wait })
    void slot.lowerLevel('debug')
    const waiting = reasonOf(slot.acquire(never))
    await settle()
    expect(opened).toHaveLength(1)
    const closing = slot.close()
    release()
    await closing
    expect(await waiting).toBeInstanceOf(Unavailable)
    expect(opened[0]?.isClosed).toBe(true)
    expect(onopen).not.toHaveBeenCalled()
  })

  it('ends the waits for another attempt, and for idleness', async () => {
    const failing = make({}, refuse)
    failing.slot.open()
    await settle()
    const idle = make({ idleStop: 1000 })
    await idle.slot.acquire(never)
    await Promise.all([failing.slot.close(), idle.slot.close()])
    expect(vi.getTimerCount()).toBe(0)
    await vi.advanceTimersByTimeAsync(4 * PAUSE)
    expect(failing.attempts()).toBe(1)
    expect(idle.opened).toHaveLength(1)
    expect(idle.opened[0]?.isClosed).toBe(true)
  })

  it('waits for instances that were dropped or lost before', async () => {
    const { wait, release } = gate()
    const { slot } = make({ close: () => wait })
    const first = await slot.acquire(never)
    slot.drop(first, 'hung')
    let closed = false
    const closing = slot.close().then(() => (closed = true))
    await settle()
    expect(closed).toBe(false)
    release()
    await closing
  })

  it('closes a lost instance that still has calls', async () => {
    const { slot, opened } = make({ idleStop: PAUSE })
    const first = await slot.acquire(never)
    slot.enter(first)
    opened[0]?.end(new Error('expired'))
    await settle()
    expect(opened[0]?.isClosed).toBe(false)
    await slot.close()
    expect(opened[0]?.isClosed).toBe(true)
  })
})

describe('level and subscriptions', () => {
  /** Loses what a slot has open, and waits for the next. */
  async function renew(slot: Slot, opened: readonly FakeInstance[]): Promise<void> {
    await vi.advanceTimersByTimeAsync(6000)
    opened.at(-1)?.end(new Error('lost'))
    await settle()
    expect(slot.instance).toBe(opened.at(-1))
  }

  it('are told to every later instance', async () => {
    const { slot, opened } = make()
    await slot.acquire(never)
    await slot.lowerLevel('debug')
    await slot.watch(new Set(['a', 'b']))
    await slot.watch(new Set(['b', 'c']))
    expect(opened[0]).toMatchObject({
      levels: ['debug'],
      watched: [
        ['a', 'b'],
        ['b', 'c'],
      ],
    })
    await renew(slot, opened)
    expect(opened[1]).toMatchObject({ levels: ['debug'], watched: [['b', 'c']] })
    await slot.watch(new Set())
    await renew(slot, opened)
    expect(opened[2]).toMatchObject({ levels: ['debug'], watched: [] })
  })

  it('are told before anybody can call', async () => {
    const { wait, release } = gate()
    const { slot, opened } = make({ idleStop: PAUSE, setLevel: () => wait })
    void slot.lowerLevel('debug')
    const acquiring = slot.acquire(never)
    await settle()
    expect(opened[0]?.levels).toEqual(['debug'])
    expect(slot.instance).toBeUndefined()
    release()
    expect(await acquiring).toBe(opened[0])
  })

  it('the level is only ever lowered, and never below what servers send anyway', async () => {
    const { slot, opened } = make()
    await slot.acquire(never)
    for (const level of ['emergency', 'warning', 'notice', 'info'] as const) {
      expect(slot.lowerLevel(level)).toBeUndefined()
    }
    await slot.lowerLevel('debug')
    expect(slot.lowerLevel('debug')).toBeUndefined()
    expect(opened[0]?.levels).toEqual(['debug'])
  })

  it('that fail, fail no opening', async () => {
    const reject = () => Promise.reject(new Error('not here'))
    const onopen = vi.fn<() => void>()
    const { slot, opened } = make({ onopen, setLevel: reject, watch: reject })
    void slot.lowerLevel('debug')
    const watching = slot.watch(new Set(['a'])).catch((error: Error) => error.message)
    expect(await slot.acquire(never)).toBe(opened[0])
    expect(onopen).toHaveBeenCalledTimes(1)
    expect(await watching).toBe('not here')
  })

  it('a level that fails is no failure of who asked for it', async () => {
    const { slot } = make({ setLevel: () => Promise.reject(new Error('not here')) })
    await slot.acquire(never)
    await expect(slot.lowerLevel('debug')).resolves.toBeUndefined()
  })

  it('a subscription opens the instance, and tells what the server refused', async () => {
    const refused = new Map([['b', new Error('no such resource')]])
    const { slot, opened } = make({ idleStop: PAUSE, watch: async () => refused })
    expect(await slot.watch(new Set(['a', 'b']))).toEqual(refused)
    expect(slot.instance).toBe(opened[0])
  })

  it('a subscription that cannot be is rejected: the server is not there', async () => {
    const { slot } = make({ idleStop: PAUSE }, refuse)
    await expect(slot.watch(new Set(['a']))).rejects.toBeInstanceOf(Unavailable)
  })

  it('the end of all subscriptions opens nothing', async () => {
    const { slot, opened } = make({ idleStop: PAUSE })
    expect(await slot.watch(new Set())).toEqual(new Map())
    expect(opened).toEqual([])
  })
})
