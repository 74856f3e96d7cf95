import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ConnectionError, RpcError, type ConnectionFailure } from '../../../core/errors.ts'
import { complete, type Call, type Outcome } from '../../../core/gateway/call.ts'
import { createBreaker } from '../../../core/upstream/breaker.ts'
import { createDelivery } from '../../../core/upstream/delivery.ts'
import { createSlot } from '../../../core/upstream/slot.ts'
import { fakeInstance, type FakeInstance } from '../../fixtures/core/instance.ts'
import { callOf } from '../../fixtures/core/source.ts'
import { memoryLogger } from '../../fixtures/transport/context.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

type Behaviour = (call: Call) => Promise<Outcome>

/** A server whose first instance behaves like the first of these, the next like the next, and so on. */
function make(...behaviours: readonly Behaviour[]) {
  const { logger, lines } = memoryLogger()
  const opened: FakeInstance[] = []
  const carried: number[] = []
  const check = vi.fn<() => void>()
  const breaker = createBreaker()
  const slot = createSlot({
    async open() {
      const number = opened.length
      const behave = behaviours[number]
      if (behave === undefined) throw new Error('connection refused')
      const instance = fakeInstance({
        call(call) {
          carried.push(number)
          return behave(call)
        },
      })
      opened.push(instance)
      return instance
    },
    breaker,
    onopen: () => {},
    ongone: () => {},
  })
  const deliver = createDelivery({ name: 'x', logger, slotFor: () => slot, check })
  return { deliver, slot, opened, carried, check, lines, breaker }
}

const fine: Behaviour = async () => complete({ fine: true })
const fails =
  (message: string, failure: ConnectionFailure): Behaviour =>
  async () => {
    throw new ConnectionError(message, failure)
  }
const expired = fails('no longer knows the session', { delivered: false, lost: true, status: 404 })
const call = (change: Partial<Call> = {}): Call => ({ ...callOf('tools/call', { name: 'a' }), ...change })
const settle = () => vi.advanceTimersByTimeAsync(0)

describe('a call', () => {
  it('opens the instance and is carried to it', async () => {
    const { deliver, carried, slot } = make(fine)
    expect(await deliver(call())).toEqual(complete({ fine: true }))
    expect(await deliver(call())).toEqual(complete({ fine: true }))
    expect(carried).toEqual([0, 0])
    expect(slot.busy).toBe(0)
  })

  it('waits for an instance that is being opened', async () => {
    const { deliver, opened } = make(fine)
    expect(await Promise.all([deliver(call()), deliver(call())])).toHaveLength(2)
    expect(opened).toHaveLength(1)
  })

  it('of a server that is down says so at once, and not why', async () => {
    const { deliver, slot } = make()
    slot.open()
    await settle()
    await expect(deliver(call({ requestId: 'r7' }))).rejects.toMatchObject({
      name: 'RpcError',
      code: -32603,
      message: 'server "x" is down; the log of the proxy says why',
      data: { requestId: 'r7' },
    })
  })

  it('is under way until it ends, well or not', async () => {
    let answer: (outcome: Outcome) => void = () => {}
    const { deliver, slot } = make(() => new Promise((resolve) => (answer = resolve)))
    const waiting = deliver(call())
    await settle()
    expect(slot.busy).toBe(1)
    answer(complete({}))
    await waiting
    expect(slot.busy).toBe(0)
  })

  it('that the server refuses is passed on as it is, and the instance is fine', async () => {
    const error = new RpcError(-32000, 'own error', { own: 1 })
    const { deliver, carried, check, lines, slot } = make(() => Promise.reject(error))
    await expect(deliver(call())).rejects.toBe(error)
    expect(carried).toEqual([0])
    expect(check).not.toHaveBeenCalled()
    expect(lines).toEqual([])
    expect(slot.instance).toBeDefined()
    expect(slot.busy).toBe(0)
  })

  it('lowers the level of the instance before it goes, once', async () => {
    const { deliver, opened } = make(fine)
    await deliver(call({ logLevel: 'warning' }))
    expect(opened[0]?.levels).toEqual([])
    await deliver(call({ logLevel: 'debug' }))
    await deliver(call({ logLevel: 'debug' }))
    expect(opened[0]?.levels).toEqual(['debug'])
  })
})

