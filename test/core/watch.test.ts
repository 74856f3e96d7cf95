import { unwatchFile, watchFile } from 'node:fs'
import { appendFile, chmod, mkdir, mkdtemp, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import { watchPath } from '../../core/watch.ts'
import { until } from '../e2e/support/until.ts'
import { openKernel } from '../fixtures/core/kernel.ts'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'mcp-proxy-watch-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Writes a file in one step, so that no half of it can be told of. */
async function put(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}

/** Hears what a watcher tells. */
function listener() {
  let told = 0
  return {
    on: () => void told++,
    get told() {
      return told
    },
    /** Makes one change and resolves once it was told. */
    async after(what: string, change: () => Promise<unknown>): Promise<void> {
      const before = told
      await change()
      await until(`told of ${what}`, () => told > before)
    },
  }
}

type Listener = ReturnType<typeof listener>

/** Makes changes until the first one is told: what happens before the first look at a file cannot be seen. */
async function toldOnce(path: string, hear: Listener): Promise<void> {
  for (let tries = 1; tries < 4 && hear.told === 0; tries++) {
    await put(path, `change ${tries}`)
    await until('told at all', () => hear.told > 0, 8000).catch(() => undefined)
  }
  expect(hear.told).toBe(1)
}

/** A watcher of a file, past its first look. */
async function watching(path: string, hear: Listener): Promise<void> {
  onTestFinished(watchPath(path, hear.on))
  await toldOnce(path, hear)
}

describe('a watched file', () => {
  test('that changes, is renamed over, goes and comes back is told of each time', async () => {
    const path = join(await folder(), 'users.json')
    await put(path, '')
    const hear = listener()
    await watching(path, hear)
    await hear.after('a change in place', () => appendFile(path, ' and more'))
    await hear.after('an editor that renames', () => put(path, 'renamed'))
    await hear.after('one of the same length', () => put(path, 'enamedr'))
    await hear.after('a change in place after that', () => appendFile(path, ' and more'))
    await hear.after('removal', () => rm(path))
    await hear.after('appearance', () => put(path, 'back'))
    await hear.after('a change in place after that', () => appendFile(path, ' and more'))
    await hear.after('a change of who may read it', () => chmod(path, 0o400))
    expect(hear.told).toBe(9)
  })

  test('that was away and is back as it was is told of twice', async () => {
    const path = join(await folder(), 'users.json')
    await put(path, '')
    const hear = listener()
    await watching(path, hear)
    for (let round = 0; round < 2; round++) {
      await hear.after('removal', () => rename(path, `${path}.away`))
      await hear.after('return', () => rename(`${path}.away`, path))
    }
    expect(hear.told).toBe(5)
  })

  test('that is not there yet is told of when it appears, be it with its folder, and not before', async () => {
    const root = await folder()
    const path = join(root, 'later', 'users.json')
    const hear = listener()
    onTestFinished(watchPath(path, hear.on))
    await firstLook(path)
    expect(hear.told).toBe(0)
    await hear.after('appearance', async () => {
      await mkdir(join(root, 'later'))
      await put(path, '{}')
    })
    await hear.after('removal with the folder', () => rename(join(root, 'later'), join(root, 'gone')))
    expect(hear.told).toBe(2)
  })

  test('behind swapped links, as Kubernetes does it, is told of', async () => {
    const root = await folder()
    const data = join(root, '..data')
    const publish = async (version: string, text: string) => {
      await mkdir(join(root, version))
      await writeFile(join(root, version, 'users.json'), text)
      const before = await readlink(data).catch(() => undefined)
      await symlink(version, `${data}_tmp`)
      await rename(`${data}_tmp`, data)
      if (before !== undefined) await rm(join(root, before), { recursive: true })
    }
    await publish('..1', 'one')
    const path = join(root, 'users.json')
    await symlink(join('..data', 'users.json'), path)
    const hear = listener()
    onTestFinished(watchPath(path, hear.on))
    await toldOnce(join(root, '..1', 'users.json'), hear)
    await hear.after('a swap', () => publish('..2', 'two'))
    await hear.after('a swap to the same length', () => publish('..3', 'tow'))
    await hear.after('a dangling link', () => rm(data))
    await hear.after('a mended link', () => symlink('..3', data))
    expect(hear.told).toBe(5)
  })

  test('is told to everybody who watches it, until they stop', async () => {
    const path = join(await folder(), 'users.json')
    await put(path, '')
    const [stays, leaves] = [listener(), listener()]
    await watching(path, stays)
    const stop = watchPath(path, leaves.on)
    onTestFinished(stop)
    await put(path, 'for both')
    await until('both are told', () => stays.told === 2 && leaves.told === 1)
    stop()
    stop()
    await stays.after('a change', () => put(path, 'for one'))
    expect([stays.told, leaves.told]).toEqual([3, 1])
  })
})

test('a plugin watches through its context, until the kernel closes', async () => {
  const path = join(await folder(), 'users.json')
  await put(path, '')
  const hear = listener()
  const plugin = definePlugin({ name: 'test-watch', setup: ({ watch }) => watch(path, hear.on) })
  const { close } = await openKernel({ plugins: [plugin, 'storage-fs'] })
  await toldOnce(path, hear)
  await close()
  await watching(path, listener())
  expect(hear.told).toBe(1)
})

/** Resolves once a file that is missing has been looked at: Node tells of that, and all who watch a path share one look. */
async function firstLook(path: string): Promise<void> {
  let looked = false
  const look = () => void (looked = true)
  watchFile(path, { interval: 1000 }, look)
  onTestFinished(() => unwatchFile(path, look))
  await until('a look at the missing file', () => looked)
}
