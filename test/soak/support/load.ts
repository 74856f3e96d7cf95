import { setTimeout as sleep } from 'node:timers/promises'
import type { Caller } from './callers.ts'
import type { Done } from './ledger.ts'
import type { Random } from './random.ts'
import type { Station } from './stations.ts'

export interface LoadOptions {
  readonly callers: readonly Caller[]
  /** The servers that may be called now. */
  readonly stations: () => readonly Station[]
  readonly random: Random
  /** Ms between an answer and the next call, at most; half of it on average. */
  readonly pause: number
  /** Longest (ms) that a call is made to take by the server itself: one in ten takes up to that, the others no time. */
  readonly slow: number
  /** Told of each call that has ended. */
  readonly ondone: (call: Done) => void
}

/** Callers that call and call. */
export interface Load {
  /** Resolves once every call under way has ended. */
  stop(): Promise<void>
}

/** Longest (ms) that any call may take: what has no answer by then counts as failed. */
export const CALL_LIMIT = 30_000

const NO_ANSWER = `no answer within ${CALL_LIMIT} ms`

/** Lets every caller call one server after the other, each time another one. */
export function startLoad(options: LoadOptions): Load {
  let isStopped = false
  const all = Promise.all(options.callers.map((caller, index) => callOn(caller, index)))

  async function callOn(caller: Caller, index: number): Promise<void> {
    const { stations, random, pause, slow, ondone } = options
    for (let count = 0; !isStopped; count++) {
      const station = random.pick(stations())
      const ms = random.below(10) === 0 ? random.below(slow) : 0
      ondone(await callOnce(caller, station, `${index}.${count}`, ms))
      await sleep(random.below(pause))
    }
  }

  return {
    async stop() {
      isStopped = true
      await all
    },
  }
}

/** One call and what became of it. Never rejects. */
async function callOnce(caller: Caller, station: Station, nonce: string, ms = 0): Promise<Done> {
  const { tool, args } = station.ask(nonce, ms)
  const began = performance.now()
  const done = (error?: string): Done => ({
    server: station.name,
    caller: caller.name,
    began,
    ended: performance.now(),
    ...(error !== undefined && { error }),
  })
  try {
    const text = await within(CALL_LIMIT, caller.call(tool, args))
    return station.isAnswer(text, nonce) ? done() : done(`a wrong answer: ${text.slice(0, 200)}`)
  } catch (error) {
    return done(reasonOf(error))
  }
}

async function within<T>(limit: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(NO_ANSWER)), limit)
  })
  try {
    return await Promise.race([work, over])
  } finally {
    clearTimeout(timer)
  }
}

/** An error and what it comes of: `fetch` says no more than that it failed. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${cause}`
}
