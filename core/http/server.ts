import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { H3, toNodeHandler } from 'h3'
import { listen as listhen } from 'listhen'
import { sleep } from '../backoff.ts'
import { ProxyError, reasonOf } from '../errors.ts'
import { keepDescriptorsFree } from './descriptors.ts'
import { problem } from './errors.ts'
import { addressOf, bindProblem } from './port.ts'

export interface ServerOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  fetch(request: Request): Promise<Response>
  /** Told of what goes wrong on the listener or escapes `fetch`. */
  onerror(message: string, error: unknown): void
}

/** A bound listener. */
export interface HttpServer {
  /** Where it really listens. */
  readonly address: AddressInfo
  /** Accepts no new connection from now on. Open ones go on. */
  refuse(): void
  /** Waits up to `limit` milliseconds until every request whose head has come in is answered. Cuts nothing. */
  answered(limit: number): Promise<void>
  /** Waits up to `grace` milliseconds for requests in flight, then cuts what is left. Idempotent. */
  close(grace: number): Promise<void>
}

/** Idle connections outlive those of a load balancer (usually 60 s), else it meets a closed one and answers 502. */
const KEEP_ALIVE = 65_000

/**
 * Paths that are read as other ones: dot segments, backslashes. No client sends them, but they could get past what a proxy before
 * this one forbids.
 */
const OTHER_PATH = /^[^?#]*(?:\\|\/(?:\.|%2e){1,2}(?:[/?#]|$))/i

/** How often (ms) a closing listener looks what is left. */
const STEP = 20

/** Binds and serves. Rejects ERR_PROXY_CONFIG for an address or port that cannot be bound, else the system's error (EADDRINUSE). */
export async function serveHttp(options: ServerOptions): Promise<HttpServer> {
  const { host, port, onerror } = options
  const server = await bind(options)
  server.on('error', (error) => onerror('listener', error))
  server.keepAliveTimeout = KEEP_ALIVE
  server.headersTimeout = KEEP_ALIVE + 1000
  keepDescriptorsFree(server, (problem) => onerror('listener', problem))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the listener has no address')
  if (port !== 0 && address.port !== port) {
    // listhen quietly takes another port for numbers that browsers refuse to open (6000, 6667, …).
    server.close()
    const why = `port ${port} is reserved for another protocol and browsers refuse it; choose another one`
    throw new ProxyError('ERR_PROXY_CONFIG', `cannot listen on ${host}: ${why} with MCP_PORT or --port`)
  }
  let answering = 0
  const onclose = (): void => void answering--
  server.on('request', (_, response) => {
    answering++
    response.once('close', onclose)
  })
  return {
    address,
    refuse: () => void server.close(),
    answered: (limit) => wait(server, limit, () => answering === 0),
    close: (grace) => close(server, grace),
  }
}

/**
 * listhen binds without an error listener and gives the server out only afterwards, so a failure in that moment (someone
 * took the port after listhen had looked) can be caught in one place only.
 */
async function bind(options: ServerOptions): Promise<Server> {
  const { host, port } = options
  const hostname = await addressOf(host) // an IP address: listhen replaces names it does not like by "all interfaces"
  const { promise: failed, reject } = rejection()
  const capturing = !process.hasUncaughtExceptionCaptureCallback()
  if (capturing) process.setUncaughtExceptionCaptureCallback(reject)
  try {
    const listening = listhen(nodeHandler(options), {
      hostname,
      // Not a bare number: for 0, listhen would take 3000. `verbose` would write to stdout.
      port: { port, random: port === 0, verbose: false },
      autoClose: false, // else SIGTERM ends the process on the spot
      isProd: true, // else a taken port silently becomes another
      showURL: false,
      open: false,
      clipboard: false,
    })
    const { server } = await Promise.race([listening, failed])
    // listhen's own bookkeeping (http-shutdown) throws, uncaught, when a request was cut off before its answer was
    // written. It only serves listhen's close(), which is not used here.
    for (const listener of server.listeners('request').slice(1)) server.off('request', listener as () => void)
    return server
  } catch (error) {
    if (error instanceof Error && error.name === 'GetPortError') throw taken(host, port)
    throw bindProblem(error, host, port) ?? error
  } finally {
    if (capturing) process.setUncaughtExceptionCaptureCallback(null)
  }
}

/** srvx's adapter, which h3 brings: it hands over a lazy request and writes the response straight to Node's. */
function nodeHandler({ fetch, onerror }: ServerOptions): ReturnType<typeof toNodeHandler> {
  const guarded = async (request: Request): Promise<Response> => {
    try {
      if (OTHER_PATH.test(nodeOf(request).req?.url ?? '')) {
        return problem(404, 'not_found', 'Nothing is served at this path.')
      }
      const response = await fetch(request)
      return response.status === 401 || response.status === 403 ? spellChallenge(request, response) : response
    } catch (error) {
      onerror(`${request.method} ${new URL(request.url).pathname}`, error)
      return new Response(null, { status: 500 })
    }
  }
  return toNodeHandler(Object.assign(new H3(), { fetch: guarded }))
}

/** Node's side of a request, as srvx tells it. */
function nodeOf(request: Request): { readonly req?: IncomingMessage; readonly res?: ServerResponse } {
  return (request as { readonly runtime?: { readonly node?: ReturnType<typeof nodeOf> } }).runtime?.node ?? {}
}

/** Some clients know this header by its usual spelling alone. srvx writes every name in lower case, but for what Node was told before. */
function spellChallenge(request: Request, response: Response): Response {
  const challenge = response.headers.get('www-authenticate')
  const told = nodeOf(request).res
  if (challenge === null || told === undefined) return response
  told.setHeader('WWW-Authenticate', challenge)
  // A copy: the headers of what was fetched elsewhere cannot be changed.
  const headers = new Headers(response.headers)
  headers.delete('www-authenticate')
  return new Response(response.body, { status: response.status, headers })
}

async function close(server: Server, grace: number): Promise<void> {
  if (server.listening) server.close()
  await wait(server, grace, async () => (await connections(server)) === 0)
  server.closeAllConnections()
}

/** Waits up to `limit` milliseconds. A connection is idle, and would be kept, once its request is answered. */
async function wait(server: Server, limit: number, isDone: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + limit
  while (!(await isDone()) && performance.now() < end) {
    server.closeIdleConnections()
    await sleep(STEP)
  }
}

function connections(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((error, count) => resolve(error === null ? count : 0)))
}

function taken(host: string, port: number): Error {
  return Object.assign(new Error(`${host} port ${port} is taken`), { code: 'EADDRINUSE' })
}

function rejection(): { promise: Promise<never>; reject: (error: unknown) => void } {
  let reject: (error: unknown) => void = (error) => {
    throw new Error(reasonOf(error))
  }
  const promise = new Promise<never>((_, no) => (reject = no))
  promise.catch(() => undefined) // the race may be over already
  return { promise, reject }
}
