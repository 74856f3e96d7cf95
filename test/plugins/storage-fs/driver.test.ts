import { mkdir, mkdtemp, readFile, readdir, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import type { PluginContext } from '../../../core/index.ts'
import { fsDriver } from '../../../plugins/storage-fs/driver.ts'
import storageFs from '../../../plugins/storage-fs/index.ts'
import { storageContract, swapContract } from '../../../testing/index.ts'

async function makeDriver() {
  const dir = await mkdtemp(join(tmpdir(), 'store-'))
  return {
    driver: fsDriver(join(dir, 'store')),
    again: fsDriver(join(dir, 'store')),
    dispose: () => rm(dir, { recursive: true }),
  }
}
storageContract({ describe, test }, 'fs', makeDriver)
swapContract({ describe, test }, 'fs', makeDriver)

describe('storage-fs', () => {
  let root: string
  let dir: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'store-'))
    dir = join(root, 'store')
  })
  afterEach(() => rm(root, { recursive: true }))

  /** Every file and folder below the store, relative. */
  const all = async () => (await readdir(dir, { recursive: true })).sort()
  const slot = () => join(dir, 'k', 'one.rec')

  async function hold(text: string) {
    const driver = fsDriver(dir)
    await driver.setItem?.('k:one', text, {})
    const now = (await readdir(slot())).find((name) => name.endsWith('.now')) ?? ''
    return { driver, id: now.replace('.now', '') }
  }

  it('makes files 0600 and folders 0700, and leaves nothing behind', async () => {
    const { driver } = await hold('old')
    await driver.setItem?.('k:one', 'new', {})
    const names = await all()
    for (const name of names) {
      const found = await stat(join(dir, name))
      expect([name, found.mode & 0o777]).toEqual([name, found.isDirectory() ? 0o700 : 0o600])
    }
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    expect(names).toHaveLength(5)
    await driver.removeItem?.('k:one', {})
    expect(await all()).toEqual(['.tmp', 'k'])
  })

  it('keeps driver keys apart on any file system and lists them as they were', async () => {
    const driver = fsDriver(dir)
    const keys = ['a', 'a:b', 'a:B', 'a/b', 'a.rec:b', 'a:.tmp', '..:..:x', 'a::b', '%41', 'ü:🐘', 'a b', '.tmp']
    for (const key of keys) await driver.setItem?.(key, key, {})
    for (const key of keys) expect(await driver.getItem(key)).toBe(key)
    expect((await driver.getKeys('', {})).sort()).toEqual([...keys].sort())
    expect((await driver.getKeys('a:', {})).sort()).toEqual(['a:.tmp', 'a::b', 'a:B', 'a:b'])
    expect(await readdir(root)).toEqual(['store'])
    const names = (await all()).map((name) => name.toLowerCase())
    expect(new Set(names).size).toBe(names.length)
    await driver.clear?.('a:', {})
    expect((await driver.getKeys('', {})).sort()).toEqual(keys.filter((key) => !key.startsWith('a:')).sort())
    await expect(driver.setItem?.('x'.repeat(300), '', {})).rejects.toThrow(/too long/)
  })

  it('killed while writing a replacement: the old value, and the litter goes with the next change', async () => {
    const { driver } = await hold('old')
    await writeFile(join(slot(), 'dead.data'), 'half a val')
    expect(await driver.getItem('k:one')).toBe('old')
    expect(await driver.swap?.('k:one', 'old', 'new')).toBe(true)
    expect(await driver.getItem('k:one')).toBe('new')
    expect(await readdir(slot())).toHaveLength(2)
  })

  it('killed after replacing: the new value, and the old data goes with the next change', async () => {
    const { driver } = await hold('new')
    await writeFile(join(slot(), 'replaced.data'), 'old')
    expect(await driver.getItem('k:one')).toBe('new')
    expect(await driver.swap?.('k:one', 'new', null)).toBe(true)
    expect(await readdir(dirname(slot()))).toEqual([])
  })

  it.each([
    ['after the first step', ['removed.data']],
    ['at the end', []],
    ['with attempts to replace beside it', ['removed.data', 'dead.data']],
  ])('killed while removing, %s: absent, can be made again', async (_, litter) => {
    await mkdir(slot(), { recursive: true })
    for (const name of litter) await writeFile(join(slot(), name), 'old')
    const driver = fsDriver(dir)
    expect(await driver.swap?.('k:one', 'old', 'x')).toBe(false)
    expect(await driver.swap?.('k:one', null, 'new')).toBe(true)
    expect(await driver.getItem('k:one')).toBe('new')
    expect(await readdir(slot())).toHaveLength(2)
  })

  it('reading clears what a killed removal left', async () => {
    await mkdir(slot(), { recursive: true })
    await writeFile(join(slot(), 'removed.data'), 'old')
    expect(await fsDriver(dir).getItem('k:one')).toBeNull()
    expect(await readdir(dirname(slot()))).toEqual([])
  })

  it('killed while creating: absent, and an old draft goes with the first write; a young one may be at work', async () => {
    for (const name of ['dead', 'young']) await mkdir(join(dir, '.tmp', name), { recursive: true })
    await writeFile(join(dir, '.tmp', 'dead', 'x.data'), 'half')
    const hours = new Date(Date.now() - 2 * 60 * 60 * 1000)
    await utimes(join(dir, '.tmp', 'dead'), hours, hours)
    const { driver } = await hold('new')
    expect(await driver.getKeys('', {})).toEqual(['k:one'])
    expect(await readdir(join(dir, '.tmp'))).toEqual(['young'])
  })

  it('a value whose data somebody deleted reads as empty and can be replaced', async () => {
    const { driver, id } = await hold('old')
    await rm(join(slot(), `${id}.data`))
    expect(await driver.getItem('k:one')).toBe('')
    await driver.setItem?.('k:one', 'new', {})
    expect(await driver.getItem('k:one')).toBe('new')
  })

  it('a reader never meets a gap or a half while others replace', async () => {
    const [writer, reader] = [fsDriver(dir), fsDriver(dir)]
    const value = (index: number) => String(index).padStart(6, '0').repeat(2000)
    await writer.setItem?.('k:one', value(0), {})
    const written = new AbortController()
    const writes = (async () => {
      for (let index = 1; index <= 60; index++) await writer.setItem?.('k:one', value(index), {})
      written.abort()
    })()
    let last = 0
    while (!written.signal.aborted) {
      const text = await reader.getItem('k:one')
      const index = typeof text === 'string' ? Number(text.slice(0, 6)) : Number.NaN
      expect(text === value(index)).toBe(true)
      expect(index).toBeGreaterThanOrEqual(last)
      last = index
    }
    await writes
  })

  it('writes on where what a killed process left cannot be tidied away', async () => {
    // A link to itself where drafts should be: nobody can look into that.
    const driver = fsDriver(dir)
    await mkdir(dir)
    await symlink('.tmp', join(dir, '.tmp'))
    await expect(Promise.resolve(driver.setItem?.('k:one', 'early', {}))).rejects.toThrow()
    await rm(join(dir, '.tmp'))
    await driver.setItem?.('k:one', 'late', {})
    expect(await driver.getItem('k:one')).toBe('late')
  })

  it('says that its folder is gone, and goes on once it is back; nothing is taken for absent meanwhile', async () => {
    const { driver } = await hold('kept')
    await rename(dir, `${dir}-away`)
    for (const work of [
      () => driver.getItem('k:one'),
      () => driver.getItem('k:other'),
      () => driver.setItem?.('k:one', 'new', {}),
      () => driver.removeItem?.('k:one', {}),
      () => driver.swap?.('k:one', null, 'new'),
    ]) {
      await expect((async () => work())()).rejects.toThrow(`${dir} is gone; put it back`)
    }
    await expect(readdir(dir)).rejects.toThrow('ENOENT')
    await rename(`${dir}-away`, dir)
    expect(await driver.getItem('k:one')).toBe('kept')
    expect(await driver.getItem('k:other')).toBeNull()
  })

  it('names the reason when the folder cannot be used', async () => {
    await writeFile(dir, 'a file')
    await expect(fsDriver(dir).setItem?.('k:one', 'x', {})).rejects.toThrow(/ENOTDIR|EEXIST/)
  })

  describe('plugin', () => {
    const context = () => ({ config: { dataDir: join(root, 'data'), rootDir: root } }) as unknown as PluginContext
    const contribute = async (options?: { dir?: string }) => {
      const made = await storageFs(options).setup(context())
      if (!made?.storage) throw new Error('no storage')
      await made.storage.setItem?.('k:one', 'x', {})
    }

    it('stores in the data folder, or in "dir" seen from the main file', async () => {
      await contribute()
      expect(await readdir(join(root, 'data', 'store', 'k'))).toEqual(['one.rec'])
      await contribute({ dir: 'elsewhere' })
      expect(await readdir(join(root, 'elsewhere', 'k'))).toEqual(['one.rec'])
      const names = await readdir(join(root, 'elsewhere', 'k', 'one.rec'))
      const data = names.find((name) => name.endsWith('.data')) ?? ''
      expect(await readFile(join(root, 'elsewhere', 'k', 'one.rec', data), 'utf8')).toBe('x')
    })

    it('refuses options it does not know', () => {
      for (const options of [{ dirr: 'x' }, { dir: 7 }, { dir: '' }]) {
        expect(() => storageFs(options as never)).toThrow(expect.objectContaining({ code: 'ERR_PROXY_PLUGIN' }))
      }
    })
  })
})
