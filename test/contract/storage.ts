import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createKeys } from '../../core/keys.ts'
import type { StorageDriver, Store } from '../../core/storage.ts'
import type { StoreOptions, SweepableStore } from '../../core/store.ts'
import { createStore } from '../../core/store.ts'

interface Made {
  readonly driver: StorageDriver
  /** A second driver on the same data, as another process would have it. */
  readonly again?: StorageDriver
  dispose?(): Promise<void>
}

/** Pairs and oddities that drivers are known to merge, cut or mistake for their own. */
const ODD_KEYS = [
  'a:b',
  'a/b',
  'a\\b',
  'a:b:c',
  'a:b/c',
  'a?b',
  'a?c',
  'a',
  'a:',
  ':a',
  '',
  'A:b',
  'a:B',
  'a:../../b',
  'a:.',
  'a:%3a',
  'a:b$',
  'a:grüße 🐘',
  'a:\u0000',
  'a:\ud800',
  'a:\ud801',
  '__proto__',
  'constructor:prototype',
  'con:nul',
  `a:${'x'.repeat(5000)}`,
  `${'c'.repeat(5000)}:a`,
]

/** What every driver for slot `storage` must hold, seen through the store that sits on it. */
export function storageContract(name: string, make: () => Promise<Made>): void {
  describe.each([
    ['plain', undefined],
    ['sealed', createKeys([randomBytes(32).toString('base64url')])],
  ])(`storage contract: ${name}, %s`, (_, keys) => {
    let made: Made
    let store: SweepableStore
    let clock: number

    const open = (options: StoreOptions = {}) =>
      createStore(made.driver, { namespace: 'test', now: () => clock, ...(keys && { keys }), ...options })

    beforeEach(async () => {
      made = await make()
      clock = 1_000_000
      store = open()
    })
    afterEach(async () => {
      await made.driver.dispose?.()
      await made.dispose?.()
    })

    it('gives back what was put, type included', async () => {
      const values = ['123', '', 'null', 'true', '{"a":1}', 123, 0, false, null, [], {}, [1, ['2']], { a: { b: null } }]
      for (const [index, value] of values.entries()) await store.put(`value:${index}`, value)
      for (const [index, value] of values.entries()) expect(await store.get(`value:${index}`)).toStrictEqual(value)
      const proto = JSON.parse('{"__proto__":{"x":1}}')
      await store.put('value:proto', proto)
      expect(JSON.stringify(await store.get('value:proto'))).toBe('{"__proto__":{"x":1}}')
    })

    it('keeps odd keys apart, removes each alone', async () => {
      for (const key of ODD_KEYS) await store.put(key, `value of ${key}`)
      for (const key of ODD_KEYS) expect(await store.get(key)).toBe(`value of ${key}`)
      for (const [index, key] of ODD_KEYS.entries()) {
        expect(await store.take(key)).toBe(`value of ${key}`)
        expect(await store.get(key)).toBeUndefined()
        for (const other of ODD_KEYS.slice(index + 1)) expect(await store.get(other)).toBe(`value of ${other}`)
      }
    })

    it('holds a value of a megabyte', async () => {
      const value = 'ü'.repeat(500_000)
      await store.put('big:1', value)
      expect(await store.get('big:1')).toBe(value)
    })

    it('hands out copies', async () => {
      await store.put('copy:1', { list: [1] })
      const first = await store.get<{ list: number[] }>('copy:1')
      first?.list.push(2)
      expect(await store.get('copy:1')).toEqual({ list: [1] })
    })

    it('keeps namespaces apart', async () => {
      const other = open({ namespace: '@scope/other' })
      await store.put('a:1', 'mine')
      expect(await other.get('a:1')).toBeUndefined()
      await other.put('a:1', 'theirs')
      expect(await store.get('a:1')).toBe('mine')
      expect(await idsOf(other, 'a')).toEqual(['a:1'])
      expect(await other.take('a:1')).toBe('theirs')
      expect(await store.get('a:1')).toBe('mine')
    })

    it('ends records at their ttl, for get, take, update and scan, and removes them', async () => {
      for (const id of ['get', 'take', 'update', 'scan', 'sweep']) await store.put(`ttl:${id}`, id, { ttl: 1000 })
      await store.put('ttl:stays', 'stays')
      clock += 999
      expect(await store.get('ttl:get')).toBe('get')
      expect(await keyCount()).toBe(6)
      clock += 1
      expect(await store.get('ttl:get')).toBeUndefined()
      expect(await store.take('ttl:take')).toBeUndefined()
      expect(await keyCount()).toBe(4)
      expect(await store.update('ttl:update', (current) => (current === undefined ? 'fresh' : 'stale'))).toBe('fresh')
      expect(await store.sweep()).toBe(2)
      expect(await keyCount()).toBe(2)
      expect(await idsOf(store, 'ttl')).toEqual(['ttl:stays', 'ttl:update'])
    })

    it('removes an expired record met by scan', async () => {
      await store.put('ttl:1', 1, { ttl: 10 })
      clock += 10
      expect(await idsOf(store, 'ttl')).toEqual([])
      expect(await keyCount()).toBe(0)
    })

    it('update keeps the end of a record unless it is given one', async () => {
      await store.put('end:1', 0, { ttl: 100 })
      await store.update<number>('end:1', (current = 0) => current + 1)
      clock += 99
      expect(await store.get('end:1')).toBe(1)
      await store.update<number>('end:1', (current = 0) => current + 1, { ttl: 100 })
      clock += 99
      expect(await store.get('end:1')).toBe(2)
      clock += 1
      expect(await store.get('end:1')).toBeUndefined()
    })

    it('refuses a ttl that is no number instead of keeping the record for ever', async () => {
      await expect(store.put('bad:1', 1, { ttl: Number.NaN })).rejects.toMatchObject({ code: 'ERR_PROXY_STORAGE' })
      expect(await store.get('bad:1')).toBeUndefined()
    })

    it('lets exactly one taker have a record', async () => {
      const stores = [store, open(), made.again ? createStoreAgain() : open()]
      for (let round = 0; round < 20; round++) {
        await store.put(`once:${round}`, round)
        const takes = Array.from({ length: 12 }, (_unused, index) => pick(stores, index).take<number>(`once:${round}`))
        const got = (await Promise.all(takes)).filter((value) => value !== undefined)
        expect(got).toEqual([round])
      }
    })

    it('loses no update under contention', async () => {
      const stores = [store, open(), made.again ? createStoreAgain() : open()]
      const add = (index: number) => pick(stores, index).update<number>('count:1', (current = 0) => current + 1)
      const results = await Promise.all(Array.from({ length: 90 }, (_unused, index) => add(index)))
      expect(await store.get('count:1')).toBe(90)
      expect(new Set(results).size).toBe(90)
    })

    it('gives a record to a taker or to updates, never half', async () => {
      for (let round = 0; round < 10; round++) {
        await store.put(`mixed:${round}`, 1)
        const [taken] = await Promise.all([
          store.take<number>(`mixed:${round}`),
          open().update<number>(`mixed:${round}`, (current) => (current === undefined ? undefined : current + 1)),
        ])
        expect([1, 2]).toContain(taken)
        expect(await store.get(`mixed:${round}`)).toBeUndefined()
      }
    })

    it('update creates, removes, and passes a throw on', async () => {
      expect(await store.update('made:1', () => 'new')).toBe('new')
      expect(await store.update('made:1', () => undefined)).toBeUndefined()
      expect(await store.get('made:1')).toBeUndefined()
      expect(await store.update('made:2', () => undefined)).toBeUndefined()
      const boom = new Error('boom')
      await expect(
        store.update('made:3', () => {
          throw boom
        }),
      ).rejects.toBe(boom)
      expect(await store.update('made:3', () => 'after')).toBe('after')
    })

    it('scan lists one collection with raw keys and survives records that vanish under it', async () => {
      for (let id = 0; id < 10; id++) await store.put(`list:${id}/?`, id)
      await store.put('list2:1', 'other')
      await store.put('List:1', 'other')
      const seen: string[] = []
      for await (const [key, value] of store.scan<number>('list')) {
        expect(key).toBe(`list:${value}/?`)
        seen.push(key)
        for (let id = 0; id < 10; id++) if (!seen.includes(`list:${id}/?`)) await store.take(`list:${id}/?`)
      }
      expect(seen).toHaveLength(1)
      expect(await idsOf(store, 'nothing')).toEqual([])
    })

    it('counts a record of another version, or one that is damaged, as absent; reports once, keeps it, yields to a new value', async () => {
      const damaged = new Set<string>()
      const warnings: unknown[] = []
      const quiet = open({ logger: { warn: (text: unknown) => void warnings.push(text) } as never })
      const spoilt: readonly ((text: string) => string)[] = [
        (text) => `2${text.slice(1)}`,
        (text) => text.slice(0, -8),
        () => '',
        () => '123',
        () => '1["bad:0",null]',
      ]
      for (const [index, spoil] of spoilt.entries()) {
        await quiet.put(`bad:${index}`, 'canary')
        const place = (await placesOf()).find((key) => !damaged.has(key)) ?? ''
        await write(place, spoil(await textAt(place)))
        damaged.add(place)
        expect(await quiet.get(`bad:${index}`)).toBeUndefined()
        expect(await quiet.take(`bad:${index}`)).toBeUndefined()
        expect(await idsOf(quiet, 'bad')).toEqual([])
        expect(await quiet.update(`bad:${index}`, () => undefined)).toBeUndefined()
      }
      expect(await placesOf()).toHaveLength(spoilt.length)
      expect(await quiet.sweep()).toBe(0)
      expect(warnings).toHaveLength(1)
      expect(String(warnings[0])).not.toContain('canary')
      for (const index of spoilt.keys()) {
        expect(await quiet.update<string>(`bad:${index}`, (current) => `${current} then new`)).toBe(
          'undefined then new',
        )
      }
      expect(await idsOf(quiet, 'bad')).toHaveLength(spoilt.length)
    })

    it('does not take a record copied from another key', async () => {
      await store.put('swap:1', 'one')
      const [first = ''] = await placesOf()
      const text = await textAt(first)
      await store.put('swap:2', 'two')
      const second = (await placesOf()).find((key) => key !== first) ?? ''
      await write(second, text)
      expect(await store.get('swap:1')).toBe('one')
      expect(await store.get('swap:2')).toBeUndefined()
    })

    it('leaves ids and values readable at rest only without keys', async () => {
      await store.put('canary:id-4711', 'value-4711')
      const [place = ''] = await placesOf()
      const readable = (place + (await textAt(place))).match(/id-4711|value-4711/g) ?? []
      expect(readable).toEqual(keys ? [] : ['id-4711', 'value-4711'])
    })

    const placesOf = async () =>
      (await made.driver.getKeys('test:', {}))
        .map((key) => key.replaceAll('/', ':'))
        .filter((key) => key.startsWith('test:'))
    const textAt = async (place: string): Promise<string> => {
      const text = await made.driver.getItem(place)
      if (typeof text !== 'string') throw new Error(`no text at ${place}`)
      return text
    }
    const keyCount = async () => (await placesOf()).length
    const write = async (place: string, text: string) => made.driver.setItem?.(place, text, {})
    const createStoreAgain = () =>
      createStore(made.again ?? made.driver, { namespace: 'test', now: () => clock, ...(keys && { keys }) })
  })
}

