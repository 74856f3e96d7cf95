import assert from 'node:assert/strict'
import { openDataFolder, type TestProxy } from '../proxy.ts'
import { eventually, type Check } from '../contract.ts'
import { checkNone, watchOpening, type Watch } from '../opened.ts'
import { afterwards, makePlugin, open, openProxyWith, watched, type MadePlugin } from './bench.ts'

/** From set-up to `dispose`: what is opened, when, and for how long. */
export function life(check: Check<MadePlugin>): void {
  check('is made and set up without network', (made) =>
    observed(async (watch) => {
      const plugin = watch.run(() => makePlugin(made))
      const { close } = await open(made, watched(plugin, watch))
      await afterwards()
      await close()
      checkNone(watch.network(), 'set-up must not use the network: begin in the hook "ready", or with the first call')
    }),
  )

  check('beside a command of the command line it watches nothing and keeps no process alive', (made) =>
    observed(async (watch) => {
      const { close } = await open(made, watched(makePlugin(made), watch), { serving: false })
      await afterwards()
      const [standing, holding] = [watch.standing(), watch.holding()]
      await close()
      checkNone(standing, 'with `serving: false` nothing may be watched, opened or started')
      checkNone(holding, 'with `serving: false` nothing may keep the process alive')
    }),
  )

  check('leaves nothing behind when the proxy closes', (made) =>
    observed(async (watch) => {
      const plugin = makePlugin(made)
      const { kernel, close, log } = await open(made, watched(plugin, watch))
      kernel.start()
      await kernel.ready
      await afterwards()
      await close()
      assert.doesNotMatch(log(), /did not close/, 'dispose must neither throw nor take longer than 6 s')
      await nothingLeft(watch)
    }),
  )

  check('leaves nothing behind when the start fails after its set-up', (made) =>
    observed(async (watch) => {
      const plugin = makePlugin(made)
      const fail = (): never => {
        throw new Error('the plugin after it fails')
      }
      const config = { ...made.config, plugins: [...(made.config?.plugins ?? []), watched(plugin, watch)] }
      const opening = open({ ...made, config }, { name: 'fails', setup: fail })
      await assert.rejects(opening, /the plugin after it fails/)
      await nothingLeft(watch)
    }),
  )

  check('twice in one process, neither disturbs the other', (made) =>
    inProxy(made, async (stays) => {
      await inProxy(made, async (goes) => made.exercise?.(goes))
      await made.exercise?.(stays)
      assert.equal((await fetch(`${stays.origin}/healthz`)).status, 200)
    }),
  )

  check('starts again on the data it has left', async (made) => {
    const folder = await openDataFolder()
    try {
      await inProxy(made, async (proxy) => made.exercise?.(proxy), folder.path)
      await inProxy(made, async () => undefined, folder.path)
    } finally {
      await folder.remove()
    }
  })
}

async function inProxy(made: MadePlugin, work: (proxy: TestProxy) => Promise<void>, dataDir?: string): Promise<void> {
  const proxy = await openProxyWith(made, dataDir)
  try {
    await work(proxy)
  } finally {
    await proxy.close()
  }
}

async function observed(work: (watch: Watch) => Promise<void>): Promise<void> {
  const watch = watchOpening()
  try {
    await work(watch)
  } finally {
    watch.stop()
  }
}

/** How long (ms) what is being closed may take to be gone. */
const GOING = 1000

async function nothingLeft(watch: Watch): Promise<void> {
  await eventually(() => checkNone(watch.left(), 'what set-up has opened, dispose must close'), GOING)
}
