import type { IncomingHttpHeaders } from 'node:http'
import { createEvents, type Events } from './events.ts'
import { createHold } from './hold.ts'
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
  const body = createHold()
  /** Most answers come in one piece, which then needs no copy: a copy each would keep the garbage collector busy. */
  let only: Buffer | undefined

  function keep(chunk: Buffer): void {
    if (only === undefined && body.bytes === 0) {
      only = chunk
      return
    }
    if (only !== undefined) body.add(only)
    only = undefined
    body.add(chunk)
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
      if ((only?.length ?? body.bytes) + chunk.length <= limit) keep(chunk)
      else if (isSuccess(head.status)) return `sent a message of more than ${limit} bytes, which is the limit`
      return undefined
    },
    reply: (): Reply => ({ ...head, text: (only ?? body.take()).toString() }),
  }
}

/** The media type of an answer, without parameters, in lower case. */
export function mediaType(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}
