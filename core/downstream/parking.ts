import { InFlight } from '../in-flight.ts'

/** Calls that may wait for their clients at a time. */
const MOST = 1000
/** … of one principal. */
const MOST_EACH = 64
/** Bytes that are kept for the clients of all of them; beyond, the oldest for which something is kept goes. */
const MOST_BYTES = 64 * 1024 * 1024

/** What is known of a call that waits for its client. */
export interface Waiting {
  /** Random: a handle of an earlier run is unknown. */
  readonly handle: string
  /** Id of the principal. */
  readonly principal: string
  /** Bytes that are kept for its client. */
  readonly kept: number
  /** Gives it up, and all that is kept for its client. */
  drop(): void
}

/** The calls that wait for their clients, by handle. */
export class Parking<Entry extends Waiting> {
  readonly #entries = new InFlight<string, Entry>()
  readonly #owned = new Map<string, number>()
  #bytes = 0

  get size(): number {
    return this.#entries.size
  }

  /** False when there is no room. Idempotent. */
  enter(entry: Entry): boolean {
    const { handle, principal } = entry
    if (this.#entries.has(handle)) return true
    const owned = this.#owned.get(principal) ?? 0
    if (this.#entries.size >= MOST || owned >= MOST_EACH) return false
    this.#entries.set(handle, entry)
    this.#owned.set(principal, owned + 1)
    return true
  }

  /** Idempotent. */
  leave({ handle, principal }: Entry): void {
    if (!this.#entries.has(handle)) return
    this.#entries.delete(handle)
    const left = (this.#owned.get(principal) ?? 1) - 1
    if (left === 0) this.#owned.delete(principal)
    else this.#owned.set(principal, left)
  }

  /** So many bytes more are kept for clients, or less. */
  resized(bytes: number): void {
    this.#bytes += bytes
    if (bytes <= 0 || this.#bytes <= MOST_BYTES) return
    for (const entry of this.#entries.values()) {
      if (entry.kept > 0) entry.drop()
      if (this.#bytes <= MOST_BYTES) return
    }
  }

  find(handle: string): Entry | undefined {
    return this.#entries.get(handle)
  }

  all(): readonly Entry[] {
    return this.#entries.values()
  }
}
