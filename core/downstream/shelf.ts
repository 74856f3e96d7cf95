import type { EventLog } from './event-log.ts'

/** Ms that a log is kept after its stream has ended. */
const LIFE = 5 * 60_000
/** Bytes of all of them together; beyond, what has ended is dropped, oldest first, then the oldest events of the largest. */
const MOST_BYTES = 64 * 1024 * 1024

/** The logs of all streams: of those that are open, and of those that have ended, for clients that come late. */
export class Shelf {
  // What has left either is empty, so that it does no harm that V8 keeps it for a while.
  readonly #open = new Set<EventLog>()
  /** When each is dropped, in ms of a clock that nobody sets; oldest first. */
  readonly #finished = new Map<EventLog, number>()
  #bytes = 0
  #timer: NodeJS.Timeout | undefined

  /** A log that is open, for the first time or again. */
  open(log: EventLog): void {
    this.#open.add(log)
    this.#unfinish(log)
  }

  /** It must not change until it is open again. */
  finish(log: EventLog): void {
    this.#open.delete(log)
    this.#finished.set(log, performance.now() + LIFE)
    this.#timer ??= setTimeout(() => this.#sweep(), LIFE).unref()
  }

  /** Takes a log away. */
  take(log: EventLog): void {
    this.#open.delete(log)
    this.#unfinish(log)
  }

  /** So many bytes more are kept, or less. */
  resized(bytes: number): void {
    this.#bytes += bytes
    if (bytes <= 0) return
    while (this.#bytes > MOST_BYTES) {
      const [finished] = this.#finished.keys()
      const log = finished ?? this.#largest()
      if (log === undefined) return
      if (log === finished) log.drop()
      else log.dropOldest()
    }
  }

  #unfinish(log: EventLog): void {
    if (!this.#finished.delete(log) || this.#finished.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #largest(): EventLog | undefined {
    let largest: EventLog | undefined
    for (const log of this.#open) if (log.bytes > (largest?.bytes ?? 0)) largest = log
    return largest
  }

  #sweep(): void {
    const now = performance.now()
    for (const [log, until] of this.#finished) {
      if (until > now) {
        this.#timer = setTimeout(() => this.#sweep(), until - now).unref()
        return
      }
      log.drop()
    }
  }
}
