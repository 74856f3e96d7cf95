import { createParser } from 'eventsource-parser'
import { asMessage, parseJsonRpc, type RpcMessage } from '../../core/index.ts'
import { afterComments, firstEnd, lastEnd } from './boundary.ts'
import { createHold } from './hold.ts'
import type { Reader } from './reply.ts'

/** What an event may have besides its data (names, type, id), in bytes. */
const FRAME = 1024
/** How much is kept of either end of an event that is too long, in bytes. */
const EDGE = 1024

const EMPTY = Buffer.alloc(0)

/** Reads an event stream of which no more than one event of `maxBytes` is ever held. */
export interface Events {
  /** Says what is wrong with the stream, if anything: after that it must not be fed. */
  push(chunk: Buffer): string | undefined
  /** Memory that an unfinished event takes, in bytes. */
  held(): number
}

/** Reads an event stream (HTML living standard 9.2) whose events are messages. */
export function createEvents(maxBytes: number, reader: Reader): Events {
  const problem = `sent a message of more than ${maxBytes} bytes, which is the limit`
  const hold = createHold()
  /** The two ends of an event that is too long to be held. */
  let long: { readonly head: Buffer; tail: Buffer } | undefined
  /** The last bytes of what is held or skipped: an event's end may straddle two chunks. */
  let seam: Buffer = EMPTY
  let failed: string | undefined

  // It is fed with whole events only: what it holds itself it holds as chains of small strings.
  const parser = createParser({
    onEvent({ id, data, event = 'message' }) {
      if (id !== undefined) reader.onid?.(id)
      if (event !== 'message') reader.onevent?.(event, data)
      // An event without data only says where to resume.
      else if (data.trim() === '') return
      else if (data.length * 3 > maxBytes && Buffer.byteLength(data) > maxBytes) {
        refuse(data.slice(0, EDGE), data.slice(-EDGE))
      } else for (const message of readMessages(data)) reader.onmessage?.(message)
    },
    onRetry: (milliseconds) => reader.onretry?.(milliseconds),
  })

  function refuse(head: string, tail: string): void {
    if (reader.onlong) reader.onlong(head, tail, problem)
    else failed = problem
  }

  /** The end of the event that is too long to be held. */
  function endLong({ head, tail }: { readonly head: Buffer; readonly tail: Buffer }, part: Buffer): void {
    const start = head.toString()
    const id = /^id: ?(.*)$/m.exec(start)?.[1]
    if (id !== undefined) reader.onid?.(id)
    refuse(start.replace(/^[^]*?^data: ?/m, ''), lastBytes(tail, part).toString().trimEnd())
  }

  function finish(part: Buffer): void {
    let bytes = part
    if (hold.bytes() > 0) {
      hold.add(part)
      bytes = hold.take()
    }
    const text = bytes.toString()
    // It would wait for the other half of a CR LF.
    parser.feed(text.endsWith('\r') ? `${text}\n` : text)
  }

  function keep(part: Buffer): void {
    seam = part.length < 2 ? lastBytes(seam, part, 2) : Buffer.from(part.subarray(-2))
    if (long) long.tail = lastBytes(long.tail, part)
    else hold.add(part)
    if (hold.bytes() <= maxBytes + FRAME) return
    const all = hold.take()
    long = { head: Buffer.from(all.subarray(0, EDGE)), tail: Buffer.from(all.subarray(-EDGE)) }
    if (!reader.onlong) failed = problem
  }

  /** Reads on behind the event that is too long, if it ends here. */
  function skip(chunk: Buffer): Buffer {
    const end = long && firstEnd(seam, chunk)
    if (long === undefined || end === undefined) return chunk
    endLong(long, chunk.subarray(0, end))
    long = undefined
    seam = EMPTY
    return chunk.subarray(end)
  }

  return {
    held: hold.room,
    push(chunk) {
      let rest = skip(chunk)
      const end = long ? undefined : lastEnd(seam, rest)
      if (end !== undefined) {
        seam = EMPTY
        finish(rest.subarray(0, end))
        rest = rest.subarray(end)
      }
      if (hold.bytes() === 0 && !long) rest = afterComments(rest)
      if (rest.length > 0) keep(rest)
      return failed
    },
  }
}

/** The last bytes of both together, copied, so that no chunk is kept alive. */
function lastBytes(before: Buffer, part: Buffer, count = EDGE): Buffer {
  return Buffer.concat([before, part.subarray(-count)]).subarray(-count)
}

/** The messages in a JSON text: one, several (2025-03-26 has batches), or none when it is something else. */
export function readMessages(text: string): RpcMessage[] {
  try {
    const parsed = parseJsonRpc(text)
    const values: readonly unknown[] = Array.isArray(parsed) ? parsed : [parsed]
    return values.map(asMessage).filter((message) => message !== undefined)
  } catch {
    return []
  }
}
