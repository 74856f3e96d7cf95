import { fork } from 'node:child_process'
import { once } from 'node:events'
import { snapshotOf, type ConfigSnapshot } from '../config/change.ts'
import { isProxyError, ProxyError, reasonOf, type ProxyErrorCode } from '../errors.ts'
import { createKernel } from '../kernel.ts'
import type { Evaluate } from '../live-config.ts'
import { createLogger } from '../logger.ts'
import type { Options } from './args.ts'
import { loadSettings } from './settings.ts'
import type { Entry } from './start.ts'

/** Set for a process that evaluates the configuration for a worker; not for users. */
export const EVALUATION = 'MCP_PROXY_EVALUATION'

/** How long (ms) an evaluation may take. */
const LIMIT = 30_000

type Answer =
  | { readonly snapshot: ConfigSnapshot }
  | { readonly problem: { readonly code: ProxyErrorCode; readonly message: string } }

/**
 * Evaluates the configuration in a new process, as this one was started. `env`: the environment without what `.env` has added.
 * What the process writes to standard output is dropped, since that is the banner's.
 */
export function evaluateAnew(entry: Entry, env: NodeJS.ProcessEnv): Evaluate {
  return async (signal) => {
    signal.throwIfAborted()
    const child = fork(entry.file, [...entry.argv], {
      env: { ...env, [EVALUATION]: '1' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    const end = (): boolean => child.kill('SIGKILL')
    const timer = setTimeout(end, LIMIT)
    signal.addEventListener('abort', end, { once: true })
    try {
      return await answerOf(child)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      end()
    }
  }

  async function answerOf(child: ReturnType<typeof fork>): Promise<ConfigSnapshot> {
    const answered = once(child, 'message') as Promise<[Answer]>
    const ended = once(child, 'exit').then((): never => {
      const how = child.signalCode ?? `exit code ${child.exitCode}`
      throw new ProxyError('ERR_PROXY_CONFIG', `its evaluation ended without a word (${how})`)
    })
    const [answer] = await Promise.race([answered, ended])
    if ('snapshot' in answer) return answer.snapshot
    throw new ProxyError(answer.problem.code, answer.problem.message)
  }
}

/** The other side: loads everything as a start would, but for the network, and tells the parent. Resolves the exit code. */
export async function evaluate(options: Options): Promise<number> {
  // Nobody waits for the answer any more.
  process.once('disconnect', () => process.exit(1))
  let answer: Answer
  try {
    answer = { snapshot: await tryOut(options) }
  } catch (error) {
    const code = isProxyError(error) ? error.code : 'ERR_PROXY_CONFIG'
    answer = { problem: { code, message: reasonOf(error) } }
  }
  await new Promise((resolve) => process.send?.(answer, resolve))
  return 0
}

async function tryOut(options: Options): Promise<ConfigSnapshot> {
  const { config } = await loadSettings(options, process.env)
  const snapshot = snapshotOf(config)
  // What is to be said is said by the worker, about what it does.
  const logger = createLogger({ level: 'error', format: 'json', stream: { write: () => true, isTTY: false } })
  const kernel = await createKernel(config, { logger, serving: false })
  await kernel.close()
  return snapshot
}
