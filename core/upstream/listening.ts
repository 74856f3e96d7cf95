import type { ConsolaInstance } from 'consola'
import { backoff, doubling, sleep } from '../backoff.ts'
import { isConnectionError, isRpcError, reasonOf, RpcError } from '../errors.ts'
import type { Connection } from '../transport.ts'
import { ErrorCode } from '../wire/codes.ts'
import { isObject, type JsonObject, type RpcNotification } from '../wire/jsonrpc.ts'
import { abortable } from './abortable.ts'
import { startDeadline } from './deadline.ts'
import type { Refused, UpstreamEvent } from './face.ts'
import { openListenStream, type ListenStream, type OwnRequest } from './listen-stream.ts'
import { withdraw } from './requests.ts'

export interface ListeningOptions {
  readonly connection: Connection
  /** The server's name, for messages. */
  readonly name: string
  readonly logger: ConsolaInstance
  readonly request: OwnRequest
  /** What the server says on the stream. */
  onmessage(message: RpcNotification): void
  onevent(event: UpstreamEvent): void
  /** The server could not be reached: whether it is still there at all is worth asking. */
  onsilence(): void
  /** Ms before the nth attempt in a row to open a broken stream again; up to a minute where absent. */
  readonly delay?: (attempt: number) => number
}

/** The one stream of an instance on which the server says what concerns everybody (2026-07-28 basic/patterns/subscriptions). */
export interface Listening {
  /** Opens it where the server announces changes of its lists. Waits a moment for it, never rejects. */
  begin(capabilities: JsonObject, signal: AbortSignal): Promise<void>
  /** The resources to hear of: the whole wish. Never rejects. */
  watch(uris: ReadonlySet<string>, signal: AbortSignal): Promise<Refused>
  /** The server takes a request back: over a pipe that is how it ends the stream. */
  cancelled(id: unknown): void
  /** Whether changes of this list are told, now or once the stream stands again. */
  hears(kind: ListName): boolean
  close(): void
}

const FLAGS = { tools: 'toolsListChanged', prompts: 'promptsListChanged', resources: 'resourcesListChanged' } as const
type ListName = keyof typeof FLAGS
const KINDS = Object.keys(FLAGS) as readonly ListName[]
const NOTHING: ReadonlySet<string> = new Set()

/** Longest wait for an acknowledgement that nobody else limits, in ms. */
const ACKNOWLEDGE = 10_000
/** How long the start of an instance waits for it, in ms: what changes before it is acknowledged is not told. */
const BEGIN = 1000
/** How long a stream must have lived, in ms, for its end to count as harmless. */
const LONG_LIFE = 30_000
const DELAYS = { delays: doubling(500, 60_000), jitter: 0.5 }

