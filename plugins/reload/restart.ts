import { EXIT, backoff, doubling, sleep } from '../../core/index.ts'
import type { Run } from '../../core/index.ts'

/** When to start again, and when to give up. Times in milliseconds. */
export interface RestartPolicy {
  readonly delays: readonly number[] | undefined
  readonly limit: number
  readonly healthyAfter: number
}

/** No delay grows beyond this (ms), unless the first one is longer already. */
const LONGEST = 30_000

/** A worker that asks to be started anew this soon (ms) would, if let, do nothing else. */
const BRIEF = 1000

/** Ends of a first worker that starting again cannot mend. */
const HOPELESS: ReadonlySet<number> = new Set([EXIT.port, EXIT.config])

/**
 * Starts workers until one ends for good, the user ends it all, or too many crashed in a row; resolves the last exit code. A
 * configuration that makes no sense (78) and a port that is taken (75) are final at the first start. Later they have come over a
 * proxy that ran, and somebody may be about to mend them: they count as crashes.
 */
export async function restart(run: Run, policy: RestartPolicy): Promise<number> {
  const { logger, signal } = run
  const delayOf = backoff({ delays: policy.delays ?? delaysFrom(run.config.restartDelay) })
  let hasRun = false
  for (let crashes = 0; ;) {
    const { code, ranFor } = await run.start()
    const isFinal = code === EXIT.ok || (!hasRun && HOPELESS.has(code))
    if (signal.aborted || isFinal) return code
    hasRun = true
    if (ranFor >= policy.healthyAfter) crashes = 0
    if (code === EXIT.reload) {
      logger.info('the worker asked to be started anew')
      await sleep(Math.max(0, BRIEF - ranFor), signal)
    } else {
      const what = `the worker ended with exit code ${code} after ${seconds(ranFor)}`
      if (crashes === policy.limit) {
        logger.error(`${what}; giving up after ${crashes} restart(s) in a row`)
        return code
      }
      const delay = delayOf(crashes++)
      logger.error(`${what}; restart ${crashes} of ${policy.limit} in ${seconds(delay)}`)
      await sleep(delay, signal)
    }
    if (signal.aborted) return EXIT.ok
  }
}

/** Doubling from `first` (ms): 1, 2, 4, 8, 16, then 30 s. */
export function delaysFrom(first: number): readonly number[] {
  return doubling(first, Math.max(first, LONGEST))
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(1))} s`
}