/** What only a driver with a `swap` of its own must hold. */
export function swapContract(name: string, make: () => Promise<Made>): void {
  it(`swap contract: ${name}`, async () => {
    const made = await make()
    const { driver } = made
    try {
      expect(await driver.swap?.('k:1', 'x', 'y')).toBe(false)
      expect(await driver.swap?.('k:1', null, null)).toBe(true)
      expect(await driver.swap?.('k:1', null, 'a')).toBe(true)
      expect(await driver.swap?.('k:1', null, 'b')).toBe(false)
      expect(await driver.swap?.('k:1', 'b', 'c')).toBe(false)
      expect(await driver.swap?.('k:1', 'a', 'b')).toBe(true)
      expect(await driver.getItem('k:1')).toBe('b')
      expect(await driver.swap?.('k:1', 'a', null)).toBe(false)
      expect(await driver.swap?.('k:1', 'b', null)).toBe(true)
      expect(await driver.getItem('k:1')).toBeNull()
      expect(await driver.hasItem('k:1', {})).toBe(false)
      const wins = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => driver.swap?.('k:2', null, String(index))),
      )
      expect(wins.filter(Boolean)).toHaveLength(1)
      expect(await driver.getItem('k:2')).toBe(String(wins.indexOf(true)))
    } finally {
      await driver.dispose?.()
      await made.dispose?.()
    }
  })
}

/** Spreads work over stores that know nothing of each other. */
function pick(stores: readonly Store[], index: number): Store {
  const store = stores[index % stores.length]
  if (!store) throw new Error('no store')
  return store
}

async function idsOf(store: Store, collection: string): Promise<string[]> {
  const ids: string[] = []
  for await (const [key] of store.scan(collection)) ids.push(key)
  return ids.sort()
}
