import type { ConsolaInstance } from 'consola'
import { createLineFramer } from './lines.ts'

/** Longest line that is logged, in bytes. */
const LINE_LIMIT = 4096
/** Lines logged per window, and the window in milliseconds: a server in a loop must not drown the log. */
const LINES_PER_WINDOW = 200
const WINDOW = 10_000
/** How much of the end is kept for error messages, in characters. */
const TAIL = 2000

/** Logs what a server writes to stderr, line by line at debug level, and remembers the end of it. */
export function createStderr(logger: ConsolaInstance): { push(chunk: Buffer): void; end(): void; tail(): string } {
  let tail = ''
  let windowEnd = 0
  let logged = 0

  function log(line: string): void {
    const now = performance.now()
    if (now >= windowEnd) {
      if (logged > LINES_PER_WINDOW) logger.debug(`stderr: ${logged - LINES_PER_WINDOW} more lines left out`)
      windowEnd = now + WINDOW
      logged = 0
    }
    if (logged++ < LINES_PER_WINDOW) logger.debug(`stderr: ${line}`)
  }

  function online(line: string): void {
    const text = line.trimEnd()
    if (text === '') return
    tail = `${tail}${tail === '' ? '' : '\n'}${text}`.slice(-TAIL)
    log(text)
  }

  const framer = createLineFramer({
    maxBytes: LINE_LIMIT,
    online,
    onlong: (head, _tail, bytes) => online(`${head}… (${bytes} bytes)`),
  })
  return { push: framer.push, end: framer.end, tail: () => tail }
}
