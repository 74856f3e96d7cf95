import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadConfig as loadWithC12, setupDotenv } from 'c12'
import { ProxyError } from '../errors.ts'
import type { Config } from './define.ts'
import { readVariables } from './env.ts'
import type { Flags } from './env.ts'
import { evaluationFault, lacksExport } from './evaluation.ts'
import { parseServerFile } from './json.ts'
import { UnreadableError, errnoOf, readText } from './read.ts'
import { resolveConfig } from './resolve.ts'
import type { ResolvedConfig } from './resolved.ts'
import { NOWHERE, scriptSource } from './source.ts'
import type { Source } from './source.ts'

const MAIN_FILES = ['ts', 'mts', 'js', 'mjs'].map((ending) => `mcp-proxy.config.${ending}`)
const SERVER_FILE = 'mcp_config.json'
const DOTENV = '.env'
const LONGEST_DELAY = 30_000

export interface LoadOptions {
  /** Where the main file and `.env` are looked up. */
  readonly cwd: string
  /** What `.env` says and `env` does not is added to it: pass a copy where that must not be seen, or inherited by children. */
  readonly env: NodeJS.ProcessEnv
  /** `--config`: a main file, or a Claude-format JSON file. */
  readonly file?: string | undefined
  /** Flags of the command line. */
  readonly overrides?: Flags
  /** Told why a file will be read again, and when. */
  readonly onRetry?: (message: string) => void
  /** Waits between two tries, in milliseconds; replaced in tests. */
  readonly wait?: (delay: number) => Promise<unknown>
  /** Ends the waiting: the load rejects with an `AbortError`. */
  readonly signal?: AbortSignal
}

/**
 * Reads `.env`, the main file and the Claude-format file, and resolves them. Files that cannot be read for now are tried
 * again `MCP_MAX_RETRIES` times, after 1, 2, 4, 8… s. Throws `ERR_PROXY_CONFIG` naming file, line and path.
 * A main file that was edited is only seen by a fresh process: Node keeps the modules it has loaded.
 */
export async function loadConfig(options: LoadOptions): Promise<ResolvedConfig> {
  const wait = options.wait ?? ((delay: number) => sleep(delay, undefined, { signal: options.signal }))
  for (let tries = 1; ; tries++) {
    try {
      return await loadOnce(options)
    } catch (error) {
      if (!(error instanceof UnreadableError) || !error.passing) throw error
      const retries = readVariables(options.env).MCP_MAX_RETRIES ?? 3
      if (tries > retries)
        throw new ProxyError('ERR_PROXY_CONFIG', `${error.message} (tried ${tries} times)`, { cause: error })
      const delay = Math.min(1000 * 2 ** (tries - 1), LONGEST_DELAY)
      options.onRetry?.(`${error.message}; trying again in ${delay / 1000} s`)
      await wait(delay)
    }
  }
}

async function loadOnce(options: LoadOptions): Promise<ResolvedConfig> {
  const cwd = resolve(options.cwd)
  const dotenv = await readDotenv(cwd, options.env)
  const typedIn = resolve(cwd, options.env.INIT_CWD || '.')
  const named = nameFiles(options, typedIn)
  const mainFile = named.main ?? MAIN_FILES.map((name) => join(cwd, name)).find((file) => existsSync(file))
  const rootDir = mainFile === undefined ? cwd : dirname(mainFile)
  const main =
    mainFile === undefined ? undefined : await readMain(mainFile, named.main === undefined ? undefined : '--config')
  const serverFile = named.servers?.path ?? join(rootDir, SERVER_FILE)
  const servers = readServerFile(named.servers, serverFile)
  return resolveConfig(main?.config ?? {}, {
    rootDir,
    typedIn,
    env: options.env,
    ...(options.overrides === undefined ? {} : { flags: options.overrides }),
    source: main?.source ?? NOWHERE,
    ...(servers === undefined ? {} : { servers: servers.list }),
    files: [mainFile, servers?.list.source.file, dotenv].filter((file) => file !== undefined),
    watchFiles: [
      join(cwd, DOTENV),
      ...(named.main === undefined ? MAIN_FILES.map((name) => join(cwd, name)) : [named.main]),
      serverFile,
      ...secretFile(options.env, typedIn),
    ],
    warnings: [
      ...(servers?.warnings ?? []),
      ...replacedServers(main?.config, servers?.list.source.file, named.servers !== undefined),
      ...(mainFile === undefined && servers === undefined ? [howToAdd(rootDir)] : []),
    ],
  })
}

