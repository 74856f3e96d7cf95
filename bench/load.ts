/** The parent's hold on one driver process, and the messages between the two. */
import { once } from 'node:events'
import { join } from 'node:path'

import { endAll, startNode } from './processes.ts'

/** One round of requests: until `ms` have passed or `limit` requests are sent. */
export interface Round {
  readonly op: 'call' | 'list'
  readonly tool: string
  /** Bytes of text a call must return. */
  readonly size: number
  /** Tools a listing must have. */
  readonly tools: number
  readonly ms: number
  readonly limit: number
}

/** What a round gave; percentiles in milliseconds. */
export interface Report {
  readonly requests: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
}

export type Order =
  | { readonly kind: 'open'; readonly url: string; readonly sessions: number; readonly inFlight: number }
  | { readonly kind: 'run'; readonly round: Round }
  | { readonly kind: 'close' }

interface Reply {
  readonly report?: Report
  readonly error?: string
}

export interface Load {
  run(round: Round): Promise<Report>
  /** Ends the sessions, then the driver process. */
  close(): Promise<void>
}

/** Longest wait for one order, in ms: a round is seconds, but 256 sessions may open slowly. */
const LONGEST_ORDER = 90_000

/** Starts a driver process and opens its sessions; throws, with the process ended, when one cannot be opened. */
export async function openLoad(url: string, sessions: number, inFlight: number): Promise<Load> {
  const { child, pid, lastWords } = startNode([join(import.meta.dirname, 'driver.ts')], { ipc: true })
  const stop = () => endAll([pid])
  const order = async (wish: Order): Promise<Report | undefined> => {
    const signal = AbortSignal.timeout(LONGEST_ORDER)
    const reply = once(child, 'message', { signal })
    const gone = once(child, 'exit', { signal }).then(() => {
      throw new Error(`the driver ended: ${lastWords()}`)
    })
    gone.catch(() => {}) // the other one of the two settles too
    child.send(wish)
    const [{ report, error }] = (await Promise.race([reply, gone])) as [Reply]
    if (error !== undefined) throw new Error(error)
    return report
  }
  try {
    await order({ kind: 'open', url, sessions, inFlight })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    async run(round) {
      const report = await order({ kind: 'run', round })
      if (report === undefined || report.requests === 0) throw new Error('the driver made no request')
      return report
    },
    async close() {
      await order({ kind: 'close' }).catch(() => {}) // a subject that is down has no sessions to end
      await stop()
    },
  }
}
