import type { ConsolaInstance } from 'consola'
import type { ResolvedConfig } from '../config/resolved.ts'
import { ProxyError } from '../errors.ts'
import type { Plugin } from '../plugin.ts'
import { createProcessGroups, reapGroups } from '../process-groups.ts'
import { resolvePlugins } from '../resolve.ts'
import { commit, version } from '../version.ts'
import type { Options } from './args.ts'
import { EVALUATION, evaluate, evaluateAnew } from './evaluate.ts'
import { endWithLauncher } from './launcher.ts'
import { loadSettings } from './settings.ts'
import { supervise } from './supervise.ts'
import type { Supervisor } from './supervise.ts'
import { serve } from './worker.ts'

/** Set for a worker by its supervisor; not for users. */
const WORKER = 'MCP_PROXY_WORKER'

/** Node waits for its own children alone; what they leave behind is a zombie until the container ends. */
const NO_INIT =
  'process 1 of a container should be an init, or zombies of ended servers gather: docker run --init, or tini before the command'

/** How this program was started: what a worker is started with as well. */
export interface Entry {
  readonly file: string
  readonly argv: readonly string[]
}

/**
 * Starts the proxy: as a supervisor where a plugin wants to be one (its worker comes back here), else serving in this
 * very process. Resolves the exit code; throws ERR_PROXY_CONFIG and ERR_PROXY_PLUGIN.
 */
export async function start(options: Options, entry: Entry): Promise<number> {
  const place = process.env[EVALUATION]
  if (place !== undefined) {
    delete process.env[EVALUATION]
    return evaluate(options, place)
  }
  const supervised = process.env[WORKER] !== undefined
  delete process.env[WORKER] // nothing that a worker starts is a worker
  // As it was before `.env`, or the main file while it is evaluated, adds to it: what is edited there must count anew.
  const env = { ...process.env }
  if (supervised) return serveHere()
  endWithLauncher(process.env)
  const { config, logger } = await loadSettings(options, { ...process.env })
  logger.info(`mcp-proxy-server ${version} (commit ${commit()})`)
  if (process.pid === 1) logger.warn(NO_INIT)
  await reapLeftovers(config, logger)
  const supervisor = await findSupervisor(config)
  if (supervisor === undefined) return serveHere()
  const worker = { file: entry.file, args: entry.argv, env: { ...env, [WORKER]: '1' } }
  return supervise(supervisor, { config, logger, worker })

  async function serveHere(): Promise<number> {
    const settings = await loadSettings(options, process.env)
    const { config, logger } = settings
    const processGroup = createProcessGroups(config.dataDir, logger).record
    return serve(settings, { supervised, evaluate: evaluateAnew({ entry, env, place: config, processGroup }) })
  }
}

/** Groups of a proxy that was killed together with its supervisor. */
async function reapLeftovers(config: ResolvedConfig, logger: ConsolaInstance): Promise<void> {
  const groups = await reapGroups(config.dataDir, { logger })
  if (groups > 0) logger.info(`ended ${groups} process group(s) left over from a killed proxy`)
}

async function findSupervisor(config: ResolvedConfig): Promise<Supervisor | undefined> {
  const [first, second] = (await resolvePlugins(config)).filter(isSupervisor)
  if (first !== undefined && second !== undefined) {
    const both = `"${first.name}" and "${second.name}"`
    throw new ProxyError('ERR_PROXY_PLUGIN', `plugins: ${both} both supervise; remove one of them from "plugins"`)
  }
  return first
}

function isSupervisor(plugin: Plugin): plugin is Plugin & Supervisor {
  return typeof plugin.supervise === 'function'
}
