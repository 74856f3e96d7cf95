import { createKernel, resolveConfig } from '../core/index.ts'
import type { Config, Contribution, Kernel, Plugin, PluginContext, UntypedConfig } from '../core/index.ts'
import { captureLog, type LogLine } from './log.ts'
import { openDataFolder } from './proxy.ts'

/** A plugin that was set up in a real kernel, and what it was given. */
export interface OpenPlugin {
  readonly kernel: Kernel
  /** What its `setup` has returned. */
  readonly contribution: Contribution
  readonly context: PluginContext
  readonly lines: readonly LogLine[]
  /** Everything logged so far, at every level. */
  log(): string
  close(): Promise<void>
}

export interface OpenPluginOptions {
  /** Everything else of the configuration; its `plugins` are set up before, `storage-fs` after it where nobody fills `storage`. */
  readonly config?: Config | UntypedConfig
  /** Where plugins and servers are looked up; default: the working directory. */
  readonly rootDir?: string
  /** The environment that plugins see; default: an empty one. */
  readonly env?: Readonly<Record<string, string>>
  /** False: as for a command of the command line. Default: true. */
  readonly serving?: boolean
}

/** Sets a plugin up in a kernel without a port, with a data folder of its own. Rejects with what its set-up threw. */
export async function openPlugin(
  plugin: Plugin,
  { config = {}, rootDir = process.cwd(), env = {}, serving = true }: OpenPluginOptions = {},
): Promise<OpenPlugin> {
  const folder = await openDataFolder(config.dataDir)
  const { logger, lines, text } = captureLog()
  let given: PluginContext | undefined
  let contribution: Contribution = {}
  const seen: Plugin = {
    ...plugin,
    async setup(context) {
      given = context
      return (contribution = (await plugin.setup(context)) ?? {})
    },
  }
  try {
    const all = { ...config, plugins: [...(config.plugins ?? []), seen], dataDir: folder.path }
    const kernel = await createKernel(resolveConfig(all, { rootDir, env }), { logger, serving })
    if (given === undefined) throw new Error(`plugin "${plugin.name}" was not set up`)
    return {
      kernel,
      contribution,
      context: given,
      lines,
      log: text,
      async close() {
        await kernel.close()
        await folder.remove()
      },
    }
  } catch (error) {
    await folder.remove()
    throw error
  }
}