describe('a call that fails', () => {
  it('because its session had expired is tried once more, on a new one, and the client never knows', async () => {
    const { deliver, carried, lines, opened } = make(expired, fine)
    expect(await deliver(call())).toEqual(complete({ fine: true }))
    expect(carried).toEqual([0, 1])
    expect(opened.map(({ isClosed }) => isClosed)).toEqual([true, false])
    expect(lines.filter((line) => !line.startsWith('debug'))).toEqual([])
  })

  it('so is tried once more also when the breaker has just opened', async () => {
    const { deliver, slot, opened, breaker } = make(async (given) => {
      // The connection knows first, as one does whose session another request found expired.
      opened[0]?.end(new Error('expired'))
      await settle()
      return expired(given)
    }, fine)
    slot.open()
    await settle()
    const answer = deliver(call())
    await settle()
    expect(breaker.wait()).toBeGreaterThan(0)
    expect(await answer).toEqual(complete({ fine: true }))
  })

  it('so with many others: all are tried again on one new session', async () => {
    const { deliver, opened, carried } = make(expired, fine)
    const answers = await Promise.all(Array.from({ length: 20 }, () => deliver(call())))
    expect(answers).toEqual(Array(20).fill(complete({ fine: true })))
    expect(opened).toHaveLength(2)
    expect(carried.filter((number) => number === 1)).toHaveLength(20)
  })

  it('so twice is not tried a third time', async () => {
    const { deliver, carried, lines } = make(expired, expired, fine)
    await expect(deliver(call())).rejects.toMatchObject({ message: 'server "x" answered with HTTP status 404' })
    expect(carried).toEqual([0, 1])
    expect(lines).toContain('warn: tools/call failed: no longer knows the session [object Object]')
  })

  it('so, and no new session can be had: the server is down', async () => {
    const { deliver } = make(expired)
    await expect(deliver(call())).rejects.toMatchObject({
      message: 'server "x" is down; the log of the proxy says why',
    })
  })

  it('so, but was cancelled meanwhile, is not tried again', async () => {
    const stop = new AbortController()
    const { deliver, carried } = make(async (given) => {
      stop.abort()
      return expired(given)
    }, fine)
    await expect(deliver(call({ signal: stop.signal }))).rejects.toThrow()
    await settle()
    expect(carried).toEqual([0])
  })

  it('after the server may have seen it is never tried again: it might be done twice', async () => {
    const { deliver, carried, opened } = make(fails('exited with code 7', { delivered: true, lost: true }), fine)
    await expect(deliver(call())).rejects.toMatchObject({ message: 'server "x" ended during the call' })
    expect(carried).toEqual([0])
    expect(opened[0]?.isClosed).toBe(true)
  })

  it('without the connection being lost is not tried again either', async () => {
    const { deliver, carried } = make(fails('refused', { delivered: false, lost: false }), fine)
    await expect(deliver(call())).rejects.toMatchObject({ message: 'server "x" could not be reached' })
    expect(carried).toEqual([0])
  })

  it.each<[ConnectionFailure, string]>([
    [{ delivered: true, lost: true }, 'server "x" ended during the call'],
    [{ delivered: true, lost: false }, 'server "x" gave no usable answer'],
    [{ delivered: false, lost: false }, 'server "x" could not be reached'],
    [{ delivered: true, lost: false, status: 503 }, 'server "x" answered with HTTP status 503'],
    [{ delivered: true, lost: true, brief: 'exited with code 7' }, 'server "x" exited with code 7'],
  ])('%j is told as %j; what was said about it stays in the log', async (failure, message) => {
    const { deliver, lines } = make(fails('http://10.0.0.7 said: secret', failure), fine)
    await expect(deliver(call({ requestId: 'r7' }))).rejects.toMatchObject({
      name: 'RpcError',
      code: -32603,
      message,
      data: { requestId: 'r7' },
    })
    expect(lines.join()).toContain('warn: tools/call failed: http://10.0.0.7 said: secret')
  })

  it('because its client gave up is no warning', async () => {
    const stop = new AbortController()
    const { deliver, lines, check } = make(async (given) => {
      stop.abort()
      return fails('the request was given up', { delivered: true, lost: false })(given)
    })
    await expect(deliver(call({ signal: stop.signal }))).rejects.toThrow()
    expect(lines.filter((line) => !line.startsWith('debug'))).toEqual([])
    expect(check).not.toHaveBeenCalled()
  })

  it.each<[string, ConnectionFailure, number]>([
    ['got no answer', { delivered: true, lost: false }, 1],
    ['could not be sent', { delivered: false, lost: false }, 1],
    ['got an HTTP status, which is a sign of life', { delivered: true, lost: false, status: 500 }, 0],
    ['lost its connection, which needs no question', { delivered: true, lost: true }, 0],
  ])('that %s: whether the server is there is asked %j (%i)', async (_, failure, times) => {
    const { deliver, check, slot, opened } = make(fails('no', failure), fine)
    await expect(deliver(call())).rejects.toThrow('server "x"')
    expect(check.mock.calls).toEqual(Array.from({ length: times }, () => [slot, opened[0]]))
  })
})
