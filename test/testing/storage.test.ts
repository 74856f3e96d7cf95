import { describe, expect, test } from 'vitest'
import type { StorageDriver } from '../../core/storage.ts'
import { memoryDriver } from '../../core/store/memory.ts'
import { storageContract, swapContract } from '../../testing/index.ts'
import { failing } from './recording.ts'

/** Drivers with a mistake each, and a test that finds it. */
const BROKEN: readonly (readonly [what: string, make: () => StorageDriver, found: string])[] = [
  [
    'keys cut at 20 characters',
    () => {
      const { getItem, setItem, swap, ...driver } = memoryDriver()
      const short = (key: string) => key.slice(0, 20)
      return {
        ...driver,
        getItem: (key) => getItem(short(key)),
        setItem: (key, value, options) => setItem?.(short(key), value, options),
        swap: async (key, expected, next) => (await swap?.(short(key), expected, next)) ?? false,
      }
    },
    'keeps odd keys apart, removes each alone',
  ],
  [
    'values cut at 64 kB',
    () => {
      const driver = memoryDriver()
      return { ...driver, setItem: (key, value, options) => driver.setItem?.(key, value.slice(0, 65_536), options) }
    },
    'holds a value of a megabyte',
  ],
  [
    'a swap that looks at nothing',
    () => {
      const driver = memoryDriver()
      const put = async (key: string, next: string | null) =>
        next === null ? driver.removeItem?.(key, {}) : driver.setItem?.(key, next, {})
      return { ...driver, swap: async (key, _expected, next) => (await put(key, next), true) }
    },
    'lets exactly one taker have a record',
  ],
  [
    'values that come back parsed',
    () => {
      const driver = memoryDriver()
      const parse = (text: unknown) => (typeof text === 'string' && text.startsWith('1') ? JSON.parse('{"a":1}') : text)
      return { ...driver, getItem: async (key) => parse(await driver.getItem(key)) }
    },
    'gives back what was put, type included',
  ],
  [
    'a list without keys',
    () => ({ ...memoryDriver(), getKeys: () => [] }),
    'scan lists one collection with raw keys and survives records that vanish under it',
  ],
  [
    'nothing is removed',
    () => ({ ...memoryDriver(), removeItem: () => undefined, swap: async () => true }),
    'lets exactly one taker have a record',
  ],
]

describe('the storage suite finds', () => {
  test.each(BROKEN)('%s', async (_, make, found) => {
    expect(await failing((runner) => storageContract(runner, 'broken', () => ({ driver: make() })))).toContain(found)
  })
})

describe('the swap suite finds', () => {
  test('a driver without swap', async () => {
    const { swap: _, ...driver } = memoryDriver()
    expect(await failing((runner) => swapContract(runner, 'broken', () => ({ driver })))).toHaveLength(2)
  })

  test('a swap that looks first and writes later', async () => {
    const driver = memoryDriver()
    const swap: StorageDriver['swap'] = async (key, expected, next) => {
      if ((await driver.getItem(key)) !== expected) return false
      await new Promise((resolve) => setImmediate(resolve))
      await (next === null ? driver.removeItem?.(key, {}) : driver.setItem?.(key, next, {}))
      return true
    }
    expect(await failing((runner) => swapContract(runner, 'broken', () => ({ driver: { ...driver, swap } })))).toEqual([
      'of many at once exactly one wins',
    ])
  })
})
