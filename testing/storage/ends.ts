import assert from 'node:assert/strict'
import type { Check } from '../contract.ts'
import { keysOf, type Bench } from './bench.ts'

/** Records with an end of their own. */
export function ends(check: Check<Bench>): void {
  check('ends records at their ttl, for get, take, update and scan, and removes them', async (bench) => {
    const { store, pass, places } = bench
    for (const id of ['get', 'take', 'update', 'scan', 'sweep']) await store.put(`ttl:${id}`, id, { ttl: 1000 })
    await store.put('ttl:stays', 'stays')
    pass(999)
    assert.equal(await store.get('ttl:get'), 'get')
    assert.equal((await places()).length, 6)
    pass(1)
    assert.equal(await store.get('ttl:get'), undefined)
    assert.equal(await store.take('ttl:take'), undefined)
    assert.equal((await places()).length, 4)
    assert.equal(await store.update('ttl:update', (current) => (current === undefined ? 'fresh' : 'stale')), 'fresh')
    assert.equal(await store.sweep(), 2)
    assert.equal((await places()).length, 2)
    assert.deepEqual(await keysOf(store, 'ttl'), ['ttl:stays', 'ttl:update'])
  })

  check('removes an expired record met by scan', async ({ store, pass, places }) => {
    await store.put('ttl:1', 1, { ttl: 10 })
    pass(10)
    assert.deepEqual(await keysOf(store, 'ttl'), [])
    assert.equal((await places()).length, 0)
  })

  check('update keeps the end of a record unless it is given one', async ({ store, pass }) => {
    const add = (current: number | undefined = 0): number => current + 1
    await store.put('end:1', 0, { ttl: 100 })
    await store.update<number>('end:1', add)
    pass(99)
    assert.equal(await store.get('end:1'), 1)
    await store.update<number>('end:1', add, { ttl: 100 })
    pass(99)
    assert.equal(await store.get('end:1'), 2)
    pass(1)
    assert.equal(await store.get('end:1'), undefined)
  })

  check('refuses a ttl that is no number instead of keeping the record for ever', async ({ store }) => {
    await assert.rejects(store.put('bad:1', 1, { ttl: Number.NaN }), { code: 'ERR_PROXY_STORAGE' })
    assert.equal(await store.get('bad:1'), undefined)
  })
}
