import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { loadConfig } from '../../../core/config/load.ts'
import type { LoadOptions } from '../../../core/config/load.ts'
import type { ResolvedConfig } from '../../../core/config/resolved.ts'

/** A folder of its own with these files, removed after the test. */
export function folder(files: Readonly<Record<string, string>> = {}): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'config-')))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return path
}

/** Loads from a folder with an empty environment, unless `options` brings one. */
export function load(cwd: string, options: Partial<LoadOptions> = {}): Promise<ResolvedConfig> {
  return loadConfig({ cwd, env: {}, wait: () => Promise.reject(new Error('waited')), ...options })
}

/** The message that loading fails with; the error must be one of configuration. */
export async function failure(cwd: string, options: Partial<LoadOptions> = {}): Promise<string> {
  try {
    await load(cwd, options)
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_PROXY_CONFIG') throw error
    return error.message
  }
  throw new Error('loaded without a complaint')
}

/** A Claude-format file with these entries. */
export function servers(entries: unknown): string {
  return JSON.stringify({ mcpServers: entries }, undefined, 2)
}