/** Values are taken as they stand: a `$` in a secret is no reference. Resolves the file, where there is one. */
async function readDotenv(cwd: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const file = join(cwd, DOTENV)
  const isThere = existsSync(file)
  try {
    await setupDotenv({ cwd, env, interpolate: false })
  } catch (error) {
    throw errnoOf(error) === undefined ? error : new UnreadableError(file, error)
  }
  return isThere ? file : undefined
}

interface NamedFile {
  readonly path: string
  /** What named it. */
  readonly by: string
}

function nameFiles(options: LoadOptions, typedIn: string): { main?: string; servers?: NamedFile } {
  const fromVariable = readVariables(options.env).MCP_CONFIG_PATH
  const servers =
    fromVariable === undefined ? undefined : { path: resolve(typedIn, fromVariable), by: 'MCP_CONFIG_PATH' }
  if (options.file === undefined) return servers === undefined ? {} : { servers }
  const path = resolve(typedIn, options.file)
  if (/\.jsonc?$/i.test(path)) return { servers: { path, by: '--config' } }
  if (!/\.[cm]?[jt]s$/i.test(path)) {
    throw new ProxyError('ERR_PROXY_CONFIG', `--config: ${path}: expected a .ts, .mts, .js, .mjs or .json file`)
  }
  return servers === undefined ? { main: path } : { main: path, servers }
}

async function readMain(file: string, name: string | undefined): Promise<{ config: Config; source: Source }> {
  const text = readText(file, name)
  if (lacksExport(text)) {
    throw new ProxyError('ERR_PROXY_CONFIG', `${file}:1: no default export; write "export default defineConfig({ … })"`)
  }
  return { config: await evaluate(file, text), source: scriptSource(file, text) }
}

async function evaluate(file: string, text: string): Promise<Config> {
  try {
    const { config } = await loadWithC12<Config>({
      cwd: dirname(file),
      configFile: file,
      // One file and nothing else: no rc files, no package.json, no remote layers, no `$production` sections.
      rcFile: false,
      globalRc: false,
      packageJson: false,
      extend: false,
      giget: false,
      envName: false,
      dotenv: false,
      // c12's own merger copies, joins arrays and drops null: what was written must arrive as it is.
      merger: (...layers) => layers.find((layer) => layer !== undefined && layer !== null) ?? {},
      // Node's own loader where it reads TypeScript: jiti would give the configuration a second copy of this program.
      jitiOptions: { tryNative: true },
    })
    return config
  } catch (error) {
    throw evaluationFault(file, text, error)
  }
}

function readServerFile(named: NamedFile | undefined, file: string): ReturnType<typeof parseServerFile> | undefined {
  if (named !== undefined) return parseServerFile(named.path, readText(named.path, named.by))
  return existsSync(file) ? parseServerFile(file, readText(file)) : undefined
}

function secretFile(env: NodeJS.ProcessEnv, typedIn: string): string[] {
  const named = readVariables(env).MCP_SECRET_FILE
  return named === undefined ? [] : [resolve(typedIn, named)]
}

/** A file that was named replaces the main file's servers on purpose; one that merely lies there may surprise. */
function replacedServers(config: Config | undefined, file: string | undefined, named: boolean): string[] {
  const count = Object.keys(config?.mcpServers ?? {}).length
  if (named || file === undefined || count === 0) return []
  return [`${file}: replaces the ${count} servers of the main file; remove one of the two`]
}

function howToAdd(dir: string): string {
  return (
    `no servers configured: write ${join(dir, 'mcp-proxy.config.ts')} or ${join(dir, SERVER_FILE)} ` +
    '({ "mcpServers": { "time": { "command": "uvx", "args": ["mcp-server-time"] } } }), or name such a JSON file in MCP_CONFIG_PATH'
  )
}
