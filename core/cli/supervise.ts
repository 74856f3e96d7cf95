import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { ConsolaInstance } from 'consola'
import type { ResolvedConfig } from '../config/resolved.ts'
import { reasonOf } from '../errors.ts'
import type { Plugin, Run, WorkerEnd } from '../plugin.ts'
import { reapGroups } from '../process-groups.ts'
import { SAME_WISH, hasTerminal } from './end.ts'
import { EXIT, signalCode } from './exit.ts'

/** How a worker is started: a module for this very Node. */
interface WorkerCommand {
  readonly file: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

export interface SuperviseOptions {
  readonly config: ResolvedConfig
  readonly logger: ConsolaInstance
  readonly worker: WorkerCommand
  /** How long (ms) a worker that was told to end may take before it is killed. */
  readonly patience?: number
}

/** A plugin that wants the parent process. */
export type Supervisor = Required<Pick<Plugin, 'name' | 'supervise'>>

/** Lets `supervisor` run workers in child processes until it is done; resolves the exit code. Signals are handed on. */
export async function supervise(supervisor: Supervisor, options: SuperviseOptions): Promise<number> {
  const workers = createWorkers(options)
  const hadTerminal = hasTerminal()
  const stop = (): void => workers.stop('SIGTERM')
  const interrupt = (): void => workers.stop('SIGINT')
  const hangUp = (): void => (hadTerminal && !hasTerminal() ? workers.stop('SIGTERM') : workers.reload())
  const handlers = [['SIGTERM', stop] as const, ['SIGINT', interrupt] as const, ['SIGHUP', hangUp] as const]
  for (const [signal, handler] of handlers) process.on(signal, handler)
  try {
    return await supervisor.supervise(workers.run)
  } finally {
    workers.kill()
    for (const [signal, handler] of handlers) process.off(signal, handler)
  }
}

/** What a worker says first. */
function dataDirOf(message: unknown): string | undefined {
  const { dataDir } = (message ?? {}) as { readonly dataDir?: unknown }
  return typeof dataDir === 'string' ? dataDir : undefined
}

interface Workers {
  readonly run: Run
  stop(signal: 'SIGTERM' | 'SIGINT'): void
  reload(): void
  kill(): void
}

function createWorkers({ config, logger, worker, patience = 10_000 }: SuperviseOptions): Workers {
  const stopped = new AbortController()
  let child: ChildProcess | undefined
  let stoppedAt = 0
  /** Where the worker's process groups are recorded: it may have been moved since this process read the configuration. */
  let { dataDir } = config

  async function start(): Promise<WorkerEnd> {
    if (child !== undefined) throw new Error('a worker is running; start() begins one at a time')
    if (stopped.signal.aborted) return { code: EXIT.ok, ranFor: 0 }
    const began = performance.now()
    child = fork(worker.file, [...worker.args], { env: worker.env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
    const pid = child.pid
    child.on('message', (message) => (dataDir = dataDirOf(message) ?? dataDir))
    const { code, signal } = await endOf(child)
    const ranFor = performance.now() - began
    child = undefined
    const groups = await reapGroups(dataDir, { logger, ...(pid === undefined ? {} : { ended: pid }) })
    if (groups > 0) logger.info(`ended ${groups} process group(s) that the worker left behind`)
    return { code: codeOf(code, signal), ranFor }
  }

  /** A worker that the user's signal ended before it could listen for it ended as it was asked to. */
  function codeOf(code: number | null, signal: NodeJS.Signals | null): number {
    if (signal === null) return code ?? EXIT.failed
    return stopped.signal.aborted && signal !== 'SIGKILL' ? EXIT.ok : signalCode(signal)
  }

  function stop(signal: 'SIGTERM' | 'SIGINT'): void {
    if (stopped.signal.aborted) {
      if (Date.now() - stoppedAt > SAME_WISH) kill()
      return
    }
    stoppedAt = Date.now()
    stopped.abort()
    child?.kill(signal)
    setTimeout(() => {
      if (child !== undefined) logger.warn(`the worker did not end within ${patience / 1000} s; killing it`)
      kill()
    }, patience).unref()
  }

  function kill(): void {
    child?.kill('SIGKILL')
  }

  return {
    run: { logger, config, start, signal: stopped.signal },
    stop,
    reload: () => void child?.kill('SIGHUP'),
    kill,
  }

  function endOf(process: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    return new Promise((resolve) => {
      process.once('exit', (code, signal) => resolve({ code, signal }))
      process.on('error', (error) => {
        logger.error(`the worker could not be started or reached: ${reasonOf(error)}`)
        if (process.pid === undefined) resolve({ code: EXIT.failed, signal: null })
      })
    })
  }
}
