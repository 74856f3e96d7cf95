import { expect, test } from 'vitest'
import { Busy, createTurns } from '../../../plugins/auth-local/turns.ts'

/** Work that ends when it is told to. */
function pieces() {
  const begun: number[] = []
  const ends = new Map<number, { done: () => void; fail: (error: Error) => void }>()
  const work = (id: number) => () =>
    new Promise<number>((resolve, reject) => {
      begun.push(id)
      ends.set(id, { done: () => resolve(id), fail: reject })
    })
  return {
    begun,
    work,
    end: (id: number) => ends.get(id)?.done(),
    fail: (id: number) => ends.get(id)?.fail(new Error()),
  }
}

test('a few at once, a few behind them in order, and no more', async () => {
  const { begun, work, end } = pieces()
  const inTurn = createTurns({ atOnce: 2, waiting: 2 })
  const all = [1, 2, 3, 4].map((id) => inTurn(work(id)))
  await expect(inTurn(work(5))).rejects.toBeInstanceOf(Busy)
  expect(begun).toEqual([1, 2])
  end(2)
  expect(await all[1]).toBe(2)
  await expect.poll(() => begun).toEqual([1, 2, 3])
  const late = inTurn(work(6))
  await expect(inTurn(work(7))).rejects.toBeInstanceOf(Busy)
  end(1)
  await expect.poll(() => begun).toEqual([1, 2, 3, 4])
  end(3)
  await expect.poll(() => begun).toEqual([1, 2, 3, 4, 6])
  end(4)
  end(6)
  expect(await Promise.all([...all, late])).toEqual([1, 2, 3, 4, 6])
})

test('work that fails makes room as well', async () => {
  const { begun, work, end, fail } = pieces()
  const inTurn = createTurns({ atOnce: 1, waiting: 1 })
  const [first, second] = [inTurn(work(1)), inTurn(work(2))]
  fail(1)
  await expect(first).rejects.toThrow()
  await expect.poll(() => begun).toEqual([1, 2])
  end(2)
  expect(await second).toBe(2)
  const third = inTurn(work(3))
  end(3)
  expect(await third).toBe(3)
})
