import type { IncomingHttpHeaders } from 'node:http'
import { createEvents, type Events } from './events.ts'
import { createHold, type Hold } from './hold.ts'
import type { Head, Reader, Reply } from './reply.ts'
import type { Site } from './site.ts'

/** Most that is read of the body of an answer that is no success, in bytes. */
export const ERROR_BODY = 65_536

/** Whether a status says that the request was taken. */
export function isSuccess(status: number): boolean {
  return status < 300
}

/** Collects one answer from `path`: events go to the reader as they come, anything else is kept. */
export function createAnswer(site: Site, path: string, reader: Reader) {
  let head: Head = { status: 0, headers: {}, streamed: false, path }
  let events: Events | undefined
  let bytes = 0
  /** Most answers come in one piece, which then needs no copy. */
  let first: Buffer | undefined
  let pieces: Hold | undefined

  function keep(chunk: Buffer): void {
    bytes += chunk.length
    if (bytes === chunk.length) {
      first = chunk
      return
    }
    pieces ??= createHold()
    if (first !== undefined) pieces.add(first)
    first = undefined
    pieces.add(chunk)
  }

  return {
    start(status: number, headers: IncomingHttpHeaders): void {
      const streamed = isSuccess(status) && mediaType(headers) === 'text/event-stream'
      head = { status, headers, streamed, path }
      if (streamed) events = createEvents(site.maxMessageBytes, reader)
      reader.onhead?.(head)
    },
    /** What is wrong with it, if anything. */
    push(chunk: Buffer): string | undefined {
      if (events) return events.push(chunk)
      const limit = isSuccess(head.status) ? site.maxMessageBytes : ERROR_BODY
      if (bytes + chunk.length <= limit) keep(chunk)
      else if (isSuccess(head.status)) return `sent a message of more than ${limit} bytes, which is the limit`
      return undefined
    },
    reply: (): Reply => ({ ...head, text: (first ?? pieces?.take())?.toString() ?? '' }),
  }
}

/** The media type of an answer, without parameters, in lower case. */
export function mediaType(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}
