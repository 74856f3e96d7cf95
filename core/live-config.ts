import type { ConsolaInstance } from 'consola'
import { sleep } from './backoff.ts'
import { changeOf, type ConfigSnapshot } from './config/change.ts'
import type { ServerConfig } from './config/resolved.ts'
import { ProxyError } from './errors.ts'
import type { HookRunner } from './hooks.ts'
import type { NextConfig } from './plugin.ts'

/** Reads the configuration in a process of its own, and ends that when `signal` aborts. Rejects `ProxyError`. */
export type Evaluate = (signal: AbortSignal) => Promise<ConfigSnapshot>

/** The configuration of a running kernel, which may be read anew and, as to its servers, exchanged. */
export interface LiveConfig {
  /** The servers of now. */
  readonly servers: readonly ServerConfig[]
  evaluate(): Promise<NextConfig>
  /** One at a time. */
  apply(next: NextConfig): Promise<void>
  /** Ends an evaluation; nothing is taken over any more. */
  close(): void
}

export interface LiveConfigOptions {
  /** What was started. */
  readonly running: ConfigSnapshot
  /** Absent: the kernel was not made from files. */
  readonly evaluate?: Evaluate | undefined
  readonly hooks: HookRunner
  readonly logger: ConsolaInstance
  /** Exchanges the servers. */
  exchange(servers: readonly ServerConfig[]): Promise<void>
}

/** How long (ms) a wish to read the configuration anew waits for the set-up of all plugins. */
const SET_UP = 10_000

export function createLiveConfig(options: LiveConfigOptions): LiveConfig {
  const { hooks, logger } = options
  const end = new AbortController()
  const { signal } = end
  let current = options.running
  let queue = Promise.resolve()

  async function exchange({ servers, files, watchFiles, warnings }: NextConfig): Promise<void> {
    signal.throwIfAborted()
    const known = new Set(current.warnings)
    for (const warning of warnings) if (!known.has(warning)) logger.warn(warning)
    await options.exchange(servers)
    const next = { servers, rest: current.rest, files, watchFiles, warnings }
    const { added, removed, changed } = changeOf(current, next)
    current = next
    if (added.length + removed.length + changed.length > 0) hooks.run('config:change', { added, removed, changed })
  }

  return {
    get servers() {
      return current.servers
    },
    async evaluate() {
      if (options.evaluate === undefined) {
        throw new ProxyError('ERR_PROXY_CONFIG', 'this proxy was not started from files: there is nothing to read anew')
      }
      const next = await options.evaluate(signal)
      const { servers, files, watchFiles, warnings } = next
      return { servers, files, watchFiles, warnings, change: changeOf(current, next) }
    },
    apply(evaluated) {
      const applied = queue.then(() => exchange(evaluated))
      queue = applied.catch(() => {})
      return applied
    },
    close: () => end.abort(),
  }
}

/** An edit may come while other plugins are set up; a plugin that waits for this in its own set-up would wait for ever. */
export async function whenSetUp(live: Promise<LiveConfig>): Promise<LiveConfig> {
  const done = new AbortController()
  const found = await Promise.race([live, sleep(SET_UP, done.signal)])
  done.abort()
  if (found !== undefined) return found
  throw new ProxyError('ERR_PROXY_PLUGIN', 'plugins are still being set up; wait for the hook "ready"')
}
