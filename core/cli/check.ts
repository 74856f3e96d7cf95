import type { ResolvedConfig } from '../config/resolved.ts'
import { createKernel } from '../kernel.ts'
import type { Kernel } from '../kernel.ts'
import { killOwnGroups } from '../process-groups.ts'
import type { UpstreamStatus } from '../status.ts'
import { createEnd } from './end.ts'
import { EXIT, signalCode } from './exit.ts'
import type { Settings } from './settings.ts'
import { tableOf } from './table.ts'
import { isColourful } from './text.ts'

/**
 * Connects to each server once, lazy ones too, and prints the table; never listens. Resolves 0 when every server that is
 * not disabled is up, else 1. Throws what `createKernel` throws.
 */
export async function check({ config, logger }: Settings): Promise<number> {
  process.on('exit', () => killOwnGroups(config.dataDir))
  for (const warning of config.warnings) logger.warn(warning)
  const end = createEnd({ logger, supervised: false })
  const kernel = await createKernel(eager(config), { logger, exit: end.ask })
  try {
    const settled = await Promise.race([settle(kernel), end.asked])
    if (typeof settled === 'number') return settled === EXIT.ok ? signalCode('SIGINT') : settled
    print(settled)
    return settled.every(({ state }) => state === 'up' || state === 'disabled') ? EXIT.ok : EXIT.failed
  } finally {
    await kernel.close()
  }
}

/** The first outcome of each server counts: while slow ones are waited for, quick ones may have tried again. */
async function settle(kernel: Kernel): Promise<readonly UpstreamStatus[]> {
  const outcomes = new Map<string, UpstreamStatus>()
  const off = kernel.on((status) => {
    if (status.state !== 'connecting' && !outcomes.has(status.name)) outcomes.set(status.name, status)
  })
  kernel.start()
  await kernel.ready
  off()
  return kernel.upstreams.map((status) => outcomes.get(status.name) ?? status)
}

function eager(config: ResolvedConfig): ResolvedConfig {
  const servers = config.servers.map((server) => ({ ...server, settings: { ...server.settings, lazy: false } }))
  return { ...config, servers }
}

function print(upstreams: readonly UpstreamStatus[]): void {
  const { stdout } = process
  const width = stdout.isTTY ? stdout.columns || 80 : 160
  const lines =
    upstreams.length === 0 ? ['No servers configured.'] : tableOf(upstreams, { width, colour: isColourful(stdout) })
  stdout.write(`${lines.join('\n')}\n`)
}
