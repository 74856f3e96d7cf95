import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { snapshotOf, type ConfigSnapshot } from '../../core/config/change.ts'
import type { UntypedConfig } from '../../core/config/define.ts'
import { resolveConfig } from '../../core/config/resolve.ts'
import type { ServerConfig } from '../../core/config/resolved.ts'
import { createHookRunner } from '../../core/hooks.ts'
import { definePlugin, type PluginContext } from '../../core/plugin.ts'
import { createLiveConfig, type Evaluate } from '../../core/live-config.ts'
import { createKernel } from '../../core/kernel.ts'
import { captureLog, servers } from '../harness.ts'
import { openKernel } from '../fixtures/core/kernel.ts'

type Servers = Record<string, object>

const configOf = (mcpServers: Servers, more: object = {}) =>
  resolveConfig({ mcpServers, ...more } as UntypedConfig, { env: {} })
/** What an evaluation of these would answer. */
const said = (mcpServers: Servers, more: Partial<ConfigSnapshot> & { config?: object } = {}): ConfigSnapshot => {
  const { config, ...rest } = more
  return { ...snapshotOf(configOf(mcpServers, config)), ...rest }
}
const [x, y] = [{ command: 'x' }, { command: 'y' }]

function scene(mcpServers: Servers, answers: readonly ConfigSnapshot[] = [], exchange = async () => {}) {
  const { logger, lines } = captureLog()
  const told: object[] = []
  const exchanged: string[][] = []
  let evaluations = 0
  const hooks = createHookRunner(
    [{ plugin: 'p', hooks: { 'config:change': (event) => void told.push(event) } }],
    logger,
  )
  const evaluate: Evaluate = async (signal) => {
    signal.throwIfAborted()
    return answers[evaluations++] ?? said({})
  }
  const live = createLiveConfig({
    running: snapshotOf(configOf(mcpServers)),
    ...(answers.length > 0 && { evaluate }),
    hooks,
    logger,
    async exchange(servers: readonly ServerConfig[]) {
      exchanged.push(servers.map(({ name }) => name))
      await exchange()
    },
  })
  const warnings = () => lines.filter(({ level }) => level === 'warn').map(({ text }) => text)
  return { live, told, exchanged, warnings }
}

test('an evaluation is compared with what runs now, not with what was started', async () => {
  const { live } = scene({ a: x }, [
    said({ a: x, b: x }),
    said({ a: x, b: x }),
    said({ b: x }, { config: { port: 1 } }),
  ])
  const first = await live.evaluate()
  expect(first.change).toEqual({ added: ['b'], removed: [], changed: [], beyond: [] })
  await live.apply(first)
  expect((await live.evaluate()).change).toEqual({ added: [], removed: [], changed: [], beyond: [] })
  expect((await live.evaluate()).change).toMatchObject({ removed: ['a'], beyond: ['port', 'baseUrl'] })
})

test('plugins hear of what came, went and changed, and only of that', async () => {
  const { live, told, exchanged } = scene({ a: x, b: x }, [said({})])
  const apply = async (servers: Servers) => live.apply({ ...said(servers), change: (await live.evaluate()).change })
  await apply({ b: y, c: x })
  await apply({ c: x, b: y })
  expect(told).toEqual([{ added: ['c'], removed: ['a'], changed: ['b'] }])
  expect(exchanged).toEqual([
    ['b', 'c'],
    ['c', 'b'],
  ])
  expect(live.servers.map(({ name }) => name)).toEqual(['c', 'b'])
})

test('a warning is said once, and again when it comes back', async () => {
  const answers = [['one'], ['one', 'two'], [], ['one']].map((warnings) => said({ a: x }, { warnings }))
  const { live, warnings } = scene({ a: x }, answers)
  for (const _ of answers) await live.apply(await live.evaluate())
  expect(warnings()).toEqual(['one', 'two', 'one'])
})

test('one exchange after the other; one that fails is the caller’s, and the next one counts', async () => {
  let busy = 0
  let most = 0
  let fails = true
  const { live, exchanged } = scene({}, [said({ a: x })], async () => {
    most = Math.max(most, ++busy)
    await new Promise((resolve) => setTimeout(resolve, 5))
    busy--
    if (fails) throw new Error('no')
  })
  const next = await live.evaluate()
  const first = live.apply(next)
  const others = [live.apply(next), live.apply(next)]
  await expect(first).rejects.toThrow('no')
  fails = false
  await Promise.allSettled(others)
  expect(live.servers.map(({ name }) => name)).toEqual(['a'])
  expect([most, exchanged.length]).toEqual([1, 3])
})

test('after the close nothing is read or exchanged', async () => {
  const { live, exchanged } = scene({}, [said({ a: x }), said({ b: x })])
  const next = await live.evaluate()
  live.close()
  await expect(live.evaluate()).rejects.toThrow()
  await expect(live.apply(next)).rejects.toThrow()
  expect(exchanged).toEqual([])
})

test('a proxy that was not started from files says so', async () => {
  await expect(scene({}).live.evaluate()).rejects.toMatchObject({ code: 'ERR_PROXY_CONFIG' })
})

test('a plugin may wish for it while others are still being set up', async () => {
  let asked: Promise<unknown> | undefined
  const early = definePlugin({
    name: 'early',
    setup: ({ evaluate }: PluginContext) => void (asked = evaluate().catch((error: Error) => error.message)),
  })
  const slow = definePlugin({ name: 'slow', setup: () => new Promise<void>((resolve) => setTimeout(resolve, 200)) })
  const { close } = await openKernel({ plugins: [early, slow, 'storage-fs'] })
  expect(await asked).toContain('was not started from files')
  await close()
})

test('a trial reads the store and leaves it as it is, also where keys or names are others', async () => {
  const { kernel, close } = await openKernel({ secret: OLD, mcpServers: { a: servers.fault('echo') } })
  const { dataDir } = kernel.config
  kernel.start()
  await kernel.ready
  await kernel.close()
  const before = await textsIn(dataDir)
  const attempt = async (config: UntypedConfig) => {
    const resolved = resolveConfig({ dataDir, plugins: ['transport-stdio', 'storage-fs'], ...config }, { env: {} })
    const trial = await createKernel(resolved, { logger: captureLog().logger, serving: false, trial: true })
    await trial.close()
    return trial.upstreams.map(({ tools }) => tools)
  }
  const prefixed = { a: { ...servers.fault('echo'), prefix: 'other' } }
  expect(await attempt({ secret: `${NEW},${OLD}`, mcpServers: prefixed })).toEqual([3])
  await expect(attempt({ secret: NEW })).rejects.toThrow('written with another secret')
  expect(await textsIn(dataDir)).toEqual(before)
  await close()
})

const OLD = 'o'.repeat(40)
const NEW = 'n'.repeat(40)

/** What is in each file below a folder, by its path. */
async function textsIn(dir: string): Promise<Record<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  return Object.fromEntries(await Promise.all(files.sort().map(async (file) => [file, await readFile(file, 'utf8')])))
}
