import { sleep } from '../backoff.ts'
import { isConnectionError, isRpcError, reasonOf } from '../errors.ts'
import type { Connection } from '../transport.ts'
import { ErrorCode } from '../wire/codes.ts'
import { standardHeaders } from '../wire/headers.ts'
import { isFailure, isObject, type JsonObject, type JsonValue, type RpcResponse } from '../wire/jsonrpc.ts'
import { isLegacyVersion, isModernVersion, MODERN_VERSIONS, NEWEST_LEGACY } from '../wire/versions.ts'
import { ownRequest } from './requests.ts'
import type { Era } from './verdict.ts'

/** What a server turned out to speak, and how that shows. */
export interface Finding<Begun> {
  readonly era: Era
  readonly why: string
  /** Whether the server said so itself; else it was only silent. */
  readonly lasts: boolean
  /** The answer to `server/discover`, where that is what says so. */
  readonly discovered?: JsonObject | undefined
  /** The session, where it was begun meanwhile. */
  readonly begun?: Begun
  /** A session was asked for too: the connection may serve nothing else from then on, and must be replaced. */
  readonly isSpoilt?: boolean
}

export interface ProbeOptions<Begun> {
  readonly connection: Connection
  /** The server's name, for messages. */
  readonly name: string
  readonly signal: AbortSignal
  /** Begins a session; rejects as `initialize` does. */
  begin(signal: AbortSignal): Promise<Begun>
  /** How long the server may take to answer before a session is begun all the same, in ms. */
  readonly patience?: number
}

/** Starting with `npx` takes some seconds, and there are servers that never answer what they do not know. */
const PATIENCE = 3000
/** A server elsewhere runs already, but may have to be woken. */
const HTTP_PATIENCE = 10_000
const DISCOVER = 'server/discover'
const ONLY_MODERN: ReadonlySet<number> = new Set([ErrorCode.HeaderMismatch, ErrorCode.MissingClientCapability])

/**
 * Asks a server which era it speaks, on the connection that is then used (2026-07-28 basic/versioning#Backward
 * Compatibility). Rejects where nothing can be concluded: as the connection does, or because no era is common.
 */
export async function probe<Begun>(options: ProbeOptions<Begun>): Promise<Finding<Begun>> {
  const { connection, signal } = options
  const isHttp = connection.perRequestStream
  const patience = options.patience ?? (isHttp ? HTTP_PATIENCE : PATIENCE)
  const stop = new AbortController()
  const asking = ask(connection, AbortSignal.any([signal, stop.signal])).then(
    (response) => judge(options.name, response),
    (error: unknown) => unanswered(error, isHttp),
  )
  const rest = new AbortController()
  const first = await Promise.race([asking, sleep(patience, rest.signal)]).finally(() => rest.abort())
  // Its late answer is one to no open request: a pipe drops it, and the stream of its own is closed.
  return first ?? raceSession({ ...options, patience, isHttp }, asking).finally(() => stop.abort())
}

/** Servers answer in order: whichever of both answers comes first says what the server is. */
async function raceSession<Begun>(
  { begin, signal, patience, isHttp }: ProbeOptions<Begun> & { readonly patience: number; readonly isHttp: boolean },
  asking: Promise<Finding<Begun>>,
): Promise<Finding<Begun>> {
  const stop = new AbortController()
  const beginning = begin(AbortSignal.any([signal, stop.signal]))
  const silent = beginning.then(
    (begun): Finding<Begun> => ({ era: 'legacy', why: `no answer to ${DISCOVER}`, lasts: false, begun }),
    async (error: unknown) => {
      // Refused: what it makes of the other request may take a moment longer.
      if (isRpcError(error) || isHttp) await sleep(patience, stop.signal)
      throw error
    },
  )
  // Over HTTP one request may fail without the other: the connection may even have changed its transport meanwhile.
  const asked = asking.catch((error: unknown) => {
    if (isHttp && isConnectionError(error)) return silent
    throw error
  })
  try {
    const found = await Promise.race([asked, silent])
    if (found.begun !== undefined) return found
    if (found.era === 'modern') {
      // One that has no sessions says so, and nothing has happened; others may hold the connection for one now.
      const isUnharmed = !isHttp && beginning.then(() => false, isRpcError)
      return { ...found, isSpoilt: !(await Promise.race([isUnharmed, sleep(patience, stop.signal)])) }
    }
    return { ...found, begun: await beginning }
  } finally {
    stop.abort()
    asked.catch(() => {})
    silent.catch(() => {})
  }
}

/** With id 0, which the faces never use; that is the first id of most clients, so servers take it. */
function ask(connection: Connection, signal: AbortSignal): Promise<RpcResponse> {
  const message = ownRequest(DISCOVER, {}, 0)
  return connection.request(message, { party: '', signal, onmessage: () => {}, headers: standardHeaders(DISCOVER, {}) })
}

function judge(name: string, response: RpcResponse): Finding<never> {
  if (!isFailure(response)) {
    const { supportedVersions } = response.result
    if (Array.isArray(supportedVersions)) return choose(name, supportedVersions, response.result)
    return older(`it answers ${DISCOVER} without versions`)
  }
  const { code, data } = response.error
  const supported = isObject(data) ? data.supported : undefined
  if (code === ErrorCode.UnsupportedProtocolVersion && Array.isArray(supported)) return choose(name, supported)
  const why = `it answers ${DISCOVER} with error ${code}`
  // Nothing older has these; what it makes of the next request shows.
  if (ONLY_MODERN.has(code)) return { era: 'modern', why, lasts: false }
  return older(why)
}

function choose(name: string, versions: readonly JsonValue[], discovered?: JsonObject): Finding<never> {
  const named = versions.filter((version) => typeof version === 'string')
  const why = `it names ${named.join(', ')}`
  if (named.some(isModernVersion)) return { era: 'modern', why, lasts: true, ...(discovered && { discovered }) }
  if (named.some(isLegacyVersion)) return older(why)
  throw new Error(
    `server "${name}" speaks the protocol versions ${named.join(', ') || '(none)'}; ` +
      `the proxy speaks ${MODERN_VERSIONS.join(', ')} and ${NEWEST_LEGACY} and older`,
  )
}

function older(why: string): Finding<never> {
  return { era: 'legacy', why, lasts: true }
}

/** What it means that there is no answer; throws where it means nothing. */
function unanswered(error: unknown, isHttp: boolean): Finding<never> {
  // Not the server, but a connection that is made for what it knows.
  if (!isConnectionError(error)) return { era: 'legacy', why: `no ${DISCOVER}: ${reasonOf(error)}`, lasts: false }
  if (!isHttp || !isRefusal(error)) throw error
  const { status = 0 } = error
  return { era: 'legacy', why: `it answers ${DISCOVER} with HTTP status ${status}`, lasts: status >= 400 }
}

/** Evidence of nothing: statuses that say something about the client, or about the moment. 5xx are no evidence anyway. */
const PASSING: ReadonlySet<number> = new Set([401, 403, 408, 429])

/** Whether an HTTP status says that the server does not know the request; a success without an answer says so too. */
export function isRefusal(error: unknown): error is Error & { readonly status?: number } {
  if (!isConnectionError(error) || error.status === undefined) return false
  const { status } = error
  return (status >= 200 && status < 300) || (status >= 400 && status < 500 && !PASSING.has(status))
}
