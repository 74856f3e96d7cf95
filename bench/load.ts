/** The parent's hold on one driver process, and the messages between the two. */
import { once } from 'node:events'
import { join } from 'node:path'

import { endAll, startNode } from './processes.ts'

/** One round of requests: until `ms` have passed or `limit` requests are sent. */
export interface Round {
  readonly op: 'call' | 'list'
  /** Tools that are called in turn. */
  readonly calls: readonly string[]
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

/** How the driver begins. */
export interface Opening {
  readonly url: string
  readonly sessions: number
  readonly inFlight: number
  /** Sent with every request, where the subject asks for one. */
  readonly token?: string | undefined
}

export type Order =
  | ({ readonly kind: 'open' } & Opening)
  | { readonly kind: 'run'; readonly round: Round }
  | { readonly kind: 'listen'; readonly count: number }
  | { readonly kind: 'ping'; readonly times: number }
  | { readonly kind: 'close' }

interface Reply {
  readonly report?: Report
  readonly error?: string
}

export interface Load {
  run(round: Round): Promise<Report>
  /** Opens the GET streams of that many sessions and keeps them open. */
  listen(count: number): Promise<void>
  /** Every session asks that often; rejects when one gets no answer or one of the GET streams has ended. */
  ping(times: number): Promise<void>
  /** Ends the sessions, then the driver process. */
  close(): Promise<void>
  /** Ends the driver process alone: to the subject the clients have vanished. Idempotent. */
  abandon(): Promise<void>
}

/** Longest wait for one order, in ms: a round is seconds, but thousands of sessions open slowly. */
const LONGEST_ORDER = 90_000

/** Starts a driver process and opens its sessions; throws, with the process ended, when one cannot be opened. */
export async function openLoad(opening: Opening): Promise<Load> {
  const { child, pid, lastWords } = startNode([join(import.meta.dirname, 'driver.ts')], { ipc: true })
  let stopped: Promise<void> | undefined
  const stop = () => (stopped ??= endAll([pid]))
  const order = async (wish: Order): Promise<Report | undefined> => {
    const over = new AbortController() // else every order would leave a listener behind
    const signal = AbortSignal.any([AbortSignal.timeout(LONGEST_ORDER), over.signal])
    const reply = once(child, 'message', { signal })
    const gone = once(child, 'exit', { signal }).then(() => {
      throw new Error(`the driver ended: ${lastWords()}`)
    })
    gone.catch(() => {}) // the other one of the two settles too
    child.send(wish)
    const [{ report, error }] = (await Promise.race([reply, gone]).finally(() => over.abort())) as [Reply]
    if (error !== undefined) throw new Error(error)
    return report
  }
  try {
    await order({ kind: 'open', ...opening })
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
    async listen(count) {
      await order({ kind: 'listen', count })
    },
    async ping(times) {
      await order({ kind: 'ping', times })
    },
    abandon: stop,
    async close() {
      await order({ kind: 'close' }).catch(() => {}) // a subject that is down has no sessions to end
      await stop()
    },
  }
}
