import { resolve } from 'node:path'
import { ProxyError } from '../errors.ts'
import type { PluginSpec } from '../plugin.ts'
import type { Config, UntypedConfig } from './define.ts'
import { readFlags, readVariables } from './env.ts'
import type { Flags, Variables } from './env.ts'
import { defaultHost, publicOrigin } from './exposure.ts'
import { faultsOf } from './issues.ts'
import { readText } from './read.ts'
import type { ResolvedConfig } from './resolved.ts'
import { configSchema } from './schema.ts'
import type { CheckedConfig } from './schema.ts'
import { readServers } from './servers.ts'
import type { ServerList } from './servers.ts'
import { NOWHERE, complain } from './source.ts'
import type { Source } from './source.ts'

/** What is loaded without a `plugins` key. */
export const DEFAULT_PLUGINS: readonly string[] = [
  'transport-stdio',
  'transport-streamable',
  'transport-sse',
  'storage-fs',
  'reload',
]

/** The plugins that each value of `MCP_AUTH_PROVIDER` adds. Their own variables are read by the plugins themselves. */
const AUTH_PLUGINS: Readonly<Record<NonNullable<Variables['MCP_AUTH_PROVIDER']>, readonly string[]>> = {
  oauth_proxy: ['auth-auth0', 'access-users'],
  oidc: ['auth-oidc', 'access-users'],
  local: ['auth-local', 'access-users'],
  none: [],
}

export interface ResolveOptions {
  /** Where relative plugin names and paths are looked up; default: the working directory. */
  readonly rootDir?: string
  /** Default: `process.env`. */
  readonly env?: NodeJS.ProcessEnv
  /** What relative paths in variables and flags start from; default: `rootDir`. */
  readonly typedIn?: string
  readonly flags?: Flags
  /** Where `config` was read from, for messages. */
  readonly source?: Source
  /** Replaces `config.mcpServers`. */
  readonly servers?: ServerList
  readonly files?: readonly string[]
  readonly watchFiles?: readonly string[]
  readonly warnings?: readonly string[]
}

/**
 * Fills in every default: flag over environment over `config`. Reads no configuration file (but `MCP_SECRET_FILE`).
 * Throws `ERR_PROXY_CONFIG` for anything wrong outside `mcpServers`; a bad server gets a `problem`.
 */
export function resolveConfig(config: Config | UntypedConfig, options: ResolveOptions = {}): ResolvedConfig {
  const rootDir = resolve(options.rootDir ?? process.cwd())
  const typedIn = resolve(options.typedIn ?? rootDir)
  const env = options.env ?? process.env
  const checked = checkConfig(config, options.source ?? NOWHERE)
  const variables = readVariables(env)
  const flags = readFlags(options.flags ?? {})
  const port = flags['--port'] ?? variables.MCP_PORT ?? checked.port
  const dataDir = flags['--data-dir'] ?? variables.MCP_DATA_DIR
  const list = options.servers ?? listOf(checked, options.source ?? NOWHERE)
  const baseUrl = baseUrlOf(checked, variables, options.source ?? NOWHERE)
  const plugins = pluginsOf(checked.plugins, variables.MCP_AUTH_PROVIDER)
  const authPlugin = authPluginOf(variables.MCP_AUTH_PROVIDER)
  return {
    rootDir,
    typedIn,
    env,
    dataDir: dataDir === undefined ? resolve(rootDir, checked.dataDir) : resolve(typedIn, dataDir),
    files: options.files ?? [],
    watchFiles: options.watchFiles ?? [],
    host:
      flags['--host'] ??
      variables.MCP_HOST ??
      checked.host ??
      defaultHost({ baseUrl, hasAuth: plugins.map(nameOf).some(isAuthName) }),
    port,
    baseUrl: baseUrl ?? `http://localhost:${port}`,
    baseUrlIsDefault: baseUrl === undefined,
    mcpPath: mcpPathOf(variables.MCP_PATH_PREFIX ?? checked.pathPrefix),
    allowUnauthenticated: variables.MCP_ALLOW_UNAUTHENTICATED ?? checked.allowUnauthenticated,
    allowedHosts: [...checked.allowedHosts, ...(variables.MCP_ALLOWED_HOSTS ?? [])],
    allowedOrigins: [...checked.allowedOrigins, ...(variables.MCP_ALLOWED_ORIGINS ?? [])],
    trustedProxies: [...checked.trustedProxies, ...(variables.MCP_TRUSTED_PROXIES ?? [])],
    secret: secretOf(variables, typedIn) ?? checked.secret,
    plugins,
    ...(authPlugin !== undefined && { authPlugin }),
    servers: readServers(list, { env, rootDir, prefix: checked.prefix }),
    nameLimit: checked.nameLimit,
    limits: checked.limits,
    log: {
      level: flags['--log-level'] ?? variables.MCP_LOG_LEVEL ?? checked.log.level,
      format: variables.MCP_LOG_FORMAT ?? checked.log.format ?? (process.stderr.isTTY ? 'pretty' : 'json'),
      user: variables.MCP_LOG_USER ?? checked.log.user,
    },
    restartDelay: variables.MCP_RESTART_DELAY ?? checked.restartDelay,
    liveReload: variables.MCP_LIVE_RELOAD ?? checked.liveReload,
    warnings: options.warnings ?? [],
  }
}

