import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Awaitable, Config, JsonValue, Plugin, UntypedConfig } from '../../core/index.ts'
import type { Made } from '../contract.ts'
import { openPlugin, type OpenPlugin, type OpenPluginOptions } from '../open-plugin.ts'
import { openTestProxy, type TestProxy } from '../proxy.ts'
import type { Watch } from '../opened.ts'

/** A plugin's module, and how it is used. */
export interface MadePlugin extends Made {
  /** What `import('./index.js')` resolves. */
  readonly module: { readonly default?: unknown }
  /** Options it must take. The first ones, or none where there are none, are those of all other tests. */
  readonly accepts?: readonly JsonValue[]
  /** Options it must refuse: unknown ones, senseless values. */
  readonly refuses?: readonly JsonValue[]
  /** The rest of the configuration; its `plugins` are set up before this one. */
  readonly config?: Config | UntypedConfig
  /** The environment that it sees; default: an empty one. */
  readonly env?: Readonly<Record<string, string>>
  /** What of all this must never be logged. */
  readonly secrets?: readonly string[]
  /** Uses the plugin in a running proxy, new each time; throws where it does not do its work. */
  exercise?(proxy: TestProxy): Awaitable<void>
}

/** Makes the plugin of a module as the proxy does it: from its default export, or with it. */
export function makePlugin({ module, accepts = [] }: MadePlugin, options: JsonValue | undefined = accepts[0]): Plugin {
  const { default: exported } = module
  const made: unknown =
    typeof exported === 'function'
      ? options === undefined
        ? (exported as () => unknown)()
        : (exported as (options: JsonValue) => unknown)(options)
      : exported
  assert.ok(
    typeof made === 'object' && made !== null && typeof (made as Partial<Plugin>).setup === 'function',
    'the default export must be { name, setup(context) } or a function that returns one',
  )
  return made as Plugin
}

/** Sets it up alone, without a port. */
export function open(made: MadePlugin, plugin: Plugin, more: OpenPluginOptions = {}): Promise<OpenPlugin> {
  const { config, env } = made
  return openPlugin(plugin, { ...(config && { config }), ...(env && { env }), ...more })
}

/** Opens a proxy that has it. */
export function openProxyWith(made: MadePlugin, dataDir?: string): Promise<TestProxy> {
  const { config = {}, env = {} } = made
  const plugins = [...(config.plugins ?? []), makePlugin(made)]
  return openTestProxy({ ...config, plugins, ...(dataDir !== undefined && { dataDir }) }, { env })
}

/** The same plugin; what it opens in its set-up and its hooks is watched. */
export function watched(plugin: Plugin, watch: Watch): Plugin {
  return {
    ...plugin,
    setup: (context) =>
      watch.run(async () => {
        const contribution = (await plugin.setup(context)) ?? {}
        const hooks = Object.entries(contribution.hooks ?? {}) as [string, (...event: unknown[]) => unknown][]
        const run = hooks.map(([name, hook]) => [name, (...event: unknown[]) => watch.run(() => hook(...event))])
        return { ...contribution, ...(contribution.hooks && { hooks: Object.fromEntries(run) as object }) }
      }),
  }
}

/** How long (ms) something may take to begin that nobody waits for. */
const AFTERWARDS = 50

/** Gives what was begun without being waited for the time to show. */
export async function afterwards(): Promise<void> {
  await sleep(AFTERWARDS)
}
