import type { ConsolaInstance } from 'consola'
import { reasonOf } from '../errors.ts'
import { EMPTY_LISTS, type Caching, type ListKind, type Lists } from '../gateway/source.ts'
import { rereadAfter } from './caching.ts'
import { startDeadline } from './deadline.ts'
import type { Instance } from './instance.ts'
import type { KeptLists, Known } from './kept-lists.ts'
import { LIST_KINDS, readLists } from './lists.ts'
import { createGathered } from './gathered.ts'
import { createRereads } from './rereads.ts'
import type { Verdict } from './verdict.ts'

/** By list: how long it may be kept, and by whom. */
type CachingOfLists = Partial<Record<ListKind, Caching>>

/** What one server offers, as its instances last said: read when one opens, and again when one says it changed. */
export interface Offer {
  readonly lists: Lists
  readonly instructions: string | undefined
  /** What the server says about keeping its lists, where it does. */
  readonly caching: CachingOfLists
  /** Whether any instance has been read, now or in an earlier run. */
  readonly known: boolean
  /** Reads everything from a new instance. Rejects when it does not come within `limit` ms. */
  load(from: Instance, signal: AbortSignal, limit: number): Promise<void>
  /** An instance says that lists have changed: they are read again, in the background. */
  changed(from: Instance, kinds: readonly ListKind[]): void
  /** Lists may have changed while an instance was not listened to: as `changed`, but seldom, whichever instance says so. */
  missed(from: Instance, kinds: readonly ListKind[]): void
  /** Writes what is known for the next start. */
  keep(): void
}

export interface OfferOptions {
  readonly known: Known | undefined
  readonly kept: KeptLists
  readonly logger: ConsolaInstance
  readonly signal: AbortSignal
  isSplit(): boolean
  verdict?(): Verdict | undefined
  onlists(kinds: readonly ListKind[]): void
}

export function createOffer(options: OfferOptions): Offer {
  const { kept, logger } = options
  let lists: Lists = options.known?.lists ?? EMPTY_LISTS
  let instructions = options.known?.instructions
  let known = options.known !== undefined
  let caching: CachingOfLists = {}
  const rereads = createRereads((from, kind) => changed(from, [kind]))
  const gathered = createGathered(options.signal, (from, kind) => changed(from, [kind]))
  let queue = Promise.resolve()
  const waiting = new Map<Instance, Set<ListKind>>()

  /** Reads lists anew and says which of them differ from before. */
  async function read(from: Instance, kinds: readonly ListKind[], signal: AbortSignal): Promise<void> {
    const warn = (message: string) => logger.warn(message)
    const said = { ...caching }
    const oncaching = (kind: ListKind, one: Caching | undefined) => {
      if (one === undefined) delete said[kind]
      else said[kind] = one
    }
    const fresh = await readLists({ face: from.face, about: from.about, signal, known: lists, warn, oncaching }, kinds)
    const changed = kinds.filter((kind) => JSON.stringify(fresh[kind]) !== JSON.stringify(lists[kind]))
    const words = from.about.instructions
    lists = { ...lists, ...fresh }
    const isKeptAsBefore = JSON.stringify(said) === JSON.stringify(caching)
    caching = said
    for (const kind of kinds) rereads.plan(from, kind, rereadAfter(from, kind, caching[kind]))
    if (changed.length === 0 && isKeptAsBefore && known && words === instructions) return
    instructions = words
    known = true
    keep()
    // Also with no list: the instructions are merged like them.
    options.onlists(changed)
  }

  function changed(from: Instance, kinds: readonly ListKind[]): void {
    const all = waiting.get(from)
    if (all !== undefined) return kinds.forEach((kind) => all.add(kind))
    waiting.set(from, new Set(kinds))
    queue = queue.then(() => readWaiting(from))
  }

  function keep(): void {
    const era = options.verdict?.()
    kept.write({
      lists,
      split: options.isSplit(),
      ...(instructions !== undefined && { instructions }),
      ...(era !== undefined && { era }),
    })
  }

  /** One reading at a time: two that overtake each other would leave the older answer. */
  async function readWaiting(from: Instance): Promise<void> {
    const kinds = [...(waiting.get(from) ?? [])]
    waiting.delete(from)
    if (kinds.length === 0 || options.signal.aborted) return
    try {
      await read(from, kinds, options.signal)
    } catch (error) {
      if (!options.signal.aborted) logger.warn(`the changed list could not be read: ${reasonOf(error)}`)
    }
  }

  return {
    get lists() {
      return lists
    },
    get instructions() {
      return instructions
    },
    get caching() {
      return caching
    },
    get known() {
      return known
    },
    async load(from, signal, limit) {
      const deadline = startDeadline(limit, signal)
      const reading = read(from, LIST_KINDS, deadline.signal)
      // What changes meanwhile is read after this.
      queue = queue.then(() => reading.catch(() => {}))
      try {
        await reading
        // Also when nothing is new: what is kept is kept from the last time the server was up.
        keep()
      } catch (error) {
        if (!deadline.passed) throw error
        throw new Error(`its lists did not come within ${limit / 1000} s`, { cause: error })
      } finally {
        deadline.clear()
      }
    },
    changed,
    missed: (from, kinds) => kinds.forEach((kind) => gathered.tell(from, kind)),
    keep,
  }
}
