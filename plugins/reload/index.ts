import { z } from 'zod'
import { definePlugin, ProxyError } from '../../core/index.ts'
import type { Plugin } from '../../core/index.ts'
import { restart } from './restart.ts'

const optionsSchema = z.strictObject({
  delays: z.array(z.number().nonnegative()).min(1).optional(),
  limit: z.int().nonnegative().optional(),
  healthyAfter: z.number().nonnegative().optional(),
})

/** Options of `reload`; times in milliseconds. */
export interface ReloadOptions {
  /** Before each restart in a row; the last one repeats. Default: doubling from `restartDelay` (1 s) up to 30 s. */
  readonly delays?: readonly number[] | undefined
  /** Restarts in a row before giving up. Default: 10. */
  readonly limit?: number | undefined
  /** A worker that ran this long is well: the count begins anew. Default: 60 s. */
  readonly healthyAfter?: number | undefined
}

/**
 * Supervises: the proxy runs in a child process that is started again when it crashes or asks for it (exit code 42).
 * Throws ERR_PROXY_CONFIG for an option it does not know.
 */
export default function reload(options: ReloadOptions = {}): Plugin {
  const checked = optionsSchema.safeParse(options)
  if (!checked.success) {
    throw new ProxyError('ERR_PROXY_CONFIG', `reload: ${z.prettifyError(checked.error).replaceAll('\n', ' ')}`)
  }
  const { delays, limit = 10, healthyAfter = 60_000 } = checked.data
  return definePlugin({
    name: 'reload',
    apiVersion: 1,
    options: checked.data,
    setup: () => undefined,
    supervise: (run) => restart(run, { delays, limit, healthyAfter }),
  })
}
