import type { EventLog } from './event-log.ts'

/** Ms that a log is kept after its stream has ended. */
const LIFE = 5 * 60_000
/** Bytes of all of them together; beyond, the oldest are dropped. */
const MOST_BYTES = 64 * 1024 * 1024

interface Kept {
  /** When it is dropped, in ms since the epoch. */
  readonly until: number
  readonly bytes: number
}

/** The logs of all streams that have ended, for clients that come late. */
export class Shelf {
  /** Oldest first. What has left is empty, so that it does no harm that a `Map` keeps it for a while. */
  readonly #logs = new Map<EventLog, Kept>()
  #bytes = 0
  #timer: NodeJS.Timeout | undefined

  /** It must not change while it is here. */
  put(log: EventLog): void {
    this.#logs.set(log, { until: Date.now() + LIFE, bytes: log.bytes })
    this.#bytes += log.bytes
    for (const oldest of this.#logs.keys()) {
      if (this.#bytes <= MOST_BYTES) break
      oldest.drop()
    }
    this.#timer ??= setTimeout(() => this.#sweep(), LIFE).unref()
  }

  /** Takes a log away, where it is here. */
  take(log: EventLog): void {
    const kept = this.#logs.get(log)
    if (kept === undefined) return
    this.#logs.delete(log)
    this.#bytes -= kept.bytes
    if (this.#logs.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #sweep(): void {
    const now = Date.now()
    for (const [log, { until }] of this.#logs) {
      if (until > now) {
        this.#timer = setTimeout(() => this.#sweep(), until - now).unref()
        return
      }
      log.drop()
    }
  }
}
