import { setTimeout as sleep } from 'node:timers/promises'
import type { CustomFetch } from 'openid-client'

/** Largest answer of a provider, in bytes: key sets and tokens are a few thousand. */
const LARGEST = 512 * 1024
/** How long (ms) until the second try of a request that has reached nobody. */
const PAUSE = 250

/** Nobody was there: whatever the request asks for has not happened. */
const UNREACHED: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
])
/** The connection broke; a request that changes nothing may be sent again. */
const BROKEN: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

/** The answer was larger than any honest one. */
export class OversizeError extends Error {
  override readonly name = 'OversizeError'
}

/**
 * Requests to the provider: bounded, tried once more when they have reached nobody, never led elsewhere by a redirect, since what
 * they carry is meant for this provider alone. Time limits are the callers'. `onend`: how each one went.
 */
export function createFetch(end: AbortSignal, onend: (isWell: boolean) => void): CustomFetch {
  return async (url, { body, signal, ...init }) => {
    const limit = signal ? AbortSignal.any([end, signal]) : end
    const given = body === undefined || body === null ? {} : { body: body as NonNullable<RequestInit['body']> }
    const send = (): Promise<Response> => fetch(url, { ...init, ...given, redirect: 'manual', signal: limit })
    const sendAgain = async (error: unknown): Promise<Response> => {
      if (!mayRepeat(error, init.method)) throw error
      await sleep(PAUSE, undefined, { signal: limit })
      return send()
    }
    let isWell = false
    try {
      const response = await send().catch(sendAgain)
      const answer = copyOf(response, await readBounded(response), url)
      isWell = response.status < 500
      return answer
    } finally {
      onend(isWell)
    }
  }
}

/** Reads a document of the provider's. */
export function getDocument(fetch: CustomFetch, url: string, patience: number): Promise<Response> {
  return fetch(url, {
    method: 'GET',
    headers: { accept: 'application/json' },
    body: undefined,
    redirect: 'manual',
    signal: AbortSignal.timeout(patience),
  })
}

function copyOf({ status, headers: found }: Response, text: Uint8Array<ArrayBuffer>, url: string): Response {
  const headers = new Headers(found)
  // What went wrong stands in the body (RFC 6749 §5.2); a challenge would be looked at instead of it.
  headers.delete('www-authenticate')
  const copy = new Response(status === 204 || status === 304 ? null : text, { status, headers })
  return Object.defineProperty(copy, 'url', { value: url })
}

function mayRepeat(error: unknown, method: string): boolean {
  const code = codeOf(error)
  return UNREACHED.has(code) || (method === 'GET' && BROKEN.has(code))
}

/** The system's code for what broke a connection, such as `ECONNREFUSED`. */
export function codeOf(error: unknown): string | undefined {
  const { cause } = (error ?? {}) as { cause?: { code?: unknown } }
  return typeof cause?.code === 'string' ? cause.code : undefined
}

async function readBounded(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > LARGEST) throw new OversizeError(`its answer is larger than ${LARGEST} bytes`)
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}
