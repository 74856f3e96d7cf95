import type { PluginSpec } from '../plugin.ts'
import type { JsonObject } from '../wire/jsonrpc.ts'
import type { LogLevelName, ResolvedConfig, ServerSettings } from './resolved.ts'

/** A program of this machine, as in Claude's files. */
export interface CommandEntry {
  readonly type?: 'stdio'
  readonly command: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** A server elsewhere, as in Claude's files. */
export interface UrlEntry {
  readonly type?: 'http' | 'streamable-http' | 'streamableHttp' | 'sse'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * What may stand under `mcpServers`. A plugin with entries of its own adds a member by declaration merging:
 * `declare module 'mcp-proxy-server' { interface ServerEntries { carrier: { type: 'carrier-pigeon'; loft: string } } }`.
 */
export interface ServerEntries {
  command: CommandEntry
  url: UrlEntry
}

/** What the proxy itself reads of a server entry, as written by users. Times in milliseconds. */
export interface ServerOptions extends Partial<Omit<ServerSettings, 'prefix' | 'tools'>> {
  /** Put before every name of this server; `false`: bare names; `true`: the server's own name. */
  readonly prefix?: string | boolean
  /** Globs (`*`) over the server's own tool names. */
  readonly tools?: { readonly include?: readonly string[]; readonly exclude?: readonly string[] }
}

/** One entry of `mcpServers`: the keys of its transport and `ServerOptions`. */
export type ServerEntry = ServerEntries[keyof ServerEntries] & ServerOptions

/** What users write in `mcp-proxy.config.ts`. Everything is optional. Times in milliseconds, sizes in bytes. */
export interface Config {
  /** Replaces `DEFAULT_PLUGINS`. */
  readonly plugins?: readonly PluginSpec[]
  readonly mcpServers?: Readonly<Record<string, ServerEntry>>
  /** `false`: bare names for every server that sets no `prefix` of its own. */
  readonly prefix?: boolean
  /** Longest exposed name, 16 to 128. */
  readonly nameLimit?: number
  readonly host?: string
  /** 0 lets the system choose. */
  readonly port?: number
  /** Public origin (`https://mcp.example.com`), without a path. */
  readonly baseUrl?: string
  /** `x` serves `/x/mcp`. */
  readonly pathPrefix?: string
  /** Relative to the folder of the configuration. */
  readonly dataDir?: string
  /** Permits a public address although nothing authenticates callers; `'local'`: as long as no name but this machine's is served. */
  readonly allowUnauthenticated?: boolean | 'local'
  /** Permits a `baseUrl` with http beyond this machine. */
  readonly insecure?: boolean
  readonly allowedHosts?: readonly string[]
  readonly allowedOrigins?: readonly string[]
  /** Addresses or CIDR ranges whose `X-Forwarded-For` counts. */
  readonly trustedProxies?: readonly string[]
  /** Comma-separated key ring, the first key is active. Better kept in `MCP_SECRET` or `MCP_SECRET_FILE`. */
  readonly secret?: string
  readonly limits?: Partial<ResolvedConfig['limits']>
  readonly log?: Partial<{
    readonly level: LogLevelName
    readonly format: 'pretty' | 'json'
    readonly user: 'email' | 'hash'
  }>
  /** Delay after the first crash. */
  readonly restartDelay?: number
  /** Watch the configuration and apply its changes. */
  readonly liveReload?: boolean
}

/** A configuration whose entries nobody has typed: read from elsewhere, or for transports that add no `ServerEntries`. */
export interface UntypedConfig extends Omit<Config, 'mcpServers'> {
  readonly mcpServers?: Readonly<Record<string, JsonObject>>
}

/** Types a configuration; returns it as it is. */
export function defineConfig(config: Config): Config {
  return config
}
