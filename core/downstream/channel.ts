import { textOf } from '../wire/serialise.ts'
import type { RpcMessage } from '../wire/jsonrpc.ts'

/** Bytes that may wait for a client that reads too slowly; beyond, its stream is cut. One message always fits. */
const BACKLOG = 8 * 1024 * 1024
/** Silence (ms) after which a comment is sent, so that nothing between takes the stream for dead. */
const KEEP_ALIVE = 15_000

/** One server-sent event stream to a client. */
export interface Channel {
  readonly body: ReadableStream<Uint8Array>
  /** False when the message went nowhere: the stream is over, or it nests too deep to be sent. */
  send(message: RpcMessage): boolean
  /** The same for an event that is ready to be sent. */
  write(event: Uint8Array): boolean
  /** Ends the stream in order. Idempotent. */
  close(): void
}

const encoder = new TextEncoder()
/** For streams that may stay silent: Node sends no headers before the first byte. */
const OPEN = encoder.encode(': open\n\n')
const ALIVE = encoder.encode(': keep-alive\n\n')

/** A message as an event; `id`: what a client may resume the stream from. `undefined`: it nests too deep to be sent. */
export function eventOf(message: RpcMessage, id?: string): Uint8Array | undefined {
  const data = textOf(message)
  if (data === undefined) return undefined
  const text = `event: message\ndata: ${data}\n\n`
  return encoder.encode(id === undefined ? text : `id: ${id}\n${text}`)
}

/** An event that says nothing: a stream that is cut before its first message can be resumed from there (2025-11-25 basic/transports, SEP-1699). */
export function primingEvent(id: string): Uint8Array {
  return encoder.encode(`id: ${id}\ndata:\n\n`)
}

/** Opens a stream that begins with `greeting`; `onclose` runs once, whoever ended it. */
export function openChannel(onclose: () => void, greeting?: Uint8Array): Channel {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const keepAlive = setInterval(() => write(ALIVE), KEEP_ALIVE).unref()
  const body = new ReadableStream<Uint8Array>(
    {
      start: (opened) => void (controller = opened),
      cancel: end,
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
  )

  function end(): void {
    if (controller === undefined) return
    controller = undefined
    clearInterval(keepAlive)
    onclose()
  }

  function write(event: Uint8Array): boolean {
    if (controller === undefined) return false
    if (-(controller.desiredSize ?? 0) > BACKLOG) {
      controller.error(new Error('the client reads too slowly'))
      end()
      return false
    }
    controller.enqueue(event)
    return true
  }

  if (greeting !== undefined) write(greeting)
  return {
    body,
    write,
    send(message) {
      const event = eventOf(message)
      return event !== undefined && write(event)
    },
    close() {
      controller?.close()
      end()
    },
  }
}

/** Opens a stream that may stay silent. */
export function openStandingChannel(onclose: () => void, greeting: Uint8Array = OPEN): Channel {
  return openChannel(onclose, greeting)
}

export const STREAM_HEADERS: ReadonlyArray<readonly [string, string]> = [
  ['content-type', 'text/event-stream'],
  ['cache-control', 'no-cache, no-transform'],
  // nginx would hold events back until its buffer is full.
  ['x-accel-buffering', 'no'],
]
