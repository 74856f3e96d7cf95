import type { ConsolaInstance } from 'consola'
import { asMessage, ConnectionError, parseJsonRpc, responseId, type Pipe } from '../../core/index.ts'
import { createLineFramer } from './lines.ts'

/** Lines that are no messages: how many are logged, and how much of each, in characters. */
const NOISE_LOGGED = 5
const NOISE_CUT = 200

export interface ReceiverOptions {
  /** Who it is, for messages. */
  readonly server: string
  readonly logger: ConsolaInstance
  readonly maxMessageBytes: number
  readonly pipe: Pipe
}

/** Reads messages from a server's stdout, one a line; whatever else stands there is skipped. */
export function createReceiver(options: ReceiverOptions): { push(chunk: Buffer): void; end(): void } {
  const { server, logger, maxMessageBytes, pipe } = options
  let noise = 0

  function skip(line: string): void {
    if (noise++ >= NOISE_LOGGED) return
    const text = line.length > NOISE_CUT ? `${line.slice(0, NOISE_CUT)}…` : line
    logger.warn(`stdout has a line that is no MCP message (logs belong on stderr): ${text}`)
  }

  function online(line: string): void {
    if (line.trim() === '') return
    const parsed = parse(line)
    // 2025-03-26 has batches.
    for (const part of Array.isArray(parsed) ? parsed : [parsed]) {
      const message = asMessage(part)
      if (message) pipe.receive(message)
      else skip(line)
    }
  }

  function onlong(head: string, tail: string, bytes: number): void {
    const what = `sent a message of ${bytes} bytes; at most ${maxMessageBytes} are accepted`
    logger.warn(`the server ${what}; it was skipped`)
    const id = responseId(head, tail)
    const error = new ConnectionError(`${server} ${what}`, { delivered: true, lost: false, brief: what })
    if (id !== undefined) pipe.reject(id, error)
  }

  const framer = createLineFramer({ maxBytes: maxMessageBytes, online, onlong })
  return {
    push: framer.push,
    end() {
      framer.end()
      if (noise > NOISE_LOGGED) logger.warn(`stdout had ${noise - NOISE_LOGGED} more lines that are no MCP messages`)
    },
  }
}

function parse(line: string): unknown {
  try {
    return parseJsonRpc(line)
  } catch {
    return undefined
  }
}
