import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../../../e2e/support/until.ts'
import { ROOT, servers as known } from '../../../harness.ts'
import type { Scene } from '../../scenario.ts'
import { readLog, type ProxyLog } from '../../support/log.ts'
import { freePort } from '../../support/ports.ts'
import { childrenOf, killGroup, lives, NAME_VARIABLE, recordedLeaders } from '../../support/processes.ts'

/** The two servers every drill has. */
export const SERVERS = {
  everything: { ...known.everything, env: { [NAME_VARIABLE]: 'everything' } },
  memory: { ...known.memory, env: { [NAME_VARIABLE]: 'memory' } },
}

export interface ProgramOptions {
  /** Where it is started; its configuration is there. */
  readonly dir: string
  readonly dataDir: string
  /** Default: a free one. */
  readonly port?: number
  /** `mcpServers`; default `SERVERS`. */
  readonly servers?: Readonly<Record<string, object>>
  readonly env?: Readonly<Record<string, string>>
  /** Program and arguments that start what follows them. */
  readonly wrap?: readonly string[]
  /** The user it runs as. */
  readonly uid?: number
}

/** The real program in a process of its own: a supervisor and its worker. */
export interface Program {
  readonly port: number
  /** Base of all its addresses, by the name that tokens are made for. */
  readonly origin: string
  readonly url: string
  readonly dataDir: string
  readonly log: ProxyLog
  readonly supervisor: number
  /** The worker that runs now; `undefined`: there is none. */
  worker(): number | undefined
  /** Resolves its exit code once it has ended, 128 + n for a signal. */
  readonly ended: Promise<number>
  /** Asks it to end and resolves its exit code; kills what is left after 15 s. Idempotent. */
  end(): Promise<number>
}

/** How long (ms) it may take until all its servers have settled, and to end. */
const START_LIMIT = 30_000
const END_LIMIT = 15_000

/** Not `/tmp`, which one drill makes read-only. */
export const ELSEWHERE = '/var/tmp'

/** What Node has compiled before, for every user: a dozen starts would take twice as long without. */
export const COMPILED = mkdtempSync(join(ELSEWHERE, 'mcp-proxy-soak-compiled-'))
chmodSync(COMPILED, 0o755)
process.once('exit', () => rmSync(COMPILED, { recursive: true, force: true }))

/** An empty folder that the scene removes. */
export function openFolder(scene: Scene, parent = tmpdir()): string {
  const dir = mkdtempSync(join(parent, 'mcp-proxy-soak-'))
  scene.defer(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** Starts `core/cli.ts` and waits for nothing. The scene ends it. */
export async function launch(scene: Scene, options: ProgramOptions): Promise<Program> {
  const { dir, dataDir, servers = SERVERS, wrap = [], uid } = options
  const port = options.port ?? (await freePort())
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'mcp_config.json'), JSON.stringify({ mcpServers: servers }, null, 2))
  const [command, ...args] = [...wrap, process.execPath, join(ROOT, 'core/cli.ts')]
  const child = spawn(command, args, {
    cwd: dir,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      MCP_PORT: String(port),
      MCP_DATA_DIR: dataDir,
      MCP_LOG_FORMAT: 'json',
      NODE_COMPILE_CACHE: COMPILED,
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid !== undefined && { uid, gid: uid }),
  })
  const supervisor = child.pid
  if (supervisor === undefined) throw new Error(`${command} could not be started`)
  const ended = exitOf(child)
  let ending: Promise<number> | undefined
  const end = (): Promise<number> => (ending ??= endProgram(child, dataDir).then(() => ended))
  scene.defer(end)
  return {
    port,
    origin: `http://localhost:${port}`,
    url: `http://localhost:${port}/mcp`,
    dataDir,
    log: readLog(child.stdout, child.stderr),
    supervisor,
    worker: () => childrenOf(supervisor).find(lives),
    ended,
    end,
  }
}

/** Starts it and waits until all its servers have settled; rejects with the end of its log where it ends instead. */
export async function start(scene: Scene, options: ProgramOptions): Promise<Program> {
  const program = await launch(scene, options)
  const { log } = program
  const early = program.ended.then((code) => {
    throw new Error(`the proxy ended with ${code}:\n${log.tail()}`)
  })
  await Promise.race([until('the proxy is ready', () => log.readies > 0, START_LIMIT), early])
  early.catch(() => {})
  return program
}

function exitOf(child: ChildProcess): Promise<number> {
  const signals: Partial<Record<NodeJS.Signals, number>> = {
    SIGKILL: 9,
    SIGTERM: 15,
    SIGINT: 2,
    SIGABRT: 6,
    SIGSEGV: 11,
  }
  return new Promise((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : (signals[signal] ?? 0))))
  })
}

/** In order; what is left of it then – the program, its worker, its servers – is killed, each by its id. */
async function endProgram(child: ChildProcess, dataDir: string): Promise<void> {
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  const workers = child.pid === undefined ? [] : childrenOf(child.pid)
  const grandchildren = workers.flatMap(childrenOf)
  const leaders = recordedLeaders(dataDir)
  child.kill('SIGTERM')
  await until('the proxy has ended', hasEnded, END_LIMIT).catch(() => {})
  if (!hasEnded()) child.kill('SIGKILL')
  for (const pid of workers) if (lives(pid)) process.kill(pid, 'SIGKILL')
  for (const leader of [...leaders, ...grandchildren]) if (lives(leader)) killGroup(leader)
}
