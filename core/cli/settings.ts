import type { ConsolaInstance } from 'consola'
import type { Flags } from '../config/env.ts'
import { loadConfig } from '../config/load.ts'
import type { ResolvedConfig } from '../config/resolved.ts'
import { createLogger } from '../logger.ts'
import type { Options } from './args.ts'

/** What every command begins with. */
export interface Settings {
  readonly config: ResolvedConfig
  readonly logger: ConsolaInstance
}

/**
 * Loads the configuration as environment and flags say, and makes the log that goes with it. `.env` is added to `env`:
 * a supervisor passes a copy, else its worker would take old values of an edited `.env` for the environment.
 * Throws ERR_PROXY_CONFIG.
 */
export async function loadSettings(options: Options, env: NodeJS.ProcessEnv): Promise<Settings> {
  const config = await loadConfig({
    cwd: process.cwd(),
    env,
    file: options.config,
    overrides: flagsOf(options),
    onRetry: (message) => void process.stderr.write(`mcp-proxy-server: ${message}\n`),
  })
  return { config, logger: createLogger(config.log) }
}

function flagsOf({ host, port, debug }: Options): Flags {
  return { host, port, logLevel: debug ? 'debug' : undefined }
}
