import { z } from 'zod'
import { definePlugin, ProxyError } from '../../core/index.ts'
import type { Plugin } from '../../core/index.ts'
import { createLiveReload } from './live.ts'
import type { Strategy } from './live.ts'
import { restart } from './restart.ts'

const optionsSchema = z.strictObject({
  delays: z.array(z.number().nonnegative()).min(1).optional(),
  limit: z.int().nonnegative().optional(),
  healthyAfter: z.number().nonnegative().optional(),
  strategy: z.enum(['apply', 'restart']).optional(),
  debounce: z.number().nonnegative().optional(),
})

/** Options of `reload`; times in milliseconds. */
export interface ReloadOptions {
  /** Before each restart in a row; the last one repeats. Default: doubling from `restartDelay` (1 s) up to 30 s. */
  readonly delays?: readonly number[] | undefined
  /** Restarts in a row before giving up. Default: 10. */
  readonly limit?: number | undefined
  /** A worker that ran this long is well: the count begins anew. Default: 60 s. */
  readonly healthyAfter?: number | undefined
  /**
   * What becomes of a change in the configuration: `apply` (default) takes over servers in the running process and starts anew for
   * anything else; `restart` starts anew for every change.
   */
  readonly strategy?: Strategy | undefined
  /** How long edited files must rest before they are read. Default: 1 s. */
  readonly debounce?: number | undefined
}

/**
 * Supervises: the proxy runs in a child process that is started again when it crashes or asks for it (exit code 42). And takes over an
 * edited configuration: as soon as it is edited with `MCP_LIVE_RELOAD`, and on SIGHUP.
 * Throws ERR_PROXY_CONFIG for an option it does not know.
 */
export default function reload(options: ReloadOptions = {}): Plugin {
  const checked = optionsSchema.safeParse(options)
  if (!checked.success) {
    throw new ProxyError('ERR_PROXY_CONFIG', `reload: ${z.prettifyError(checked.error).replaceAll('\n', ' ')}`)
  }
  const { delays, limit = 10, healthyAfter = 60_000, strategy = 'apply', debounce = 1000 } = checked.data
  return definePlugin({
    name: 'reload',
    apiVersion: 1,
    options: checked.data,
    setup(context) {
      if (!context.serving) return
      const live = createLiveReload(context, { strategy, debounce })
      if (context.config.liveReload) live.watch()
      return { hooks: { reload: live.now, close: live.end } }
    },
    supervise: (run) => restart(run, { delays, limit, healthyAfter }),
  })
}
