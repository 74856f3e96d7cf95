import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fsLite from 'unstorage/drivers/fs-lite'
import memory from 'unstorage/drivers/memory'
import { describe, expect, it, test } from 'vitest'
import { createKeys } from '../../core/keys.ts'
import type { StorageDriver } from '../../core/storage.ts'
import { createStore, memoryStore } from '../../core/store.ts'
import { memoryDriver } from '../../core/store/memory.ts'
import { storageContract, swapContract } from '../../testing/index.ts'

storageContract({ describe, test }, 'memory', async () => ({ driver: memoryDriver() }))
swapContract({ describe, test }, 'memory', async () => ({ driver: memoryDriver() }))

// Drivers without `swap`: the store must hold on them within one process.
storageContract({ describe, test }, 'unstorage memory', async () => ({ driver: memory() }))
storageContract({ describe, test }, 'unstorage fs-lite', async () => {
  const base = await mkdtemp(join(tmpdir(), 'store-'))
  return { driver: fsLite({ base }), dispose: () => rm(base, { recursive: true }) }
})

const [young, old, foreign] = ['young', 'old', 'foreign'].map((text) => text.repeat(8)) as [string, string, string]

describe('store', () => {
  it('wraps driver failures: who, what, where, why; never the id', async () => {
    const cause = new Error('ENOSPC: no space left')
    const fail = () => Promise.reject(cause)
    const driver: StorageDriver = {
      name: 'broken',
      hasItem: fail,
      getItem: fail,
      setItem: fail,
      removeItem: fail,
      getKeys: fail,
    }
    const store = createStore(driver)
    const message = /^storage broken: cannot (read|write|list) "core:user:[^"]*": ENOSPC: no space left; check/
    const expected = { code: 'ERR_PROXY_STORAGE', message: expect.stringMatching(message), cause }
    await expect(store.get('user:secret-id')).rejects.toMatchObject(expected)
    await expect(store.put('user:secret-id', 1)).rejects.toMatchObject(expected)
    await expect(store.take('user:secret-id')).rejects.toMatchObject(expected)
    await expect(store.update('user:secret-id', () => 1)).rejects.toMatchObject(expected)
    await expect(store.scan('user')[Symbol.asyncIterator]().next()).rejects.toMatchObject(expected)
    await expect(store.get('user:secret-id')).rejects.not.toThrow(/secret-id/)
  })

  it('reports a driver that cannot write', async () => {
    const store = createStore({ name: 'view', hasItem: () => false, getItem: () => null, getKeys: () => [] })
    await expect(store.put('a:1', 1)).rejects.toThrow(/storage view: .*read-only/)
  })

  it('reads past expired records where nothing can be removed', async () => {
    const driver = memoryDriver()
    await createStore(driver, { now: () => 0 }).put('a:1', 1, { ttl: 10 })
    const view = createStore({ ...driver, swap: () => Promise.reject(new Error('EROFS')) }, { now: () => 10 })
    expect(await view.get('a:1')).toBeUndefined()
  })

  it('gives an update up after a bounded number of attempts', async () => {
    let attempts = 0
    const swap = async () => {
      attempts++
      return false
    }
    const store = createStore({ ...memoryDriver(), swap })
    await expect(store.update('a:1', () => 1)).rejects.toMatchObject({ code: 'ERR_PROXY_STORAGE' })
    expect(attempts).toBe(100)
  })

  it('finds, changes and takes records made under an older secret of the ring', async () => {
    const driver = memoryDriver()
    const before = createStore(driver, { keys: createKeys([old]) })
    for (const id of ['get', 'put', 'take', 'update', 'scan']) await before.put(`a:${id}`, id)
    const after = createStore(driver, { keys: createKeys([young, old]) })
    expect(await after.get('a:get')).toBe('get')
    await after.put('a:put', 'changed')
    expect(await after.get('a:put')).toBe('changed')
    const taken = await Promise.all([after.take('a:take'), after.take('a:take'), after.take('a:take')])
    expect(taken.filter((value) => value !== undefined)).toEqual(['take'])
    expect(await after.update<string>('a:update', (current) => `${current}d`)).toBe('updated')
    await after.put('a:new', 'new')
    const all: string[] = []
    for await (const [key] of after.scan('a')) all.push(key)
    expect(all.sort()).toEqual(['a:get', 'a:new', 'a:put', 'a:scan', 'a:update'])
    const alone = createStore(driver, { keys: createKeys([young]) })
    expect(await alone.get('a:new')).toBe('new')
    expect(await alone.get('a:get')).toBeUndefined()
  })

  it('does not read records of a foreign ring, and sealed ones not without keys', async () => {
    const driver = memoryDriver()
    await createStore(driver, { keys: createKeys([old]) }).put('a:1', 1)
    for (const options of [{ keys: createKeys([foreign]) }, {}]) {
      const store = createStore(driver, options)
      expect(await store.get('a:1')).toBeUndefined()
      expect(await store.scan('a')[Symbol.asyncIterator]().next()).toMatchObject({ done: true })
    }
  })

  it('memoryStore shares nothing with another one', async () => {
    const [one, two] = [memoryStore(), memoryStore()]
    await one.put('a:1', 1)
    expect(await two.get('a:1')).toBeUndefined()
  })
})
