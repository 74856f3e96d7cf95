import type { ResolvedConfig } from './config/resolved.ts'
import { ProxyError, reasonOf } from './errors.ts'
import type { Plugin, PluginContext } from './plugin.ts'
import { resolvePlugin } from './resolve.ts'
import type { Scope } from './scope.ts'
import { fillSlots, type Contributed, type Slots } from './slots.ts'

/** Sets plugins up in order; `storage-fs` joins where nothing else fills `storage`. */
export async function setUp(
  plugins: readonly Plugin[],
  config: ResolvedConfig,
  contextOf: (plugin: Plugin) => PluginContext,
  scope: Scope,
): Promise<{ slots: Slots; driver: NonNullable<Slots['storage']> }> {
  const contributed: Contributed[] = []
  const add = async (plugin: Plugin): Promise<void> => {
    const contribution = await setUpOne(plugin, contextOf(plugin))
    if (contribution.dispose) scope.defer(`plugin "${plugin.name}"`, () => contribution.dispose?.())
    contributed.push({ name: plugin.name, contribution })
  }
  for (const plugin of plugins) await add(plugin)
  if (!contributed.some(({ contribution }) => contribution.storage)) {
    await add(await resolvePlugin('storage-fs', config.rootDir))
  }
  checkAuthPlugin(contributed, config.authPlugin)
  checkAccess(contributed)
  const slots = fillSlots(contributed)
  if (slots.storage === undefined) throw new ProxyError('ERR_PROXY_PLUGIN', 'no plugin fills the slot "storage"')
  return { slots, driver: slots.storage }
}

async function setUpOne(plugin: Plugin, context: PluginContext) {
  try {
    return (await plugin.setup(context)) ?? {}
  } catch (error) {
    const code = (error as { code?: unknown }).code === 'ERR_PROXY_CONFIG' ? 'ERR_PROXY_CONFIG' : 'ERR_PROXY_PLUGIN'
    throw new ProxyError(code, `plugin "${plugin.name}" failed to set up: ${reasonOf(error)}`, { cause: error })
  }
}

/** Everybody with an account somewhere is not who should get in. */
function checkAccess(contributed: readonly Contributed[]): void {
  const login = contributed.find(({ contribution }) => contribution.auth?.refuse !== undefined)
  if (login === undefined || contributed.some(({ contribution }) => contribution.access !== undefined)) return
  throw new ProxyError(
    'ERR_PROXY_CONFIG',
    `plugins: "${login.name}" logs people in, and nothing says who of them may use the proxy; add "access-users", ` +
      'or a plugin of your own that fills the slot "access"',
  )
}

/** `MCP_AUTH_PROVIDER` says who may let callers in: nobody else does so beside it. */
function checkAuthPlugin(contributed: readonly Contributed[], named: string | undefined): void {
  if (named === undefined) return
  const other = contributed.find(({ name, contribution }) => contribution.auth !== undefined && name !== named)
  if (other === undefined) return
  const says = named === 'none' ? 'says that nobody is asked who they are' : `loads "${named}"`
  throw new ProxyError(
    'ERR_PROXY_CONFIG',
    `MCP_AUTH_PROVIDER: ${says}, but plugin "${other.name}" also fills the slot "auth"; remove it from "plugins" or unset the variable`,
  )
}
