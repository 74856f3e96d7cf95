import { resolve } from 'node:path'
import type { ResolvedConfig } from './resolved.ts'

/** A variable of a plugin's own, from the environment or `.env`; an empty one counts as not set. */
export function variableOf({ env }: Pick<ResolvedConfig, 'env'>, name: string): string | undefined {
  const value = env[name]?.trim()
  return value === '' ? undefined : value
}

/** A variable that names a file: relative ones start from the folder the command was typed in. */
export function pathVariableOf(config: Pick<ResolvedConfig, 'env' | 'typedIn'>, name: string): string | undefined {
  const value = variableOf(config, name)
  return value === undefined ? undefined : resolve(config.typedIn, value)
}
