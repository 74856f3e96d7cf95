import type { PluginContext, Plugin } from '../../../core/plugin.ts'
import type { TransportAdapter } from '../../../core/transport.ts'

/** The transports of a plugin that asks nothing of the kernel while it is set up. */
export async function adaptersOf(...plugins: readonly Plugin[]): Promise<TransportAdapter[]> {
  const context = new Proxy({} as PluginContext, {
    get: (_, key) => {
      throw new Error(`set-up read context.${String(key)}`)
    },
  })
  const contributions = await Promise.all(plugins.map(async (plugin) => plugin.setup(context)))
  return contributions.flatMap((contribution) => contribution?.transports ?? [])
}
