import assert from 'node:assert/strict'
import type { ConsolaInstance } from 'consola'
import type { Check } from '../contract.ts'
import { keysOf, type Bench } from './bench.ts'

const SPOILT: readonly ((text: string) => string)[] = [
  (text) => `2${text.slice(1)}`,
  (text) => text.slice(0, -8),
  () => '',
  () => '123',
  () => '1["bad:0",null]',
]

/** Records that somebody else has had in hand. */
export function damage(check: Check<Bench>): void {
  check(
    'counts a record of another version, or one that is damaged, as absent; reports once, keeps it, yields to a new value',
    async ({ open, places, read, write }) => {
      const damaged = new Set<string>()
      const warnings: unknown[] = []
      const warn = (text: unknown): void => void warnings.push(text)
      const store = open({ logger: { warn } as unknown as ConsolaInstance })
      for (const [index, spoil] of SPOILT.entries()) {
        const key = `bad:${index}`
        await store.put(key, 'canary')
        const place = (await places()).find((found) => !damaged.has(found)) ?? ''
        await write(place, spoil(await read(place)))
        damaged.add(place)
        assert.equal(await store.get(key), undefined)
        assert.equal(await store.take(key), undefined)
        assert.deepEqual(await keysOf(store, 'bad'), [])
        assert.equal(await store.update(key, () => undefined), undefined)
      }
      assert.equal((await places()).length, SPOILT.length)
      assert.equal(await store.sweep(), 0)
      assert.equal(warnings.length, 1)
      assert.ok(!String(warnings[0]).includes('canary'))
      for (const index of SPOILT.keys()) {
        const renewed = await store.update<string>(`bad:${index}`, (current) => `${current} then new`)
        assert.equal(renewed, 'undefined then new')
      }
      assert.equal((await keysOf(store, 'bad')).length, SPOILT.length)
    },
  )

  check('does not take a record copied from another key', async ({ store, places, read, write }) => {
    await store.put('swap:1', 'one')
    const [first = ''] = await places()
    const text = await read(first)
    await store.put('swap:2', 'two')
    const second = (await places()).find((key) => key !== first) ?? ''
    await write(second, text)
    assert.equal(await store.get('swap:1'), 'one')
    assert.equal(await store.get('swap:2'), undefined)
  })

  check('leaves ids and values readable at rest only without keys', async ({ store, places, read, isSealed }) => {
    await store.put('canary:id-4711', 'value-4711')
    const [place = ''] = await places()
    const readable: readonly string[] = (place + (await read(place))).match(/id-4711|value-4711/g) ?? []
    assert.deepEqual([...readable], isSealed ? [] : ['id-4711', 'value-4711'])
  })
}
