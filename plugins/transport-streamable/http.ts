import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { ConnectionError } from '../../core/index.ts'
import { createEvents } from './events.ts'
import { networkError } from './failure.ts'
import type { Link } from './link.ts'
import type { Reader, Reply } from './reply.ts'

/** Most that is read of the body of an answer that is no success, in bytes. */
const ERROR_BODY = 65_536
/** How long a stream may stay open after its response came, in milliseconds. */
const LINGER = 5000

export interface HttpRequest {
  readonly method: 'POST' | 'GET' | 'DELETE'
  readonly headers: Record<string, string>
  readonly body?: string
}

/** A request on its way. */
export interface Underway {
  /** Rejects `ConnectionError`; `delivered` is false where nothing was sent. */
  readonly reply: Promise<Reply>
  /** Ends it and its socket. */
  stop(): void
  /** What counted has come: the server may end the stream, but not keep it. */
  release(): void
}

/** Sends a request on a pooled socket and reads its answer without a detour over streams: this is the hot path. */
export function send(link: Link, request: HttpRequest, reader: Reader): Underway {
  let settle: { resolve(reply: Reply): void; reject(error: ConnectionError): void } = { resolve() {}, reject() {} }
  const reply = new Promise<Reply>((resolve, reject) => (settle = { resolve, reject }))
  const answer = createAnswer(link, reader)
  let controller: Dispatcher.DispatchController | undefined
  let stopped = false
  let done = false
  let linger: NodeJS.Timeout | undefined

  function finish(error?: ConnectionError): void {
    if (done) return
    done = true
    clearTimeout(linger)
    if (error) settle.reject(error)
    else settle.resolve(answer.reply())
  }

  function stop(): void {
    stopped = true
    controller?.abort(new Error('stopped'))
    finish(
      new ConnectionError(`${link.who}: the request was given up`, {
        delivered: controller !== undefined,
        lost: false,
      }),
    )
  }

  link.pool.dispatch(
    { path: link.path, method: request.method, headers: request.headers, body: request.body ?? null },
    {
      onRequestStart(started) {
        controller = started
        if (stopped) started.abort(new Error('stopped'))
      },
      onResponseStart(_controller, status, headers) {
        if (status >= 200) answer.start(status, headers)
      },
      onResponseData(started, chunk) {
        const problem = answer.push(chunk)
        if (problem === undefined) return
        finish(new ConnectionError(`${link.who} ${problem}`, { delivered: true, lost: false, brief: problem }))
        started.abort(new Error(problem))
      },
      onResponseEnd: () => finish(),
      onResponseError: (_controller, error) => finish(networkError(link.who, error, controller !== undefined)),
    },
  )
  return {
    reply,
    stop,
    release() {
      if (!done) linger = setTimeout(stop, LINGER).unref()
    },
  }
}

/** Collects one answer: events go to the reader as they come, anything else is kept. */
function createAnswer(link: Link, reader: Reader) {
  let status = 0
  let headers: IncomingHttpHeaders = {}
  let events: ReturnType<typeof createEvents> | undefined
  const chunks: Buffer[] = []
  let bytes = 0
  const isSuccess = () => status < 300

  return {
    start(code: number, received: IncomingHttpHeaders): void {
      status = code
      headers = received
      if (isSuccess() && mediaType(headers) === 'text/event-stream') events = createEvents(link.maxMessageBytes, reader)
      reader.onheaders?.(status, headers, events !== undefined)
    },
    /** What is wrong with it, if anything. */
    push(chunk: Buffer): string | undefined {
      if (events) return events.push(chunk)
      bytes += chunk.length
      if (bytes <= (isSuccess() ? link.maxMessageBytes : ERROR_BODY)) chunks.push(chunk)
      else if (isSuccess()) return `sent a message of more than ${link.maxMessageBytes} bytes, which is the limit`
      return undefined
    },
    reply: (): Reply => ({
      status,
      headers,
      streamed: events !== undefined,
      text: (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))?.toString() ?? '',
    }),
  }
}

/** The media type of an answer, without parameters, in lower case. */
export function mediaType(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}
