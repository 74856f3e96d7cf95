import { join, resolve } from 'node:path'
import { pathVariableOf, type ResolvedConfig } from '../../core/index.ts'

/** Where users.json is: `MCP_USERS_PATH`, else the option `file` (relative to the main file), else in the data folder. */
export function usersFileOf(
  config: Pick<ResolvedConfig, 'env' | 'typedIn' | 'rootDir' | 'dataDir'>,
  file?: string,
): string {
  const named = file === undefined ? join(config.dataDir, 'users.json') : resolve(config.rootDir, file)
  return pathVariableOf(config, 'MCP_USERS_PATH') ?? named
}
