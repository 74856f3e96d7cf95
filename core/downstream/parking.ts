import { InFlight } from '../in-flight.ts'

/** Calls that may wait for their clients at a time. */
const MOST = 1000
/** … of one principal. */
const MOST_EACH = 64

/** What is known of a call that waits for its client. */
export interface Waiting {
  /** Random: a handle of an earlier run is unknown. */
  readonly handle: string
  /** Id of the principal. */
  readonly owner: string
}

/** The calls that wait for their clients, by handle. */
export class Parking<Entry extends Waiting> {
  readonly #entries = new InFlight<string, Entry>()
  readonly #owned = new Map<string, number>()

  get size(): number {
    return this.#entries.size
  }

  /** False when there is no room. Idempotent. */
  enter(entry: Entry): boolean {
    const { handle, owner } = entry
    if (this.#entries.has(handle)) return true
    const owned = this.#owned.get(owner) ?? 0
    if (this.#entries.size >= MOST || owned >= MOST_EACH) return false
    this.#entries.set(handle, entry)
    this.#owned.set(owner, owned + 1)
    return true
  }

  /** Idempotent. */
  leave({ handle, owner }: Entry): void {
    if (!this.#entries.has(handle)) return
    this.#entries.delete(handle)
    const left = (this.#owned.get(owner) ?? 1) - 1
    if (left === 0) this.#owned.delete(owner)
    else this.#owned.set(owner, left)
  }

  find(handle: string): Entry | undefined {
    return this.#entries.get(handle)
  }

  all(): readonly Entry[] {
    return this.#entries.values()
  }
}
