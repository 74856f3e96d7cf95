import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { ConsolaInstance } from 'consola'
import type { ResolvedConfig } from '../config/resolved.ts'
import { reasonOf } from '../errors.ts'
import type { Plugin, Run, WorkerEnd } from '../plugin.ts'
import { reapGroups } from '../process-groups.ts'
import { stopListeningEarly } from './early.ts'
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
  /**
   * How long (ms) a worker that was told to end may take before it is killed; its groups then have 2 s. Default: 7.5 s, so that
   * one that hangs is over before 10 s, when `docker stop` kills.
   */
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
  stopListeningEarly()
  try {
    return await supervisor.supervise(workers.run)
  } finally {
    await workers.end()
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
  /** Kills the worker that a failed supervisor has left; resolves once its groups are gone too. */
  end(): Promise<void>
}

function createWorkers({ config, logger, worker, patience = 7500 }: SuperviseOptions): Workers {
  const stopped = new AbortController()
  let child: ChildProcess | undefined
  /** Whether the worker was asked to start anew. */
  let reloads = false
  let stoppedAt = 0
  /** Where the worker's process groups are recorded: it may have been moved since this process read the configuration. */
  let { dataDir } = config
  let running: Promise<WorkerEnd> | undefined

  async function start(): Promise<WorkerEnd> {
    if (running !== undefined) throw new Error('a worker is running; start() begins one at a time')
    if (stopped.signal.aborted) return { code: EXIT.ok, ranFor: 0 }
    running = runOnce().finally(() => (running = undefined))
    return running
  }

  /** Runs a worker to its end, and ends what it has left behind. */
  async function runOnce(): Promise<WorkerEnd> {
    const began = performance.now()
    reloads = false
    child = fork(worker.file, [...worker.args], { env: worker.env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
    const pid = child.pid
    child.on('message', (message) => (dataDir = dataDirOf(message) ?? dataDir))
    const { code, signal } = await endOf(child)
    const ranFor = performance.now() - began
    const wished = stopped.signal.aborted
    child = undefined
    const groups = await reapGroups(dataDir, { logger, ...(pid === undefined ? {} : { ended: pid }) })
    if (groups > 0) logger.info(`ended ${groups} process group(s) that the worker left behind`)
    // Between two workers there is nothing left to end.
    if (!wished && stopped.signal.aborted) return { code: EXIT.ok, ranFor }
    return { code: codeOf(code, signal), ranFor }
  }

  /** A worker that was ended by the signal handed on to it, before it could listen for it, ended as it was asked to. */
  function codeOf(code: number | null, signal: NodeJS.Signals | null): number {
    if (signal === null) return code ?? EXIT.failed
    if (signal === 'SIGHUP' && reloads) return EXIT.reload
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
    reload() {
      reloads = true
      child?.kill('SIGHUP')
    },
    async end() {
      kill()
      await running
    },
  }

  function endOf(one: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    return new Promise((resolve) => {
      one.once('exit', (code, signal) => resolve({ code, signal }))
      one.on('error', (error) => {
        logger.error(`the worker could not be started or reached: ${reasonOf(error)}`)
        if (one.pid === undefined) resolve({ code: EXIT.failed, signal: null })
      })
    })
  }
}
