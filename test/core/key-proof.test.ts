import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { resolveConfig } from '../../core/config/resolve.ts'
import { createKernel, type Kernel } from '../../core/kernel.ts'
import { proveKeys } from '../../core/key-proof.ts'
import { createKeys } from '../../core/keys.ts'
import { definePlugin, type Plugin, type PluginContext } from '../../core/plugin.ts'
import { createStore } from '../../core/store.ts'
import { memoryDriver } from '../../core/store/memory.ts'
import { captureLog, ROOT } from '../harness.ts'

const [older, old, young, foreign] = ['older', 'old', 'young', 'foreign'].map((text) => text.repeat(12)) as [
  string,
  string,
  string,
  string,
]
const OTHER = { code: 'ERR_PROXY_CONFIG', message: expect.stringMatching(/^keys: .*another secret.*MCP_SECRET/) }

describe('a store', () => {
  const open = () => {
    const store = createStore(memoryDriver(), { namespace: 'ring' })
    const quiet = captureLog().logger
    return { store, prove: (...secrets: string[]) => proveKeys(store, createKeys(secrets), quiet) }
  }

  test('takes the first ring, and from then on no other', async () => {
    const { store, prove } = open()
    await prove(old)
    await prove(old)
    const proof = await store.get('keys:proof')
    await expect(prove(young)).rejects.toMatchObject(OTHER)
    await expect(prove(young, foreign)).rejects.toMatchObject(OTHER)
    expect(await store.get('keys:proof')).toBe(proof)
    await prove(old)
  })

  test('is written only where there is something new, and a disk that is full keeps nobody from starting', async () => {
    const driver = memoryDriver()
    const store = createStore(driver, { namespace: 'ring' })
    const { logger, lines } = captureLog()
    await proveKeys(store, createKeys([old]), logger)
    driver.setItem = () => Promise.reject(new Error('ENOSPC'))
    driver.swap = () => Promise.reject(new Error('ENOSPC'))
    await proveKeys(store, createKeys([old]), logger)
    expect(lines).toEqual([])
    await proveKeys(store, createKeys([young, old]), logger)
    expect(lines).toEqual([expect.objectContaining({ level: 'warn', text: expect.stringContaining('ENOSPC') })])
  })

  test('goes over to the active secret of a ring that has the old one', async () => {
    const { prove } = open()
    await prove(old)
    await prove(young, old)
    await prove(young)
    await expect(prove(old)).rejects.toMatchObject(OTHER)
    // Back again is a rotation too.
    await prove(old, young)
    await prove(old)
  })

  test('takes a ring whose order has changed, and any place of the old secret in it', async () => {
    const { prove } = open()
    await prove(older)
    await prove(young, old, older)
    await prove(young)
  })

  test('tells no secret', async () => {
    const { store, prove } = open()
    await prove(old)
    expect(await store.get('keys:proof')).not.toContain(old)
    await expect(prove(young)).rejects.not.toThrow(/young|old.*old/)
  })

  test('holds a proof of its own: one of another purpose or place is none', async () => {
    const { store, prove } = open()
    const keys = createKeys([old])
    for (const forged of [keys.seal('store', 'proof', 'other'), keys.seal('session', 'proof', 'keys:proof'), 'x', '']) {
      await store.put('keys:proof', forged)
      await expect(prove(old)).rejects.toMatchObject(OTHER)
    }
  })
})

describe('a kernel', () => {
  let dataDir: string
  let kernels: Kernel[]
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-proof-'))
    kernels = []
  })
  afterEach(async () => {
    for (const kernel of kernels) await kernel.close()
    await rm(dataDir, { recursive: true, force: true })
  })

  async function start(secret: string | undefined, plugins: readonly Plugin[] = []): Promise<Kernel> {
    const config = { dataDir, plugins: ['storage-fs', ...plugins], ...(secret !== undefined && { secret }) }
    const options = { logger: captureLog().logger }
    const kernel = await createKernel(resolveConfig(config, { rootDir: ROOT, env: {} }), options)
    kernels.push(kernel)
    return kernel
  }

  /** One run from start to end. */
  const run = async (...args: Parameters<typeof start>): Promise<void> => (await start(...args)).close()

  /** Every file of the store and what is in it. */
  async function stored(): Promise<Record<string, string>> {
    const entries = await readdir(join(dataDir, 'store'), { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
    return Object.fromEntries(await Promise.all(files.sort().map(async (file) => [file, await readFile(file, 'utf8')])))
  }

  /** A plugin that wants to write as soon as it can. */
  function eager(): Plugin & { readonly wrote: () => Promise<boolean> } {
    let context: PluginContext | undefined
    let wrote: Promise<boolean> | undefined
    const write = async ({ storage, signal }: PluginContext): Promise<boolean> => {
      for (;;) {
        try {
          await storage.put('note:1', 'written')
          return true
        } catch {
          if (signal.aborted) return false
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
    }
    const plugin = definePlugin({
      name: 'test-eager',
      setup(given) {
        context = given
        wrote = write(context)
      },
    })
    return Object.assign(plugin, { wrote: async () => (await wrote) ?? false })
  }

  test('with another secret does not start, and leaves the store as it is', async () => {
    const first = eager()
    const kernel = await start(old, [first])
    expect(await first.wrote()).toBe(true)
    await kernel.close()
    const before = await stored()
    expect(Object.keys(before).length).toBeGreaterThan(1)

    const second = eager()
    await expect(start(foreign, [second])).rejects.toMatchObject(OTHER)
    expect(await second.wrote()).toBe(false)
    expect(await stored()).toEqual(before)
    await run(old)
  })

  test('with the secret lost that it had made itself does not start either', async () => {
    await run(undefined)
    await run(undefined)
    const before = await stored()
    await rm(join(dataDir, 'secret'))
    await expect(start(undefined)).rejects.toMatchObject(OTHER)
    expect(await stored()).toEqual(before)
  })

  test('with the new secret before the old one starts, and afterwards with the new one alone', async () => {
    await run(old)
    await expect(start(young)).rejects.toMatchObject(OTHER)
    await run(`${young},${old}`)
    await run(young)
    await expect(start(old)).rejects.toMatchObject(OTHER)
  })

  test('starts anew with any secret once the store is deleted, as the message says', async () => {
    await run(old)
    await expect(start(young)).rejects.toThrow('delete <data>/store')
    await rm(join(dataDir, 'store'), { recursive: true })
    await run(young)
  })
})
