import assert from 'node:assert/strict'
import type { Check } from '../contract.ts'
import { inTurn, type Bench } from './bench.ts'

/** Several who want one record at the same time. */
export function rivals(check: Check<Bench>): void {
  check('lets exactly one taker have a record', async ({ store, several }) => {
    const stores = several()
    for (let round = 0; round < 20; round++) {
      await store.put(`once:${round}`, round)
      const takes = Array.from({ length: 12 }, (_, turn) => inTurn(stores, turn).take<number>(`once:${round}`))
      const got = (await Promise.all(takes)).filter((value) => value !== undefined)
      assert.deepEqual(got, [round])
    }
  })

  check('loses no update under contention', async ({ store, several }) => {
    const stores = several()
    const add = (turn: number): Promise<number | undefined> =>
      inTurn(stores, turn).update<number>('count:1', (current = 0) => current + 1)
    const results = await Promise.all(Array.from({ length: 90 }, (_, turn) => add(turn)))
    assert.equal(await store.get('count:1'), 90)
    assert.equal(new Set(results).size, 90)
  })

  check('gives a record to a taker or to updates, never half', async ({ store, open }) => {
    for (let round = 0; round < 10; round++) {
      const key = `mixed:${round}`
      await store.put(key, 1)
      const [taken] = await Promise.all([
        store.take<number>(key),
        open().update<number>(key, (current) => (current === undefined ? undefined : current + 1)),
      ])
      assert.ok(taken === 1 || taken === 2, `taken: ${taken}`)
      assert.equal(await store.get(key), undefined)
    }
  })
}
