import { backoff, ConnectionError, doubling, isConnectionError, isResponse, sleep } from '../../core/index.ts'
import type { Exchange, RpcId, RpcMessage, RpcRequest, RpcResponse } from '../../core/index.ts'
import { isSuccess, mediaType, readMessages, send } from '../transport-sse/index.ts'
import type { Reader, Reply, Underway } from '../transport-sse/index.ts'
import { refusal, refusalOf } from './failure.ts'
import { startLimit } from './limit.ts'
import type { Link } from './link.ts'

/** Attempts in a row to resume a broken stream that bring nothing new, before the request counts as failed. */
const RESUME_TRIES = 5
/** Attempts in a row that reach nobody: a server that is gone does not remember where it was. */
const UNREACHED_TRIES = 2
/** Least pause before a stream is resumed, in milliseconds: "at once" would be a busy loop. */
const SHORTEST = 50
/** Longest wait for the id of a session that nobody wants any more, in milliseconds: without it nobody can end it. */
const LATE = 1000
const resumeDelay = backoff({ delays: doubling(500, 8000), jitter: 0.5 })

/** One request on its way to its response. */
export interface OpenRequest {
  readonly response: Promise<RpcResponse>
  /**
   * Ends the wait and its stream; the response rejects with `error`. A request that may have begun a session is still
   * listened to until its answer begins, for `LATE` ms at most: then the result resolves with that session's id.
   */
  giveUp(error: ConnectionError): Promise<string | undefined> | undefined
  /** The session id that came with the answer. */
  session(): string | undefined
  /** Whether a result has come. */
  answered(): boolean
}

/**
 * Sends a request; all that its answer's stream carries goes to `exchange`, until the response has come. `wait` is how
 * it pauses, for tests.
 */
