import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { existsSync } from 'node:fs'
import { reasonOf } from '../../core/index.ts'

/** What a server entry of this transport says. */
export interface StdioEntry {
  readonly type?: 'stdio' | undefined
  readonly command: string
  readonly args?: readonly string[] | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
}

/** Package runners that are batch files on Windows, which Node starts through the shell only. */
const BATCH = /\.(?:cmd|bat)$|^(?:npm|npx|pnpm|pnpx|yarn|yarnpkg|bunx)$/i

/** Starts the server in a process group of its own; throws, or lets the child emit `error`, where it cannot. */
export function spawnServer(entry: StdioEntry, env: Record<string, string>): ChildProcessWithoutNullStreams {
  const windows = process.platform === 'win32'
  const shell = windows && BATCH.test(entry.command)
  const args = entry.args ?? []
  return spawn(entry.command, shell ? args.map(quoteForCmd) : [...args], {
    detached: !windows,
    shell,
    windowsHide: true,
    stdio: 'pipe',
    env,
    ...(entry.cwd !== undefined && { cwd: entry.cwd }),
  })
}

/** Why a server could not be started, and what to do about it. */
export function startFailure(entry: StdioEntry, server: string, error: unknown): Error {
  return new Error(`transport-stdio: ${explain(entry, server, error)}`, { cause: error })
}

function explain({ command, cwd }: StdioEntry, server: string, error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  if (cwd !== undefined && !existsSync(cwd)) return `folder "${cwd}" not found (server "${server}"); check "cwd"`
  if (code === 'ENOENT') return `command "${command}" not found (server "${server}"); check "command" or PATH`
  if (code === 'EACCES') return `command "${command}" may not be run (server "${server}"); check its permissions`
  return `command "${command}" could not be started (server "${server}"): ${reasonOf(error)}`
}

function quoteForCmd(argument: string): string {
  const quoted = `"${argument.replaceAll(/(\\*)"/g, String.raw`$1$1\"`).replace(/(\\+)$/, '$1$1')}"`
  return quoted.replaceAll(/[()%!^"<>&|;, ]/g, '^$&')
}
