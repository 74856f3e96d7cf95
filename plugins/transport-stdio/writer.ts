import type { Writable } from 'node:stream'
import { ConnectionError } from '../../core/index.ts'

/** Writes lines to a process that may be slow, stuck or dead. */
export interface Writer {
  /** Resolves when the next line may follow; rejects `ConnectionError`. */
  write(line: string): Promise<void>
  /** Rejects the writes that wait: the process is gone. */
  end(error: ConnectionError): void
}

interface Waiting {
  resolve(): void
  reject(error: ConnectionError): void
}

/**
 * A writer that never waits for a `drain` that cannot come. At most `maxBytes` wait for a process that does not read:
 * more would be memory that one stuck server takes from all others.
 */
export function createWriter(stdin: Writable, maxBytes: number): Writer {
  const waiting = new Set<Waiting>()
  stdin.on('drain', () => {
    for (const { resolve } of waiting) resolve()
    waiting.clear()
  })
  return {
    write(line) {
      if (!stdin.writable) return refuse('the server no longer reads its input', true)
      const backlog = stdin.writableLength
      if (backlog > 0 && backlog + line.length > maxBytes) {
        return refuse(`the server does not read its input (${backlog} bytes wait)`, false)
      }
      if (stdin.write(line)) return Promise.resolve()
      return new Promise((resolve, reject) => waiting.add({ resolve, reject }))
    },
    end(error) {
      for (const { reject } of waiting) reject(error)
      waiting.clear()
    },
  }
}

function refuse(message: string, lost: boolean): Promise<never> {
  return Promise.reject(new ConnectionError(message, { delivered: false, lost }))
}