export function createListening(options: ListeningOptions): Listening {
  const { connection, name, logger, delay = backoff(DELAYS) } = options
  const end = new AbortController()
  let kinds: readonly ListName[] = []
  /** Whether the start no longer waits: the lists are read as those of a server that tells of changes. */
  let late = false
  let canWatch = false
  let wish = NOTHING
  let current: ListenStream | undefined
  let attempt = 0
  let count = 0
  let reopening = false
  let queue: Promise<unknown> = Promise.resolve()

  /** One change after another: what is watched is known only once the server has said so. */
  function enqueue<T>(work: () => Promise<T>): Promise<T> {
    const done = queue.then(work)
    queue = done.catch(() => {})
    return done
  }

  function open(uris: ReadonlySet<string>): ListenStream {
    // A text: servers that turn ids into texts, as the tag of each message, stay understood.
    const id = `listen-${++count}`
    return openListenStream({
      id,
      flags: kinds.map((kind) => FLAGS[kind]),
      uris,
      request: options.request,
      onacknowledged: adopt,
      onmessage: (message, stream) => current === stream && options.onmessage(message),
      onstop() {
        if (!connection.perRequestStream && !end.signal.aborted) withdraw(connection, logger, id, 'no longer needed')
      },
    })
  }

  /** The new one before the old one ends: nothing is missed between the two, and nothing is told twice. */
  function adopt(stream: ListenStream): void {
    if (current === stream) return
    const before = current
    current = stream
    before?.stop()
    void stream.over.then((reason) => {
      if (current !== stream) return
      current = undefined
      if (Date.now() - stream.since >= LONG_LIFE) attempt = 0
      void reopen(reason)
    })
  }

  /** Resolves with the resources that the server watches; rejects with why there is no stream. */
  async function establish(uris: ReadonlySet<string>, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const stream = open(uris)
    try {
      return await abortable(stream.granted, AbortSignal.any([signal, end.signal]))
    } catch (error) {
      stream.stop()
      throw error
    }
  }

  const isWanted = (): boolean => kinds.length > 0 || wish.size > 0

  /** Opens the stream again, ever more slowly, until it stands, or nobody needs it. */
  async function reopen(why: Error): Promise<void> {
    if (reopening) return
    reopening = true
    let failure: Error | undefined = why
    while (failure !== undefined && mayReturn(failure)) {
      await sleep(delay(attempt++), end.signal)
      if (end.signal.aborted) break
      failure = await enqueue(again)
      // It may have ended as soon as it began.
      if (failure === undefined && current === undefined && isWanted()) failure = new Error('it ended at once')
    }
    reopening = false
    // What changed meanwhile was told to nobody.
    if (current !== undefined) missed(kinds)
  }

  function missed(lists: readonly ListName[]): void {
    if (!end.signal.aborted) for (const kind of lists) options.onevent({ kind, missed: true })
  }

  function mayReturn(reason: Error): boolean {
    if (end.signal.aborted || !isWanted()) return false
    logger.debug(`subscriptions/listen ended: ${reason.message}`)
    if (isConnectionError(reason) && reason.lost) return false
    if (!isUnknown(reason)) return true
    // It announces what it does not have: its lists are read again after a while instead.
    const untold = kinds
    kinds = []
    canWatch = false
    if (late) missed(untold)
    return false
  }

  async function again(): Promise<Error | undefined> {
    if (current !== undefined || !isWanted()) return undefined
    const deadline = startDeadline(ACKNOWLEDGE)
    try {
      await establish(wish, deadline.signal)
      return undefined
    } catch (error) {
      if (isConnectionError(error) && error.status === undefined && !end.signal.aborted) options.onsilence()
      return error instanceof Error ? error : new Error(reasonOf(error))
    } finally {
      deadline.clear()
    }
  }

  async function change(uris: ReadonlySet<string>, signal: AbortSignal): Promise<Refused> {
    if (uris.size === 0 && kinds.length === 0) {
      const before = current
      current = undefined
      before?.stop()
      return new Map()
    }
    try {
      const granted = await (current !== undefined && isSame(current.uris, uris)
        ? current.granted
        : establish(uris, signal))
      return refusedOf(uris, granted, new RpcError(ErrorCode.InvalidParams, `server "${name}" does not watch this`))
    } catch (error) {
      const granted = current === undefined ? NOTHING : await current.granted
      return refusedOf(uris, granted, failureOf(name, error))
    }
  }

  return {
    async begin(capabilities, signal) {
      kinds = KINDS.filter((kind) => announces(capabilities, kind, 'listChanged'))
      canWatch = announces(capabilities, 'resources', 'subscribe')
      if (kinds.length === 0) return
      const moment = new AbortController()
      const opening = enqueue(again).then((failure) => {
        moment.abort()
        if (failure !== undefined) void reopen(failure)
        else if (late) missed(kinds)
      })
      await Promise.race([opening, sleep(BEGIN, AbortSignal.any([moment.signal, signal]))])
      late = true
    },
    async watch(uris, signal) {
      if (!canWatch) {
        return refusedOf(uris, NOTHING, new RpcError(ErrorCode.MethodNotFound, `server "${name}" has no subscriptions`))
      }
      wish = uris
      return enqueue(() => change(uris, signal))
    },
    hears: (kind) => kinds.includes(kind),
    cancelled(id) {
      if (current?.id === id) current?.cancelled()
    },
    close() {
      end.abort()
      current?.stop()
    },
  }
}

/** Whether this is how a server answers a method that it does not have. */
function isUnknown(error: Error): boolean {
  if (isConnectionError(error)) return error.status === 404 || error.status === 405
  return isRpcError(error) && error.code === ErrorCode.MethodNotFound
}

function announces(capabilities: JsonObject, kind: string, what: string): boolean {
  const capability = capabilities[kind]
  return isObject(capability) && capability[what] === true
}

function isSame(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((uri) => other.has(uri))
}

function refusedOf(uris: ReadonlySet<string>, granted: ReadonlySet<string>, error: Error): Refused {
  return new Map([...uris].filter((uri) => !granted.has(uri)).map((uri) => [uri, error]))
}

function failureOf(name: string, error: unknown): Error {
  if (isRpcError(error) || isConnectionError(error)) return error
  return new RpcError(ErrorCode.InternalError, `server "${name}" did not acknowledge the subscription`)
}
