import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { ConnectionError } from '../../core/index.ts'
import { createAnswer, ERROR_BODY, isSuccess } from './answer.ts'
import { networkError } from './failure.ts'
import { redirectLoop, redirectPath } from './redirect.ts'
import type { Reader, Reply } from './reply.ts'
import type { Site } from './site.ts'

/** How long what is left of an answer may take once it no longer matters, in milliseconds. */
const LINGER = 5000

export interface HttpRequest {
  readonly method: 'POST' | 'GET' | 'DELETE'
  /** Path and query; those of the site where absent. */
  readonly path?: string
  readonly headers: Record<string, string>
  readonly body?: string
}

/** A request on its way. */
export interface Underway {
  /** Rejects `ConnectionError`; `delivered` is false where nothing was sent. */
  readonly reply: Promise<Reply>
  /** Whether any of it has been sent. */
  sent(): boolean
  /** Ends it and its socket. */
  stop(): void
  /** What counted has come: the server may end the answer, but not keep it. */
  release(): void
}

/** Sends a request on a pooled socket and reads its answer without a detour over streams: this is the hot path. */
export function send(site: Site, request: HttpRequest, reader: Reader): Underway {
  let settle: { resolve(reply: Reply): void; reject(error: ConnectionError): void } = { resolve() {}, reject() {} }
  const reply = new Promise<Reply>((resolve, reject) => (settle = { resolve, reject }))
  const trail: string[] = []
  let controller: Dispatcher.DispatchController | undefined
  let stopped = false
  let done = false
  let linger: NodeJS.Timeout | undefined

  function finish(end: Reply | ConnectionError): void {
    if (done) return
    done = true
    clearTimeout(linger)
    if (end instanceof ConnectionError) settle.reject(end)
    else settle.resolve(end)
  }

  function stop(): void {
    stopped = true
    controller?.abort(new Error('stopped'))
    const message = `${site.who}: the request was given up`
    finish(new ConnectionError(message, { delivered: controller !== undefined, lost: false }))
  }

  /** Follows a redirect, if it is one to be followed: then nothing of this answer matters any more. */
  function moves(path: string, status: number, { location }: IncomingHttpHeaders): boolean {
    const next = redirectPath(site, { method: request.method, path }, { status, location })
    if (next === undefined) return false
    const loop = redirectLoop(site, [...trail, next], status)
    if (loop) finish(loop)
    else go(next)
    return true
  }

  function go(path: string): void {
    trail.push(path)
    controller = undefined
    const answer = createAnswer(site, path, reader)
    let rest: ReturnType<typeof createRest> | undefined
    site.pool.dispatch(
      { path, method: request.method, headers: request.headers, body: request.body ?? null },
      {
        onRequestStart(started) {
          controller = started
          if (stopped) started.abort(new Error('stopped'))
        },
        onResponseStart(started, status, headers) {
          if (status < 200) return
          if (moves(path, status, headers)) return void (rest = createRest(started))
          answer.start(status, headers)
          // The reason may be worth a moment, but a server that never ends it must not hold the request.
          if (!isSuccess(status)) linger = setTimeout(() => cut(started, answer.reply()), LINGER).unref()
        },
        onResponseData(started, chunk) {
          if (rest) return rest.drop(chunk)
          const problem = answer.push(chunk)
          if (problem === undefined) return
          const failure = { delivered: true, lost: false, brief: problem }
          cut(started, new ConnectionError(`${site.who} ${problem}`, failure))
        },
        onResponseEnd: () => (rest ? rest.end() : finish(answer.reply())),
        onResponseError(_started, error) {
          if (rest) rest.end()
          else finish(networkError(site.who, error, controller !== undefined))
        },
      },
    )
  }

  function cut(started: Dispatcher.DispatchController, end: Reply | ConnectionError): void {
    finish(end)
    started.abort(new Error('cut'))
  }

  go(request.path ?? site.path)
  return {
    reply,
    sent: () => controller !== undefined,
    stop,
    release() {
      if (!done) linger = setTimeout(stop, LINGER).unref()
    },
  }
}

/** The body of an answer that nobody reads: short ones keep their socket, others lose it. */
function createRest(started: Dispatcher.DispatchController): { drop(chunk: Buffer): void; end(): void } {
  const abort = () => started.abort(new Error('dropped'))
  const timer = setTimeout(abort, LINGER).unref()
  let bytes = 0
  return {
    drop(chunk) {
      bytes += chunk.length
      if (bytes > ERROR_BODY) abort()
    },
    end: () => clearTimeout(timer),
  }
}
