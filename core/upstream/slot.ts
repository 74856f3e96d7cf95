import { reasonOf } from '../errors.ts'
import type { LogLevel } from '../gateway/call.ts'
import { LOG_LEVELS } from '../gateway/call.ts'
import { abortable } from './abortable.ts'
import { createBreaker, type Breaker } from './breaker.ts'
import type { Refused } from './face.ts'
import { startDeadline } from './deadline.ts'
import type { Instance } from './instance.ts'

/** A place for one instance: opened when needed, opened again when lost, closed when idle. */
export interface Slot {
  /** The open instance, or the one being opened. Rejects `Unavailable` at once while the breaker is open, unless `now`. */
  acquire(signal: AbortSignal, now?: boolean): Promise<Instance>
  /** A call begins on an instance: until `leave()` that is neither idle nor, once lost, closed. */
  enter(instance: Instance): void
  leave(instance: Instance): void
  /** Opens it if it is not, in the background. */
  open(): void
  /** The server has forgotten the instance: what is under way on it may still be answered, nothing new begins. */
  lose(instance: Instance, reason: string): void
  /** Closes an instance that is no good; without a reason it is merely to be replaced. */
  drop(instance: Instance, reason?: string): void
  /** Makes the instance, and every later one, send logs from this level up; `undefined`: they do. Never rejects. */
  lowerLevel(level: LogLevel): Promise<void> | undefined
  /** What the instance, and every later one, is subscribed to. Opens it where that is needed; rejects if it cannot. */
  watch(uris: ReadonlySet<string>): Promise<Refused>
  /** The open instance, once it can be used. */
  readonly instance: Instance | undefined
  /** Calls under way, and openings. */
  readonly busy: number
  close(): Promise<void>
}

export interface SlotOptions {
  open(signal: AbortSignal): Promise<Instance>
  /** The server's: an attempt that fails here spares all its other slots theirs. */
  readonly breaker: Breaker
  /** Ms without use after which the instance is closed; absent: it stays, and is opened again by itself when lost. */
  readonly idleStop?: number
  onopen(instance: Instance): void
  /** It is gone: lost, or never opened (with a reason), or closed on purpose (without). */
  ongone(reason: string | undefined): void
}

/** The slot cannot be opened now. */
export class Unavailable extends Error {}

/** Longest that levels and subscriptions are waited for, in ms. */
const REPLAY = 10_000
/** An instance that lived this long (ms) was healthy: it is opened again at once when it is lost. */
const HEALTHY = 5000
/** What a server sends when nobody has asked for a level. */
const USUAL_LEVEL: LogLevel = 'info'

