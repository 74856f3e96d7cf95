import { ConnectionError, isConnectionError, reasonOf, type RpcMessage } from '../../core/index.ts'
import { mediaType } from './answer.ts'
import { describeUrl } from './entry.ts'
import { statusError } from './failure.ts'
import { send } from './http.ts'
import type { Reply } from './reply.ts'
import type { Site } from './site.ts'

/** The one stream on which a server says everything. */
export interface EventStream {
  /** Path and query that messages are posted to; rejects with why there is none. */
  readonly endpoint: Promise<string>
  /** Resolves with how the stream ended. Never rejects. */
  readonly over: Promise<ConnectionError>
  stop(): void
}

export interface StreamListener {
  onmessage(message: RpcMessage): void
  /** A message over the limit went by: its two ends, and what is wrong. */
  onlong(head: string, tail: string, problem: string): void
}

/** Opens the stream of a server (2024-11-05 basic/transports#HTTP with SSE). */
export function openStream(site: Site, headers: Record<string, string>, listener: StreamListener): EventStream {
  let announce: { resolve(endpoint: string): void; reject(error: unknown): void } = { resolve() {}, reject() {} }
  const endpoint = new Promise<string>((resolve, reject) => (announce = { resolve, reject }))
  let path = site.path
  const underway = send(
    site,
    { method: 'GET', headers },
    {
      ...listener,
      onhead: (head) => void (path = head.path),
      onevent(type, data) {
        // Only the first one counts: moving an open session elsewhere is nothing the protocol knows.
        if (type === 'endpoint') endpointOf(site, path, data.trim(), announce)
      },
    },
  )
  const over = underway.reply.then(
    (reply) => endOf(site, reply),
    (error: unknown) => broken(site, error),
  )
  void over.then(announce.reject)
  // Who stops waiting for it is not told twice.
  endpoint.catch(() => {})
  return { endpoint, over, stop: underway.stop }
}

/** An endpoint elsewhere would be sent what is meant for this server alone, headers with keys in them included. */
function endpointOf(
  site: Site,
  path: string,
  text: string,
  announce: { resolve(endpoint: string): void; reject(error: unknown): void },
): void {
  const refuse = (what: string) =>
    announce.reject(new ConnectionError(`${site.who} ${what}`, { delivered: true, lost: true }))
  const base = site.origin + path
  if (!URL.canParse(text, base)) return refuse('names an endpoint that is no URL; check "url" and the server')
  const url = new URL(text, base)
  if (url.origin === site.origin) return announce.resolve(url.pathname + url.search)
  const target = url.origin === 'null' ? url.protocol : describeUrl(url)
  refuse(
    `names an endpoint at another origin (${target}), which is not used; ` +
      'change "url" to that origin, or the server to name a path',
  )
}

function endOf(site: Site, reply: Reply): ConnectionError {
  if (reply.status >= 300) return statusError(site, reply)
  const { status, headers } = reply
  if (reply.streamed) return lost(site, 'ended its stream')
  const what = mediaType(headers) || 'something without a type'
  const message = `${site.who} answered ${status} with ${what} instead of an event stream; check "url"`
  return new ConnectionError(message, { delivered: true, lost: true, status })
}

function broken(site: Site, error: unknown): ConnectionError {
  if (isConnectionError(error)) return error
  return lost(site, `broke off its stream: ${reasonOf(error)}`)
}

function lost(site: Site, what: string): ConnectionError {
  return new ConnectionError(`${site.who} ${what}`, { delivered: true, lost: true, brief: what })
}
