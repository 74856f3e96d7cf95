import { serialise } from '../wire/serialise.ts'
import type { RpcMessage } from '../wire/jsonrpc.ts'

/** Bytes that may wait for a client that reads too slowly; beyond, its stream is cut. One message always fits. */
const BACKLOG = 8 * 1024 * 1024
/** Silence (ms) after which a comment is sent, so that nothing between takes the stream for dead. */
const KEEP_ALIVE = 15_000

/** One server-sent event stream to a client. */
export interface Channel {
  readonly body: ReadableStream<Uint8Array>
  /** False when the stream is over: the message went nowhere. */
  send(message: RpcMessage): boolean
  /** Ends the stream in order. Idempotent. */
  close(): void
}

/** Opens a stream; `onclose` runs once, whoever ended it. */
export function openChannel(onclose: () => void): Channel {
  return open(onclose, undefined)
}

/** Opens a stream that may stay silent: Node sends no headers before the first byte, so a comment goes first. */
export function openStandingChannel(onclose: () => void): Channel {
  return open(onclose, ': open\n\n')
}

function open(onclose: () => void, greeting: string | undefined): Channel {
  const encoder = new TextEncoder()
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const keepAlive = setInterval(() => write(': keep-alive\n\n'), KEEP_ALIVE).unref()
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

  function write(text: string): boolean {
    if (controller === undefined) return false
    if (-(controller.desiredSize ?? 0) > BACKLOG) {
      controller.error(new Error('the client reads too slowly'))
      end()
      return false
    }
    controller.enqueue(encoder.encode(text))
    return true
  }

  if (greeting !== undefined) write(greeting)
  return {
    body,
    send: (message) => write(`event: message\ndata: ${serialise(message)}\n\n`),
    close() {
      controller?.close()
      end()
    },
  }
}

export const STREAM_HEADERS: ReadonlyArray<readonly [string, string]> = [
  ['content-type', 'text/event-stream'],
  ['cache-control', 'no-cache, no-transform'],
  // nginx would hold events back until its buffer is full.
  ['x-accel-buffering', 'no'],
]
