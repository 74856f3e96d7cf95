import type { LookupAddress } from 'node:dns'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { isPublicAddress } from './addresses.ts'
import { DocumentError } from './document-error.ts'
import { resolveName } from './resolve-name.ts'

/** Largest document, in bytes. */
const LARGEST = 10 * 1024
/** How long (ms) it may take in all, however slowly it comes. */
const PATIENCE = 5000
/** Longest text of somebody else's that gets into an error. */
const LONGEST_QUOTE = 200

/** How documents are fetched; everything here is for tests. */
export interface FetchOptions {
  readonly resolve?: (name: string, signal: AbortSignal) => Promise<readonly LookupAddress[]>
  readonly ca?: string
  readonly port?: number
  readonly isAllowed?: (address: string) => boolean
  readonly patience?: number
}

/** A document and how long (ms) its server wants it kept. */
export interface Fetched {
  readonly document: unknown
  readonly maxAge: number | undefined
}

/**
 * Fetches a document of somebody else's choosing: from a public address only, the one that was looked at and no other
 * (no second look-up, no redirect), bounded in size and time. Nothing is open any more when it settles. Rejects
 * `DocumentError`.
 */
export async function fetchDocument(url: URL, options: FetchOptions, end: AbortSignal): Promise<Fetched> {
  const { patience = PATIENCE } = options
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(new Error(`no answer within ${patience / 1000} s`)), patience)
  const signal = AbortSignal.any([end, limit.signal])
  try {
    return await Promise.race([read(url, options, signal), aborted(signal)])
  } catch (error) {
    throw error instanceof DocumentError
      ? error
      : new DocumentError(reasonIn(signal.aborted ? signal.reason : error), true)
  } finally {
    clearTimeout(timer)
    // Closes the connection, whatever has become of it.
    limit.abort()
  }
}

async function read(url: URL, options: FetchOptions, signal: AbortSignal): Promise<Fetched> {
  const addresses = await vetted(url.hostname, options, signal)
  signal.throwIfAborted()
  const response = await get(url, addresses, options, signal)
  checkHead(response)
  return { document: parse(await readBody(response)), maxAge: maxAgeOf(response.headers['cache-control']) }
}

/** One address that is not public spoils the name: its owner may be trying which one is taken. */
async function vetted(
  name: string,
  { resolve = resolveName, isAllowed = isPublicAddress }: FetchOptions,
  signal: AbortSignal,
): Promise<readonly LookupAddress[]> {
  const addresses = await resolve(name, signal)
  if (addresses.length === 0) throw new DocumentError('its name has no address', true)
  if (addresses.every(({ address }) => isAllowed(address))) return addresses
  throw new DocumentError('its name leads to an address that is not public', false)
}

function get(
  url: URL,
  addresses: readonly LookupAddress[],
  { ca, port }: FetchOptions,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      // To the letter, an empty query too.
      path: url.href.slice(url.origin.length),
      ...(port !== undefined && { port }),
      ...(ca !== undefined && { ca }),
      // A connection of its own, closed afterwards; whose certificate counts even where NODE_TLS_REJECT_UNAUTHORIZED
      // says 0.
      agent: false,
      rejectUnauthorized: true,
      signal,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'mcp-proxy-server' },
      // The addresses that were looked at; Node asks for all of them or for one.
      lookup: (_name, { all }, done) => {
        const [first] = addresses
        if (all) done(null, [...addresses])
        else done(null, first?.address ?? '', first?.family ?? 4)
      },
    })
    sent.on('response', resolve)
    sent.on('error', reject)
    // Not every end is an error to Node: 101 Switching Protocols is none.
    sent.on('close', () => reject(new Error('it hung up')))
    sent.end()
  })
}

/**
 * Throws for an answer that cannot hold a document (draft-ietf-oauth-client-id-metadata-document §4: 200 and JSON,
 * nothing else).
 */
function checkHead({ statusCode = 0, headers }: IncomingMessage): void {
  // Whatever stands between may answer anything; only these two say that there is no such document.
  if (statusCode !== 200) throw new DocumentError(`it answered ${statusCode}`, statusCode !== 404 && statusCode !== 410)
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (!/^application\/(?:[\w.-]+\+)?json$/.test(type)) {
    throw new DocumentError(`it is ${type.slice(0, LONGEST_QUOTE) || 'of no type'}, not JSON`, true)
  }
  if (headers['content-encoding'] !== undefined) throw new DocumentError('it is compressed', false)
}

async function readBody(response: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > LARGEST) throw new DocumentError(`it is larger than ${LARGEST} bytes`, false)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** JSON in UTF-8, without a byte order mark (RFC 8259 §8.1). */
function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    throw new DocumentError('it is not JSON', false)
  }
}

function maxAgeOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  if (/\bno-(?:store|cache)\b/i.test(header)) return 0
  const seconds = /\bmax-age=(\d+)\b/i.exec(header)?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}

/** What went wrong; where no address could be reached Node says it in the code alone. */
function reasonIn(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException
  return (message || code || 'it failed').slice(0, LONGEST_QUOTE)
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