export function openRequest(link: Link, message: RpcRequest, exchange: Exchange, wait = sleep): OpenRequest {
  const initialize = message.method === 'initialize'
  // 2026-07-28: what brings its own version belongs to no session, and its stream cannot be resumed.
  const stateless = exchange.headers?.['mcp-protocol-version'] !== undefined
  let settle: { resolve(response: RpcResponse): void; reject(error: unknown): void } = { resolve() {}, reject() {} }
  const response = new Promise<RpcResponse>((resolve, reject) => (settle = { resolve, reject }))
  let over = false
  /** Ends a pause between two attempts. */
  let pause: AbortController | undefined
  let session: string | undefined
  let hasBegun = false
  /** Hears that the answer has begun. */
  let onbegin: () => void = () => {}
  let answered = false
  let lastEventId: string | undefined
  let retry = 0

  function finish(found: RpcResponse): void {
    if (over) return
    over = true
    answered = 'result' in found
    pause?.abort()
    underway.release()
    settle.resolve(found)
  }

  function fail(error: unknown): void {
    if (over) return
    over = true
    pause?.abort()
    underway.stop()
    settle.reject(error)
  }

  function giveUp(error: ConnectionError): Promise<string | undefined> | undefined {
    // There are servers that begin a session with whatever request they refuse.
    if (initialize || message.method === 'server/discover') return leave(error)
    fail(error)
    return undefined
  }

  /** As `fail`, but what has been sent may have begun a session: its id is waited for. */
  async function leave(why: ConnectionError): Promise<string | undefined> {
    if (hasBegun || !underway.sent()) fail(why)
    else {
      over = true
      settle.reject(why)
      const { reply, stop } = underway
      const begun = new Promise<void>((resolve) => (onbegin = resolve))
      const clear = startLimit(LATE, stop)
      await Promise.race([begun, reply.catch(() => undefined)])
      clear()
      stop()
    }
    return answered ? undefined : session
  }

  function take(received: RpcMessage): void {
    if (!isResponse(received)) {
      if (!over) exchange.onmessage(received, true)
    } else if (received.id === message.id) finish(received)
  }

  const reader: Reader = {
    onmessage: (received) => take(addressed(received, message.id)),
    onid: (id) => (lastEventId = id),
    onretry: (milliseconds) => (retry = milliseconds),
    onhead({ headers }) {
      session ??= sessionOf(headers['mcp-session-id'])
      if (initialize && !over) link.adopt(session)
      hasBegun = true
      onbegin()
    },
  }
  const body = JSON.stringify(message)
  let underway: Underway = send(
    link,
    { method: 'POST', headers: link.headers(exchange.headers, initialize), body },
    reader,
  )

  async function run(): Promise<void> {
    let broken: unknown
    let status: number | undefined
    try {
      const reply = await underway.reply
      if (!reply.streamed) return readWhole(reply)
      status = reply.status
    } catch (error) {
      broken = error
    }
    if (over) return
    const unreached = lastEventId === undefined || stateless ? undefined : await resume()
    throw unreached ?? broken ?? endedEarly(link, message.method === 'server/discover' ? status : undefined)
  }

  function readWhole(reply: Reply): void {
    if (!isSuccess(reply.status)) {
      const answer = refusalOf(link, reply, message)
      if (answer === undefined) throw refusal(link, reply)
      return finish(answer)
    }
    for (const received of readMessages(reply.text)) take(addressed(received, message.id))
    if (!over) throw notAnAnswer(link, reply)
  }

  /**
   * Comes back for the rest of a stream that ended early (2025-11-25 basic/transports#Resumability and Redelivery), until
   * the response has come or there is no use in it. Resolves with why the server cannot be reached, where that is it.
   */
  async function resume(): Promise<ConnectionError | undefined> {
    pause = new AbortController()
    let unreached = 0
    for (let tries = 0; tries < RESUME_TRIES && !over; tries++) {
      // The first time as soon as the server says, if it says so; afterwards ever more slowly.
      const delay = tries === 0 && retry > 0 ? Math.max(retry, SHORTEST) : Math.max(retry, resumeDelay(tries))
      await wait(delay, pause.signal)
      if (over || lastEventId === undefined) return undefined
      const from = lastEventId
      underway = send(link, { method: 'GET', headers: link.headers({ 'last-event-id': from }) }, reader)
      const end = await underway.reply.catch((error: unknown) => error)
      if (isConnectionError(end)) {
        unreached = end.delivered ? 0 : unreached + 1
        if (unreached === UNREACHED_TRIES) return brokenOff(end)
      } else if (!over && !(end as Reply).streamed) throw refusal(link, end as Reply)
      if (lastEventId !== from) tries = -1
    }
    return undefined
  }

  run().catch(fail)
  // No getters: this is made for every request (`Hold` says what they cost).
  return { response, giveUp, session: () => session, answered: () => answered }
}

/** An error that names no request answers the only one that was asked here. */
function addressed(received: RpcMessage, id: RpcId): RpcMessage {
  return 'error' in received && (received.id === null || received.id === undefined) ? { ...received, id } : received
}

/** A session id consists of visible ASCII (2025-11-25 basic/transports#Session Management); anything else is ignored. */
function sessionOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && /^[\x21-\x7e]+$/.test(header) ? header : undefined
}

/** The request itself was delivered, whatever became of the attempts to hear the end of it. */
function brokenOff(error: ConnectionError): ConnectionError {
  const message = `${error.message}; its answer had broken off before`
  return new ConnectionError(message, { delivered: true, lost: false }, { cause: error })
}

/** `status`: where it is worth as much as an answer that holds none. */
function endedEarly({ who }: Link, status: number | undefined): ConnectionError {
  const failure = { delivered: true, lost: false, ...(status !== undefined && { status }) }
  return new ConnectionError(`${who} ended its answer without a response`, failure)
}

function notAnAnswer(link: Link, { status, headers, text }: Reply): ConnectionError {
  const what = text === '' ? 'nothing' : `${mediaType(headers) || 'something'} that holds no response to the request`
  const message = `${link.who} answered ${status} with ${what}; check that "url" is an MCP endpoint`
  return new ConnectionError(message, { delivered: true, lost: false, status })
}
