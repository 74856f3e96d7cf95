import { createHash, randomBytes } from 'node:crypto'
import { InFlight } from '../in-flight.ts'
import { EventLog, type LogKeeper } from './event-log.ts'
import type { RpcId } from '../wire/jsonrpc.ts'
import type { Shelf } from './shelf.ts'

/** Answers to POSTs that are kept of one session; beyond, the oldest that has ended is dropped. */
const MOST_STREAMS = 16
/** Bytes that are kept of one session. */
const MOST_BYTES = 4 * 1024 * 1024

/** The standing GET stream, or the answer to a POST. */
type Kind = 's' | 'p'
const EVENT_ID = /^([\w-]+\.([sp])[0-9a-z]{1,9}(?:~([\w-]{1,128}))?)\.([0-9a-z]{1,9})$/
/** Characters that a request's id may take in the ids of its answer's events; a longer one is left out. */
const LONGEST_REQUEST = 128

/** Where a client wants to go on: after that event; without a log, on an answer to a POST of which nothing is kept any more. */
export interface Place {
  readonly isStanding: boolean
  readonly log?: EventLog
  readonly after: number
  /** The request that the answer is for, where there is one alone. */
  readonly request?: RpcId
}

/** What the streams of one session have said; made with the first stream. */
export class EventStore {
  /** What the ids of this session begin with, in every run. */
  readonly #owner: string
  /** Numbers start anew when a session is picked up after a restart: ids of before must mean nothing. */
  readonly #tag: string
  readonly #logs = new InFlight<string, EventLog>()
  readonly #shelf: Shelf
  readonly #keeper: LogKeeper
  #standing: EventLog | undefined
  #names = 0
  #bytes = 0
  #isClosed = false

  /** `party`: whose session it is. */
  constructor(shelf: Shelf, party = '') {
    this.#shelf = shelf
    this.#owner = createHash('sha256').update(party).digest('base64url').slice(0, 8)
    this.#tag = this.#owner + randomBytes(6).toString('base64url')
    this.#keeper = {
      resized: (bytes) => this.#resized(bytes),
      finished: (log) => shelf.finish(log),
      reopened: (log) => shelf.open(log),
      dropped: (log) => {
        shelf.take(log)
        this.#logs.delete(log.name)
        if (this.#standing === log) this.#standing = undefined
      },
    }
  }

  /**
   * The log for the answer to a POST, with one `request` in it or several (absent); `undefined` when too many are still open: that
   * one cannot be resumed.
   */
  open(request?: RpcId): EventLog | undefined {
    if (this.#isClosed) return undefined
    if (this.#logs.size >= MOST_STREAMS) this.#oldestFinished()?.drop()
    return this.#logs.size < MOST_STREAMS ? this.#add('p', request) : undefined
  }

  /** The log of the standing stream, which goes on wherever it was. */
  standing(): EventLog {
    this.#standing?.reopen()
    return (this.#standing ??= this.#add('s'))
  }

  /** The place that an event id names, also one of an earlier run; `undefined` for anything else. */
  find(eventId: string): Place | undefined {
    const [, name, kind, encoded, event] = EVENT_ID.exec(eventId) ?? []
    if (name === undefined || event === undefined) return undefined
    const log = this.#logs.get(name)
    // Another session's requests are nothing to this one.
    const request = encoded !== undefined && name.startsWith(this.#owner) ? decodeRequest(encoded) : undefined
    const after = Number.parseInt(event, 36)
    return { isStanding: kind === 's', after, ...(log && { log }), ...(request !== undefined && { request }) }
  }

  /** An event id of an answer to a POST of which nothing is kept. */
  strayId(): string {
    return `${this.#nextName('p')}.0`
  }

  /** Forgets everything, now and from now on. */
  close(): void {
    this.#isClosed = true
    for (const log of this.#logs.values()) log.drop()
  }

  #add(kind: Kind, request?: RpcId): EventLog {
    const log = new EventLog(this.#nextName(kind) + encodeRequest(request), this.#keeper)
    this.#logs.set(log.name, log)
    this.#shelf.open(log)
    return log
  }

  #nextName(kind: Kind): string {
    return `${this.#tag}.${kind}${(++this.#names).toString(36)}`
  }

  #resized(bytes: number): void {
    this.#bytes += bytes
    while (bytes > 0 && this.#bytes > MOST_BYTES) {
      const finished = this.#oldestFinished()
      if (finished !== undefined) finished.drop()
      else this.#largest().dropOldest()
    }
    this.#shelf.resized(bytes)
  }

  #oldestFinished(): EventLog | undefined {
    return this.#logs.values().find((log) => log.isFinished)
  }

  #largest(): EventLog {
    return this.#logs.values().reduce((one, other) => (other.bytes > one.bytes ? other : one))
  }
}

/** The ids of events outlive this process: who comes back to another one can then be told what became of the request. */
function encodeRequest(request: RpcId | undefined): string {
  if (request === undefined) return ''
  const encoded = Buffer.from(JSON.stringify(request)).toString('base64url')
  return encoded.length <= LONGEST_REQUEST ? `~${encoded}` : ''
}

function decodeRequest(encoded: string): RpcId | undefined {
  try {
    const id: unknown = JSON.parse(Buffer.from(encoded, 'base64url').toString())
    return typeof id === 'string' || typeof id === 'number' ? id : undefined
  } catch {
    return undefined
  }
}
