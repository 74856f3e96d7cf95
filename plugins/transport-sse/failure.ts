import { STATUS_CODES } from 'node:http'
import { ConnectionError, isFailure, isResponse } from '../../core/index.ts'
import { readMessages } from './events.ts'
import { describeTarget, isRedirect } from './redirect.ts'
import type { Reply } from './reply.ts'
import type { Site } from './site.ts'

/** Most of a foreign error text that is repeated, in characters. */
const TEXT_CUT = 200

const NETWORK: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there (connection refused); check "url"',
  ENOTFOUND: 'the host name is not known; check "url"',
  EAI_AGAIN: 'the host name could not be looked up; check the network',
  ECONNRESET: 'the connection broke',
  UND_ERR_SOCKET: 'the connection broke',
  UND_ERR_CONNECT_TIMEOUT: 'no connection came about in time; check "url" and the network',
}

/** Whether a status says something about the moment: what is asked again later may be answered otherwise. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 429 || status >= 500
}

/** Why a request got no answer at all. */
export function networkError(who: string, error: Error, sent: boolean): ConnectionError {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const why = NETWORK[code] ?? (error.message || code || error.name)
  return new ConnectionError(`${who}: ${why}`, { delivered: sent, lost: false }, { cause: error })
}

/** Whether an answer to a request of a session says that the server has forgotten it. */
export function forgotSession(reply: Reply): boolean {
  // Some servers say 400 and mean 404.
  return reply.status === 404 || (reply.status === 400 && /session/i.test(errorText(reply)))
}

/** An HTTP status that answers no request; `lost`: the session is over. */
export function statusError(site: Site, reply: Reply, lost = false): ConnectionError {
  const { status, headers } = reply
  const challenge = headers['www-authenticate']
  return new ConnectionError(`${site.who} ${explain(site, reply, lost)}`, {
    // Refused before it was looked at: it may be sent again once the reason is gone. 303 comes after the fact.
    delivered: !(lost || status === 401 || status === 403 || (isRedirect(status) && status !== 303)),
    lost,
    status,
    ...((status === 401 || status === 403) && challenge !== undefined && { challenge }),
  })
}

function explain(site: Site, reply: Reply, lost: boolean): string {
  const { status, path, headers } = reply
  if (lost) return `no longer knows the session (${status})`
  if (isRedirect(status)) return `redirects (${status})${describeTarget(site, path, headers.location)}; update "url"`
  const text = errorText(reply)
  return `answered ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd() + (text === '' ? '' : `: ${text}`)
}

/** What the server says about it: the message of a JSON-RPC error, else the beginning of the text. */
function errorText({ text }: Reply): string {
  for (const message of readMessages(text)) {
    if (isResponse(message) && isFailure(message)) return cut(message.error.message)
  }
  return cut(text)
}

function cut(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim()
  return line.length > TEXT_CUT ? `${line.slice(0, TEXT_CUT)}…` : line
}
