import { ConnectionError, createPipe, responseId, type Connection, type TransportContext } from '../../core/index.ts'
import { headersOf, closeSite, createSite, type Site } from './site.ts'
import type { HttpEntry } from './entry.ts'
import { forgotSession } from './failure.ts'
import { createGate } from './gate.ts'
import { post } from './post.ts'
import { openStream, type EventStream } from './stream.ts'

/** Messages on their way to one server at a time: each takes a socket. */
export const POST_WIDTH = 32

/**
 * One server over HTTP+SSE (2024-11-05 basic/transports#HTTP with SSE): what it says comes on one stream, what it is
 * told is posted to the endpoint that the stream names first. There is no resumption: with the stream the session is
 * gone. Rejects `ConnectionError`; `context.signal` ends the wait for the endpoint.
 */
export async function openSse(entry: HttpEntry, context: TransportContext): Promise<Connection> {
  const { signal, logger } = context
  signal.throwIfAborted()
  const site = createSite('transport-sse', entry, context.name, context.maxMessageBytes)
  const { send, pipe } = createSender(entry, site, (what) => logger.debug(what))
  const stream = openStream(site, headersOf(entry, { accept: 'text/event-stream' }), {
    onmessage: pipe.receive,
    onlong(head, tail, problem) {
      logger.warn(`the server ${problem}; it was skipped`)
      const id = responseId(head, tail)
      const failure = { delivered: true, lost: false, brief: problem }
      if (id !== undefined) pipe.reject(id, new ConnectionError(`${site.who} ${problem}`, failure))
    },
  })
  try {
    send.to(await unlessAborted(stream.endpoint, signal, site))
  } catch (error) {
    stream.stop()
    await closeSite(site)
    throw error
  }
  return keep(site, stream, pipe, send)
}

/** The way to the server: closed until its address is known, and once it has forgotten the session. */
interface Sender {
  to(endpoint: string): void
  /** The server said, in answer to a message, that it does not know the session. */
  readonly refused: Promise<ConnectionError>
}

function createSender(entry: HttpEntry, site: Site, odd: (what: string) => void) {
  const headers = headersOf(entry, { accept: 'application/json', 'content-type': 'application/json' })
  const gate = createGate(site.who, POST_WIDTH, site.maxMessageBytes)
  let path = site.path
  let refuse: (error: ConnectionError) => void = () => {}
  const refused = new Promise<ConnectionError>((resolve) => (refuse = resolve))
  const pipe = createPipe({
    odd,
    async write(message) {
      const body = JSON.stringify(message)
      try {
        await gate.pass(body.length, () => post(site, { path, headers, body }, forgotSession))
      } catch (error) {
        if (error instanceof ConnectionError && error.lost) refuse(error)
        throw error
      }
    },
  })
  const send: Sender = { to: (endpoint) => void (path = endpoint), refused }
  return { pipe, send }
}

/** Watches over an open connection until it is closed, from either side. */
function keep(site: Site, stream: EventStream, pipe: ReturnType<typeof createPipe>, { refused }: Sender): Connection {
  let closing: Promise<void> | undefined
  const closed = Promise.race([stream.over, refused]).then(async ({ message, brief, status }) => {
    const about = { ...(brief !== undefined && { brief }), ...(status !== undefined && { status }) }
    // However it ended: the session ended with it, and what was under way may have been done.
    const reason = new ConnectionError(message, { ...about, delivered: true, lost: true })
    pipe.end(reason)
    stream.stop()
    await closeSite(site)
    return closing ? undefined : reason
  })

  async function close(): Promise<void> {
    pipe.end(new ConnectionError(`${site.who} was closed by the proxy`, { delivered: true, lost: true }))
    stream.stop()
    await closed
  }

  return Object.assign(pipe, { perRequestStream: false, closed, close: () => (closing ??= close()) })
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal, site: Site): Promise<T> {
  let onabort: () => void = () => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    onabort = () => {
      const message = `${site.who} had not named its endpoint when it was given up; check that "url" is an HTTP+SSE server`
      reject(new ConnectionError(message, { delivered: false, lost: true }, { cause: signal.reason }))
    }
  })
  signal.addEventListener('abort', onabort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onabort)
  }
}
