import { access } from 'node:fs/promises'
import { resolveModulePath } from 'exsolve'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { ResolvedConfig } from './config/resolved.ts'
import { ProxyError, reasonOf } from './errors.ts'
import type { Plugin, PluginSpec } from './plugin.ts'
import type { JsonValue } from './wire/jsonrpc.ts'

const BUILT_IN = new URL('../plugins/', import.meta.url)
const ENDING = import.meta.url.endsWith('.ts') ? 'ts' : 'js'

/** Loads every plugin a configuration names, in order. Throws `ProxyError`: unknown, not a plugin, or there twice. */
export async function resolvePlugins(config: ResolvedConfig): Promise<readonly Plugin[]> {
  const plugins: Plugin[] = []
  for (const spec of config.plugins) plugins.push(await resolvePlugin(spec, config.rootDir))
  refuseTwins(plugins)
  return plugins
}

/** Loads one plugin: by value, by short name (`storage-fs`), or by package name as seen from `rootDir`. */
export async function resolvePlugin(spec: PluginSpec, rootDir: string): Promise<Plugin> {
  if (typeof spec === 'object' && !Array.isArray(spec)) return checkPlugin(spec, 'plugins')
  const [name, options] = (typeof spec === 'string' ? [spec] : spec) as [string, JsonValue?]
  const module = await load(await locate(name, rootDir), name)
  const made = typeof module === 'function' ? make(module as (options?: JsonValue) => unknown, options, name) : module
  return checkPlugin(made, `plugin "${name}"`)
}

async function locate(name: string, rootDir: string): Promise<string> {
  if (/^[a-z0-9][a-z0-9-]*$/.test(name)) {
    const builtIn = new URL(`${name}/index.${ENDING}`, BUILT_IN)
    if (await exists(builtIn)) return builtIn.href
  }
  const from = pathToFileURL(`${rootDir}/`)
  for (const id of [name, `mcp-proxy-plugin-${name}`]) {
    const path = resolveModulePath(id, { from, try: true })
    if (path !== undefined) return pathToFileURL(path).href
  }
  throw new ProxyError(
    'ERR_PROXY_CONFIG',
    `plugins: "${name}" is unknown: no built-in plugin has this name, and neither the package "${name}" nor ` +
      `"mcp-proxy-plugin-${name}" is installed in ${rootDir}; check the spelling or install it there`,
  )
}

async function exists(url: URL): Promise<boolean> {
  return access(fileURLToPath(url)).then(
    () => true,
    () => false,
  )
}

async function load(url: string, name: string): Promise<unknown> {
  try {
    return ((await import(url)) as { default?: unknown }).default
  } catch (error) {
    throw new ProxyError('ERR_PROXY_PLUGIN', `plugin "${name}" could not be loaded: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}

function make(factory: (options?: JsonValue) => unknown, options: JsonValue | undefined, name: string): unknown {
  try {
    return options === undefined ? factory() : factory(options)
  } catch (error) {
    throw new ProxyError('ERR_PROXY_CONFIG', `plugin "${name}": ${reasonOf(error)}`, { cause: error })
  }
}

function checkPlugin(value: unknown, where: string): Plugin {
  const plugin = value as Partial<Plugin> | null | undefined
  if (
    typeof plugin !== 'object' ||
    plugin === null ||
    typeof plugin.name !== 'string' ||
    typeof plugin.setup !== 'function'
  ) {
    throw new ProxyError(
      'ERR_PROXY_PLUGIN',
      `${where}: not a plugin; its default export must be { name, setup(context) } or a function that returns one`,
    )
  }
  if (plugin.apiVersion !== undefined && plugin.apiVersion !== 1) {
    throw new ProxyError(
      'ERR_PROXY_PLUGIN',
      `plugin "${plugin.name}": needs plugin API ${String(plugin.apiVersion)}, this is 1`,
    )
  }
  return plugin as Plugin
}

function refuseTwins(plugins: readonly Plugin[]): void {
  const seen = new Set<string>()
  for (const { name } of plugins) {
    if (seen.has(name)) throw new ProxyError('ERR_PROXY_CONFIG', `plugins: "${name}" is listed twice; keep one of them`)
    seen.add(name)
  }
}
