import type { ConsolaInstance } from 'consola'
import type { AccessPolicy, AuthProvider, Permissions, Principal } from './auth.ts'
import type { ConfigChange } from './config/change.ts'
import type { ResolvedConfig, ServerConfig } from './config/resolved.ts'
import type { Hooks } from './hooks.ts'
import type { Keys } from './keys.ts'
import type { Middleware } from './middleware.ts'
import type { StorageDriver, Store } from './storage.ts'
import type { TransportAdapter } from './transport.ts'
import type { JsonValue } from './wire/jsonrpc.ts'

export type Awaitable<T> = T | PromiseLike<T>

/** A plugin: what `setup` returns is all it adds. */
export interface Plugin {
  readonly name: string
  readonly apiVersion?: 1
  /** What the plugin was made with; a reload compares it. */
  readonly options?: JsonValue
  /** Runs in the order of the configuration, without network. A throw ends the start. */
  setup(context: PluginContext): Awaitable<Contribution | void>
  /** Runs in the parent process only: calls `run.start()` as often as it sees fit and resolves the final exit code. */
  supervise?(run: Run): Promise<number>
}

/** What a plugin adds, slot by slot. `access` and `storage` take one plugin each. */
export interface Contribution {
  readonly auth?: AuthProvider
  readonly access?: AccessPolicy
  readonly storage?: StorageDriver
  readonly transports?: readonly TransportAdapter[]
  readonly middleware?: Middleware
  readonly routes?: readonly Route[]
  readonly hooks?: Partial<Hooks>
  readonly commands?: readonly Command[]
  /** Closes what `setup` opened: in reverse order, also after another plugin failed. */
  dispose?(): Awaitable<void>
}

/** The configuration as its files say now. */
export interface NextConfig {
  readonly servers: readonly ServerConfig[]
  /** Files it was read from, and those that change it when they are edited or appear. */
  readonly files: readonly string[]
  readonly watchFiles: readonly string[]
  /** Things to say that stop nothing. */
  readonly warnings: readonly string[]
  /** How it differs from the one that runs. */
  readonly change: ConfigChange
}

/** An HTTP route beside `/mcp`. */
export interface Route {
  /** Absent: every method. */
  readonly method?: string
  /** A path, with rou3 patterns (`/files/:id`). */
  readonly path: string
  /**
   * Which web pages may use it. `known` (default): this machine's, Claude's and those of `MCP_ALLOWED_ORIGINS`; any other is
   * refused. `any`: every page may read the answer (CORS `*`, without credentials). `none`: no page may read it, and
   * whether one may send to it is for the handler to decide.
   */
  readonly cors?: 'known' | 'any' | 'none'
  handler(request: Request, from: Remote): Awaitable<Response>
}

/** Where a request came from. */
export interface Remote {
  /** IP address of the client: behind a trusted proxy what that says (`X-Forwarded-For`), else the peer; absent without a network. */
  readonly address?: string
}

/** A word of the command line: runs after set-up, without a listener; resolves the exit code. */
export interface Command {
  readonly name: string
  readonly description: string
  run(args: readonly string[]): Promise<number>
}

/** A plugin's own view of the kernel; safe to destructure. */
export interface PluginContext {
  readonly config: ResolvedConfig
  /** Tagged with the plugin's name. */
  readonly logger: ConsolaInstance
  /** Records of this plugin alone. Usable once every plugin is set up. */
  readonly storage: Store
  readonly keys: Keys
  /** Aborted when the kernel closes. */
  readonly signal: AbortSignal
  /** False for a command of the command line: nothing listens, nothing is watched, and only the command has something to say. */
  readonly serving: boolean
  /** Ends the process in order, with this exit code. */
  readonly exit: (code: number, reason: string) => void
  /**
   * Reads the configuration anew, in a process of its own: a module once loaded is not read again. Plugins are set up there as well,
   * but nothing is connected. Rejects `ProxyError` where it could not be started with, and after 30 s.
   */
  readonly evaluate: () => Promise<NextConfig>
  /**
   * Takes over the servers of an evaluated configuration, and nothing else of it: only those that differ are stopped or started,
   * and calls under way on them end first (60 s at most). Rejects when the kernel closes.
   */
  readonly apply: (next: NextConfig) => Promise<void>
  /**
   * Calls `on` after the file at `path` has changed, appeared or gone, at most 1 s later; until the kernel closes. Changes
   * that come together may be told as one.
   */
  readonly watch: (path: string, on: () => void) => void
  /** What the slot `access` says of a principal; with nobody in it everybody may do everything. Usable once every plugin is set up. */
  readonly permissions: (principal: Principal) => Awaitable<Permissions | undefined>
  /** Looks again at who has open streams, and closes those of logins that have ended. */
  readonly recheck: () => void
  /**
   * For a plugin that fills `access`: somebody may do less, more or nothing from now on. Their open streams are closed, and
   * providers end the logins of whom it refuses (`AuthProvider.review`).
   */
  readonly permissionsChanged: () => void
  /** How a user appears in the log: e-mail, or with `MCP_LOG_USER=hash` a pseudonym. */
  readonly userLabel: (user: Pick<Principal, 'id' | 'email'>) => string
}

/** How a worker ended. */
export interface WorkerEnd {
  /** Exit code, or 128 + n for signal n. */
  readonly code: number
  /** How long it ran, in milliseconds. */
  readonly ranFor: number
}

/** What a supervising plugin is given. */
export interface Run {
  readonly logger: ConsolaInstance
  readonly config: ResolvedConfig
  /** Starts a worker and resolves when it has ended and its process groups are gone. One at a time. */
  start(): Promise<WorkerEnd>
  /** Aborted when the parent was told to end: start no more. */
  readonly signal: AbortSignal
}

/** Names a plugin in a configuration: by value, by name, or by name with options. */
export type PluginSpec = Plugin | string | readonly [name: string, options: JsonValue]

/** Types a plugin; returns it as it is. */
export function definePlugin(plugin: Plugin): Plugin {
  return plugin
}