export function createSlot(options: SlotOptions): Slot {
  const { breaker, idleStop } = options
  const end = new AbortController()
  /** Calls under way: an instance that is lost goes on until its last one has ended. */
  const calls = new Map<Instance, number>()
  /** Of instances that ended by themselves: one client's says nothing about the server. */
  const ownBreaker = createBreaker()
  let instance: Instance | undefined
  let born = 0
  let opening: Promise<Instance> | undefined
  let closing: Promise<void> = Promise.resolve()
  let idle: NodeJS.Timeout | undefined
  let retry: NodeJS.Timeout | undefined
  let level: LogLevel = USUAL_LEVEL
  let wishes: ReadonlySet<string> = new Set()

  function open(): Promise<Instance> {
    clearTimeout(retry)
    retry = undefined
    opening ??= openOnce().finally(() => (opening = undefined))
    return opening
  }

  async function openOnce(): Promise<Instance> {
    // Nobody waits for what is opened now to be closed again.
    if (end.signal.aborted) throw new Unavailable('it is closing')
    let opened: Instance
    try {
      opened = await options.open(end.signal)
    } catch (error) {
      gone(undefined, reasonOf(error))
      throw new Unavailable(reasonOf(error), { cause: error })
    }
    if (!end.signal.aborted) {
      instance = opened
      born = Date.now()
      await replay(opened)
    }
    if (end.signal.aborted) {
      await opened.close()
      throw new Unavailable('it is closing')
    }
    // It ends when nobody needs it, or with its client: no later moment will show that the server is well.
    if (idleStop !== undefined) breaker.succeeded()
    options.onopen(opened)
    void opened.closed.then((error) => {
      lose(opened, error?.message ?? 'the server closed the connection')
      if (!calls.has(opened)) dispose(opened)
    })
    rest()
    return opened
  }

  function lose(lost: Instance, reason: string): void {
    if (instance === lost) gone(lost, reason)
  }

  function dispose(old: Instance): void {
    closing = Promise.all([closing, old.close()]).then(() => {})
  }

  /** Whether it is opened again by itself. */
  function stays(): boolean {
    return idleStop === undefined || wishes.size > 0
  }

  /** Forgets an instance (`undefined`: it never opened), and sees to the next one where the slot is to stay open. */
  function gone(was: Instance | undefined, reason: string | undefined): void {
    instance = undefined
    clearTimeout(idle)
    if (end.signal.aborted) return
    if (reason !== undefined) judge(was, reason)
    if (reason !== undefined || !stays()) options.ongone(reason)
    if (!stays()) return
    const pause = Math.max(breaker.wait(), ownBreaker.wait())
    retry ??= setTimeout(() => void (stays() && open().catch(() => {})), pause).unref()
  }

  function judge(was: Instance | undefined, reason: string): void {
    const judged = was !== undefined && idleStop !== undefined ? ownBreaker : breaker
    if (was !== undefined && Date.now() - born > HEALTHY) judged.succeeded()
    else judged.failed(reason)
  }

  async function replay(to: Instance): Promise<void> {
    if (level === USUAL_LEVEL && wishes.size === 0) return
    const { signal, clear } = startDeadline(REPLAY, end.signal)
    const quietly = (work: Promise<unknown>) => work.catch(() => {})
    if (level !== USUAL_LEVEL) await quietly(to.face.setLevel(level, signal))
    if (wishes.size > 0) await quietly(to.face.watch(wishes, signal))
    clear()
  }

  /** Starts to count towards the idle stop, unless something is going on or somebody listens. */
  function rest(): void {
    if (stays() || calls.size > 0) return
    clearTimeout(idle)
    idle = setTimeout(() => {
      const resting = instance
      if (stays() || calls.size > 0 || opening !== undefined || resting === undefined) return
      gone(resting, undefined)
      dispose(resting)
    }, idleStop).unref()
  }

  return {
    get instance() {
      return opening === undefined ? instance : undefined
    },
    get busy() {
      let sum = opening === undefined ? 0 : 1
      for (const count of calls.values()) sum += count
      return sum
    },
    async acquire(signal, now = false) {
      if (opening === undefined && instance !== undefined) return instance
      if (opening === undefined && !now && breaker.wait() > 0) throw new Unavailable(breaker.reason)
      signal.throwIfAborted()
      return abortable(open(), signal)
    },
    enter(on) {
      calls.set(on, (calls.get(on) ?? 0) + 1)
      clearTimeout(idle)
    },
    leave(on) {
      const left = (calls.get(on) ?? 1) - 1
      if (left > 0) return void calls.set(on, left)
      calls.delete(on)
      if (on === instance) rest()
      else dispose(on)
    },
    open: () => void (instance === undefined && open().catch(() => {})),
    lose,
    drop(bad, reason) {
      if (instance !== bad) return
      gone(bad, reason)
      dispose(bad)
    },
    lowerLevel(wanted) {
      if (LOG_LEVELS.indexOf(wanted) >= LOG_LEVELS.indexOf(level)) return undefined
      level = wanted
      if (instance === undefined) return undefined
      const { signal, clear } = startDeadline(REPLAY, end.signal)
      return instance.face.setLevel(wanted, signal).then(clear, clear)
    },
    async watch(uris) {
      wishes = uris
      if (uris.size === 0) rest()
      if (instance === undefined && uris.size === 0) return new Map()
      const { signal, clear } = startDeadline(REPLAY, end.signal)
      try {
        // One that is opened now is told of the wish as any new one is; this tells whether it can be had.
        const watching = instance ?? (await this.acquire(signal))
        return await watching.face.watch(wishes, signal)
      } finally {
        clear()
      }
    },
    async close() {
      end.abort()
      clearTimeout(idle)
      clearTimeout(retry)
      await opening?.catch(() => {})
      if (instance !== undefined) dispose(instance)
      for (const lost of calls.keys()) dispose(lost)
      instance = undefined
      await closing
    },
  }
}
