/** Starts and ends the processes of a run; whatever was started here is ended here, by its handle. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'

/** A server that said `ready <url>`. */
export interface Started {
  readonly url: string
  /** Resolves once the process is gone. */
  end(): Promise<void>
}

export interface Place {
  readonly cwd: string
  /** File for everything the process writes. */
  readonly log: string
}

const READY_WITHIN = 60_000
const GRACE = 8_000

const alive = new Set<ChildProcess>()

/** Starts `node …args` and resolves when it is ready; rejects with its last words when it ends first or takes over 60 s. */
export async function start(args: readonly string[], place: Place): Promise<Started> {
  const child = launch(args, place)
  try {
    return { url: await ready(child, place), end: () => end(child) }
  } catch (error) {
    await end(child)
    throw error
  }
}

/** Runs `node …args` and resolves with its exit code; with 'late', and the process ended, after `within` ms. */
export async function run(args: readonly string[], place: Place, within: number): Promise<number | null | 'late'> {
  const child = launch(args, place)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), within)
  })
  try {
    return await Promise.race([exited(child), late])
  } finally {
    clearTimeout(timer)
    await end(child)
  }
}

/** Ends everything that was started and not yet ended. */
export async function endEverything(): Promise<void> {
  await Promise.all([...alive].map(end))
}

function launch(args: readonly string[], { cwd, log }: Place): ChildProcess {
  const file = openSync(log, 'w')
  const child = spawn(process.execPath, args, { cwd, env: environment(), stdio: ['pipe', file, file] })
  closeSync(file)
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  child.once('error', () => alive.delete(child))
  return child
}

/** The environment without settings meant for another proxy. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(MCP_|AUTH0_|OIDC_|NODE_OPTIONS$)/.test(name))
  return { ...Object.fromEntries(kept), NO_COLOR: '1' }
}

async function ready(child: ChildProcess, { log }: Place): Promise<string> {
  const deadline = Date.now() + READY_WITHIN
  while (Date.now() < deadline) {
    const text = readFileSync(log, 'utf8')
    const url = /^ready (\S+)$/m.exec(text)?.[1]
    if (url !== undefined) return url
    if (!alive.has(child)) throw new Error(`${child.spawnargs[1]} ended: ${text.slice(-2_000)}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${child.spawnargs[1]} was not ready within ${READY_WITHIN} ms, see ${log}`)
}

function exited(child: ChildProcess): Promise<number | null> {
  if (!alive.has(child)) return Promise.resolve(child.exitCode)
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => resolve(code))
    child.once('error', reject)
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (!alive.has(child)) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), GRACE)
  await exited(child).catch(() => {})
  clearTimeout(timer)
}
