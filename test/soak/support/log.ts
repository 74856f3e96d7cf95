import type { Readable } from 'node:stream'
import { createInterface } from 'node:readline'

/** A line of the proxy's log. */
export interface LogLine {
  readonly level: string
  readonly tag: string
  readonly message: string
}

/** What a proxy has written, all its workers together. */
export interface ProxyLog {
  /** Lines from `info` up; what is not of the log (a crash of the runtime) counts as an error. */
  readonly lines: readonly LogLine[]
  /** How often it has said `ready`, which each worker does once. */
  readonly readies: number
  /** Resolves with the first line after the first `from` that `wanted` takes; rejects after `limit` ms. */
  next(what: string, from: number, wanted: (line: LogLine) => boolean, limit: number): Promise<LogLine>
  /** The last lines, for messages. */
  tail(count?: number): string
}

/** Reads standard output and standard error of the program until they end. */
export function readLog(stdout: Readable, stderr: Readable): ProxyLog {
  const lines: LogLine[] = []
  const waiting = new Set<() => void>()
  let readies = 0
  createInterface({ input: stdout }).on('line', (line) => {
    if (line.startsWith('ready ')) readies++
  })
  createInterface({ input: stderr }).on('line', (line) => {
    lines.push(parse(line))
    for (const look of waiting) look()
  })

  function next(what: string, from: number, wanted: (line: LogLine) => boolean, limit: number): Promise<LogLine> {
    return new Promise((resolve, reject) => {
      let at = from
      const done = (): void => {
        clearTimeout(timer)
        waiting.delete(look)
      }
      const look = (): void => {
        for (; at < lines.length; at++) {
          const line = lines[at]
          if (line === undefined || !wanted(line)) continue
          done()
          return resolve(line)
        }
      }
      const timer = setTimeout(() => {
        done()
        reject(new Error(`waited ${limit} ms in vain for the log to say: ${what}; it ends with:\n${tail()}`))
      }, limit)
      waiting.add(look)
      look()
    })
  }

  function tail(count = 12): string {
    return lines
      .slice(-count)
      .map(({ level, tag, message }) => `${level} [${tag}] ${message}`)
      .join('\n')
  }

  return {
    lines,
    get readies() {
      return readies
    },
    next,
    tail,
  }
}

function parse(line: string): LogLine {
  try {
    const { level, tag = '', message } = JSON.parse(line) as Partial<LogLine>
    if (level !== undefined && message !== undefined) return { level, tag, message }
  } catch {
    // said below
  }
  return { level: 'error', tag: 'not a line of the log', message: line }
}
