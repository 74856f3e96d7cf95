import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT } from '../../harness.ts'
import { until } from '../../e2e/support/until.ts'
import type { Scene } from '../scenario.ts'
import { readLog, type ProxyLog } from './log.ts'
import { freePort } from './ports.ts'
import { childrenOf, killGroup, lives, recordedLeaders } from './processes.ts'

/** `mcpServers` as they are written. */
export type Servers = Record<string, object>

export interface ProxyOptions {
  readonly servers: Servers
  /** Options of the plugin `reload`; its times in ms. */
  readonly reload?: object
  readonly limits?: object
  /** Adds the routes of `plugin.ts`. */
  readonly routes?: boolean
}

/** The real program in a process of its own: a supervisor and its worker, in a folder of its own. */
export interface Proxy {
  readonly url: string
  readonly origin: string
  readonly dataDir: string
  /** The file whose edits are watched. */
  readonly configFile: string
  readonly log: ProxyLog
  readonly supervisor: number
  /** The worker that runs now; `undefined`: there is none. */
  worker(): number | undefined
  /** Writes the main file anew, with these limits: nothing that a running process could take over. */
  editLimits(limits: object): void
  /** To the supervisor. */
  signal(name: NodeJS.Signals): void
}

/** How long (ms) the program may take until all its servers have settled, and how long to end. */
const START_LIMIT = 60_000
const END_LIMIT = 15_000

const PLUGINS = ['transport-stdio', 'transport-streamable', 'transport-sse', 'storage-fs']

/** Starts `core/cli.ts`, watching its configuration; resolves once it is ready. The scene ends it and removes its folder. */
export async function startProxy(scene: Scene, options: ProxyOptions): Promise<Proxy> {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-proxy-soak-'))
  scene.defer(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  const configFile = join(dir, 'mcp_config.json')
  const dataDir = join(dir, 'data')
  writeFileSync(configFile, JSON.stringify({ mcpServers: options.servers }, null, 2))
  const editLimits = (limits: object): void =>
    writeFileSync(join(dir, 'mcp-proxy.config.mjs'), mainFile({ ...options, limits: { ...options.limits, ...limits } }))
  editLimits({})
  const port = await freePort()
  const child = spawn(process.execPath, [join(ROOT, 'core/cli.ts')], {
    cwd: dir,
    env: environment(port),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const supervisor = child.pid
  if (supervisor === undefined) throw new Error(`${process.execPath} could not be started`)
  scene.defer(() => endProgram(child, dataDir))
  const log = readLog(child.stdout, child.stderr)
  await until(`the proxy is ready`, () => log.readies > 0 || child.exitCode !== null, START_LIMIT)
  if (child.exitCode !== null) throw new Error(`the proxy ended with ${child.exitCode}:\n${log.tail()}`)
  const origin = `http://127.0.0.1:${port}`
  return {
    url: `${origin}/mcp`,
    origin,
    dataDir,
    configFile,
    log,
    supervisor,
    editLimits,
    worker: () => childrenOf(supervisor).find(lives),
    signal: (name) => void child.kill(name),
  }
}

function mainFile({ reload = {}, limits = {}, routes = false }: ProxyOptions): string {
  const plugin = pathToFileURL(join(import.meta.dirname, 'plugin.ts')).href
  const plugins = JSON.stringify([...PLUGINS, ['reload', reload]]).slice(1, -1)
  return [
    ...(routes ? [`import soak from ${JSON.stringify(plugin)}`] : []),
    `export default { plugins: [${plugins}${routes ? ', soak()' : ''}], limits: ${JSON.stringify(limits)} }`,
    '',
  ].join('\n')
}

function environment(port: number): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    MCP_PORT: String(port),
    MCP_LIVE_RELOAD: '1',
    MCP_LOG_FORMAT: 'json',
  }
}

/** In order; what is left of it then – the program, its worker, its servers – is killed, each by its id. */
async function endProgram(child: ChildProcess, dataDir: string): Promise<void> {
  const workers = child.pid === undefined ? [] : childrenOf(child.pid)
  const leaders = recordedLeaders(dataDir)
  child.kill('SIGTERM')
  await until('the proxy has ended', () => child.exitCode !== null || child.signalCode !== null, END_LIMIT).catch(
    () => {},
  )
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  for (const pid of workers) if (lives(pid)) process.kill(pid, 'SIGKILL')
  for (const leader of leaders) if (lives(leader)) killGroup(leader)
}
