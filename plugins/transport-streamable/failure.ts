import { STATUS_CODES } from 'node:http'
import { ConnectionError, isFailure, isResponse, type RpcId, type RpcResponse } from '../../core/index.ts'
import { describeUrl } from './entry.ts'
import { readMessages } from './events.ts'
import type { Link } from './link.ts'
import type { Reply } from './reply.ts'

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

/** Why a request got no answer at all. */
export function networkError(who: string, error: Error, sent: boolean): ConnectionError {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const why = NETWORK[code] ?? (error.message || code || error.name)
  return new ConnectionError(`${who}: ${why}`, { delivered: sent, lost: false }, { cause: error })
}

/** The response to request `id` in an answer that is no success: servers of 2026-07-28 answer errors with 400 and 404. */
export function refusalOf(link: Link, reply: Reply, id: RpcId): RpcResponse | undefined {
  if (reply.status === 401 || reply.status === 403 || isSessionLost(link, reply)) return undefined
  return readMessages(reply.text).find((message): message is RpcResponse => isResponse(message) && message.id === id)
}

/** Whether the server has forgotten the session (2025-11-25 basic/transports#Session Management). */
export function isSessionLost(link: Link, reply: Reply): boolean {
  if (link.session === undefined) return false
  // Some servers say 400 and mean 404.
  return reply.status === 404 || (reply.status === 400 && /session/i.test(errorText(reply)))
}

/** An HTTP status that answers no request. */
export function statusError(link: Link, reply: Reply): ConnectionError {
  const { status, headers } = reply
  const lost = isSessionLost(link, reply)
  const challenge = headers['www-authenticate']
  return new ConnectionError(`${link.who} ${explain(reply, lost)}`, {
    // Refused before it was looked at: it may be sent again once the reason is gone.
    delivered: !(lost || status === 401 || status === 403 || isRedirect(status)),
    lost,
    status,
    ...((status === 401 || status === 403) && challenge !== undefined && { challenge }),
  })
}

function explain(reply: Reply, lost: boolean): string {
  const { status } = reply
  if (lost) return `no longer knows the session (${status})`
  if (isRedirect(status)) return `redirects (${status})${targetOf(reply)}; update "url"`
  const text = errorText(reply)
  return `answered ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd() + (text === '' ? '' : `: ${text}`)
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400
}

function targetOf({ headers: { location } }: Reply): string {
  if (location === undefined) return ''
  // A relative target is a path; the base only makes it readable.
  if (!URL.canParse(location)) return ` to ${location.split(/[?#]/, 1)[0]}`
  return ` to ${describeUrl(location)}`
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
