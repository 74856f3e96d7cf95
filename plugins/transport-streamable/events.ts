import { StringDecoder } from 'node:string_decoder'
import { createParser } from 'eventsource-parser'
import { asMessage, parseJsonRpc, type RpcMessage } from '../../core/index.ts'
import type { Reader } from './reply.ts'

/** Reads an event stream; `push` says what is wrong with it, if anything: after that it must not be fed. */
export function createEvents(maxBytes: number, reader: Reader): { push(chunk: Buffer): string | undefined } {
  const decoder = new StringDecoder('utf8')
  let problem: string | undefined
  const tooLong = `sent a message of more than ${maxBytes} bytes, which is the limit`
  const parser = createParser({
    // In characters, of which there are never more than bytes.
    maxBufferSize: maxBytes + 1024,
    onEvent({ id, data, event }) {
      if (id !== undefined) reader.onid?.(id)
      // An event without data only says where to resume; other event types are none of MCP's.
      if (data.trim() === '' || (event !== undefined && event !== 'message')) return
      if (data.length * 3 > maxBytes && Buffer.byteLength(data) > maxBytes) problem = tooLong
      else for (const message of readMessages(data)) reader.onmessage?.(message)
    },
    onRetry: (milliseconds) => reader.onretry?.(milliseconds),
    onError(error) {
      if (error.type === 'max-buffer-size-exceeded') problem = tooLong
    },
  })
  return {
    push(chunk) {
      parser.feed(decoder.write(chunk))
      return problem
    },
  }
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