function checkConfig(config: Config | UntypedConfig, source: Source): CheckedConfig {
  const result = configSchema.safeParse(config)
  if (result.success) return result.data
  const lines = faultsOf(result.error).map(({ path, what }) => complain(source, path, what))
  throw new ProxyError('ERR_PROXY_CONFIG', lines.join('\n'))
}

function listOf(checked: CheckedConfig, source: Source): ServerList {
  const entries = Object.entries(checked.mcpServers ?? {})
  return { root: 'mcpServers', entries, strict: true, source, inputs: new Map() }
}

function baseUrlOf(checked: CheckedConfig, variables: Variables, source: Source): string | undefined {
  const insecure = variables.MCP_INSECURE ?? checked.insecure
  if (variables.MCP_BASE_URL !== undefined) return publicOrigin(variables.MCP_BASE_URL, 'MCP_BASE_URL', insecure)
  if (checked.baseUrl === undefined) return undefined
  return publicOrigin(checked.baseUrl, complain(source, ['baseUrl'], '').replace(/: $/, ''), insecure)
}

function mcpPathOf(prefix: string | undefined): string {
  const inner = prefix?.replace(/^\/+|\/+$/g, '')
  return inner === undefined ? '/mcp' : `/${inner}/mcp`
}

function secretOf(variables: Variables, typedIn: string): string | undefined {
  if (variables.MCP_SECRET_FILE === undefined) return variables.MCP_SECRET
  const file = resolve(typedIn, variables.MCP_SECRET_FILE)
  const secret = readText(file, 'MCP_SECRET_FILE').trim()
  if (secret === '') throw new ProxyError('ERR_PROXY_CONFIG', `MCP_SECRET_FILE: ${file} is empty`)
  return secret
}

function pluginsOf(listed: readonly PluginSpec[] | undefined, provider: Variables['MCP_AUTH_PROVIDER']): PluginSpec[] {
  const plugins = [...(listed ?? DEFAULT_PLUGINS)]
  const names = new Set(plugins.map(nameOf))
  const wanted = provider === undefined ? [] : AUTH_PLUGINS[provider]
  return [...plugins, ...wanted.filter((name) => !names.has(name))]
}

function authPluginOf(provider: Variables['MCP_AUTH_PROVIDER']): string | undefined {
  return provider === undefined ? undefined : (AUTH_PLUGINS[provider][0] ?? 'none')
}

/** By name, since nothing is loaded yet: the kernel refuses an exposed address when no such plugin fills `auth` in the end. */
function isAuthName(name: string): boolean {
  return /(?:^|[/-])auth-/.test(name)
}

function nameOf(plugin: PluginSpec): string {
  if (typeof plugin === 'string') return plugin
  return 'setup' in plugin ? plugin.name : plugin[0]
}
