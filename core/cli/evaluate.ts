import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { snapshotOf, type ConfigSnapshot } from '../config/change.ts'
import type { ResolvedConfig } from '../config/resolved.ts'
import { isProxyError, ProxyError, reasonOf, type ProxyErrorCode } from '../errors.ts'
import { waitForPort } from '../http/port.ts'
import { serveHttp } from '../http/server.ts'
import { createKernel } from '../kernel.ts'
import type { Evaluate } from '../live-config.ts'
import { createLogger } from '../logger.ts'
import type { Options } from './args.ts'
import { loadSettings } from './settings.ts'
import type { Entry } from './start.ts'

/** Set for a process that evaluates the configuration for a worker, to where that listens; not for users. */
export const EVALUATION = 'MCP_PROXY_EVALUATION'

/** How long (ms) an evaluation may take. */
const LIMIT = 30_000

/** Where a proxy listens, as configured. */
type Place = Pick<ResolvedConfig, 'host' | 'port'>

type Answer =
  | { readonly snapshot: ConfigSnapshot }
  | { readonly problem: { readonly code: ProxyErrorCode; readonly message: string } }

export interface Evaluation {
  readonly entry: Entry
  /** The environment without what `.env` has added. */
  readonly env: NodeJS.ProcessEnv
  /** Where this process listens: another place is tried out. */
  readonly place: Place
  /** How long (ms) it may take; replaced in tests. */
  readonly limit?: number
  /** Records its process group, as `TransportContext.processGroup`: in an endless loop it would outlive a killed worker. */
  readonly processGroup?: (pid: number) => () => void
}

/**
 * Evaluates the configuration in a new process, started as this one was. What that writes to standard output is dropped, since
 * it is the banner's; it is not reached by a Ctrl-C, and ended together with all that it has started.
 */
export function evaluateAnew({ entry, env, place, limit = LIMIT, processGroup }: Evaluation): Evaluate {
  return async (signal) => {
    signal.throwIfAborted()
    const child = fork(entry.file, [...entry.argv], {
      env: { ...env, [EVALUATION]: JSON.stringify({ host: place.host, port: place.port }) },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      detached: process.platform !== 'win32',
    })
    const forget = child.pid === undefined ? undefined : processGroup?.(child.pid)
    const end = (): void => kill(child)
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      end()
    }, limit)
    signal.addEventListener('abort', end, { once: true })
    try {
      const answer = await answerOf(child)
      if (answer === undefined) throw silence(child, isLate ? limit : undefined)
      if ('snapshot' in answer) return answer.snapshot
      throw new ProxyError(answer.problem.code, answer.problem.message)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      end()
      forget?.()
    }
  }
}

/** Undefined: it ended without one. */
async function answerOf(child: ChildProcess): Promise<Answer | undefined> {
  const answered = once(child, 'message') as Promise<[Answer]>
  const ended = once(child, 'exit').then((): [undefined] => [undefined])
  const [answer] = await Promise.race([answered, ended])
  return answer
}

function silence(child: ChildProcess, limit: number | undefined): ProxyError {
  const what =
    limit === undefined
      ? `ended (${child.signalCode ?? `exit code ${child.exitCode}`}) before it was done`
      : `took longer than ${limit / 1000} s`
  const where = 'look at what the main file does at its top level, and plugins in their set-up'
  return new ProxyError('ERR_PROXY_CONFIG', `its evaluation ${what}; ${where}`)
}

/** With all that it has started; what it would still do is of no interest. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined || process.platform === 'win32') return void child.kill('SIGKILL')
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // ESRCH: nothing is left of it
  }
}

/** The other side: loads everything as a start would, but connects nothing, and tells the parent, which then ends it. */
export async function evaluate(options: Options, place: string): Promise<never> {
  // Nobody waits for the answer any more.
  process.once('disconnect', () => process.exit(1))
  let answer: Answer
  try {
    answer = { snapshot: await tryOut(options, JSON.parse(place) as Place) }
  } catch (error) {
    const code = isProxyError(error) ? error.code : 'ERR_PROXY_CONFIG'
    answer = { problem: { code, message: reasonOf(error) } }
  }
  // An end of its own could overtake the answer.
  return new Promise(() => process.send?.(answer))
}

async function tryOut(options: Options, place: Place): Promise<ConfigSnapshot> {
  const { config } = await loadSettings(options, process.env)
  const snapshot = snapshotOf(config)
  // What is to be said is said by the worker, about what it does.
  const logger = createLogger({ level: 'error', format: 'json', stream: { write: () => true, isTTY: false } })
  const kernel = await createKernel(config, { logger, serving: false, trial: true })
  await kernel.close()
  await tryPlace(config, place)
  return snapshot
}

/** Listens for a moment where the worker does not yet. Its own port is in use, as long as it runs. */
async function tryPlace({ host, port }: Place, before: Place): Promise<void> {
  if (host === before.host && port === before.port) return
  const isFree = await waitForPort({ host, port, limit: 0 })
  if (port === before.port) return
  if (!isFree) throw new ProxyError('ERR_PROXY_CONFIG', `port ${port} on ${host} is taken; choose another one`)
  const fetch = async (): Promise<Response> => new Response(null, { status: 503 })
  const server = await serveHttp({ host, port, fetch, onerror: () => {} })
  await server.close(0)
}
