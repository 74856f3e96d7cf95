import type { PluginSpec } from '../plugin.ts'
import type { JsonObject } from '../wire/jsonrpc.ts'

export type LogLevelName = 'error' | 'warn' | 'info' | 'debug' | 'trace'

export type Isolation = 'auto' | 'shared' | 'user' | 'session'

/** What the proxy itself reads of a server entry; the rest belongs to the transport. Times in milliseconds. */
export interface ServerSettings {
  readonly disabled: boolean
  readonly prefix: string | false
  readonly tools: { readonly include: readonly string[]; readonly exclude: readonly string[] }
  /** Absent: `auto` for stdio, `user` for HTTP. */
  readonly isolate?: Isolation
  readonly lazy: boolean
  readonly idleStop: number
  readonly connectTimeout: number
  /** Without a sign of life; progress resets it. */
  readonly requestTimeout: number
  readonly protocol: 'auto' | 'legacy' | 'modern'
}

/** One entry of `mcpServers`, before its transport has looked at it. */
export interface ServerConfig {
  readonly name: string
  readonly settings: ServerSettings
  /** Keys for the transport, `type` among them where given; variables expanded. */
  readonly entry: JsonObject
  /** Whether an unknown key makes the server invalid (main file) or is only warned about (Claude JSON). */
  readonly strict: boolean
  /** `file:line` of the entry, for messages. */
  readonly source: string
  /** The key the entry stands under, for messages; default: `mcpServers`. */
  readonly root?: 'mcpServers' | 'servers'
  /** Line of each key of the entry in the file of `source`, where known; for messages. */
  readonly lines?: Readonly<Record<string, number>>
  /** Why the server is invalid, found while loading. */
  readonly problem?: string
}

/** The whole configuration, defaults filled in, nothing left to check. Times in milliseconds, sizes in bytes. */
export interface ResolvedConfig {
  /** Where relative plugin names are looked up: the folder of the main file. */
  readonly rootDir: string
  /** Where relative paths in variables start: the folder the command was typed in. */
  readonly typedIn: string
  /** The environment with `.env` in it; plugins read variables of their own here (`variableOf`). Holds secrets: never log it. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly dataDir: string
  /** Files this configuration was read from. */
  readonly files: readonly string[]
  /** Files that change it when they are edited, or appear: those it was read from, and those that were looked for. */
  readonly watchFiles: readonly string[]
  readonly host: string
  readonly port: number
  /** Public origin, no trailing slash. */
  readonly baseUrl: string
  /** Nobody has set `baseUrl`. */
  readonly baseUrlIsDefault: boolean
  /** `/mcp`, or `/<prefix>/mcp`. */
  readonly mcpPath: string
  readonly allowUnauthenticated: boolean | 'local'
  readonly allowedHosts: readonly string[]
  readonly allowedOrigins: readonly string[]
  readonly trustedProxies: readonly string[]
  /** Comma-separated key ring, or undefined: generated into the data folder. */
  readonly secret: string | undefined
  readonly plugins: readonly PluginSpec[]
  /** The one plugin that `MCP_AUTH_PROVIDER` lets fill `auth`; `none`: no plugin may; absent: the variable is not set. */
  readonly authPlugin?: string
  readonly servers: readonly ServerConfig[]
  /** Longest exposed name. */
  readonly nameLimit: number
  readonly limits: {
    readonly bodyBytes: number
    readonly messageBytes: number
    /** A whole request, whatever progress it makes. */
    readonly requestCeiling: number
    /** How long lists wait for servers on their first connect. */
    readonly firstListWait: number
    readonly sessionLife: number
  }
  readonly log: { readonly level: LogLevelName; readonly format: 'pretty' | 'json'; readonly user: 'email' | 'hash' }
  readonly restartDelay: number
  readonly liveReload: boolean
  /** Things to say at start that stop nothing. */
  readonly warnings: readonly string[]
}
