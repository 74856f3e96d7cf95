/** Who a line framer talks to. */
export interface LineReader {
  /** Longest line handed on, in bytes without its line end. */
  readonly maxBytes: number
  online(line: string): void
  /** A longer line went by, unheld: its first and last bytes (up to 1 KiB each) and its length in bytes. */
  onlong(head: string, tail: string, bytes: number): void
}

/** How much is kept of either end of a line that is too long, in bytes. */
const EDGE = 1024

/** Chunks below this size are merged while they wait, so that a server writing byte by byte costs no memory. */
const SMALL = 16_384

const LF = 10
const CR = 13

/** Cuts a byte stream into lines (`\n` or `\r\n`); what `end` finds without a line end counts as a line too. */
export function createLineFramer(reader: LineReader): { push(chunk: Buffer): void; end(): void } {
  let held: Buffer[] = []
  let bytes = 0
  let head: Buffer | undefined
  let tail: Buffer = Buffer.alloc(0)

  function hold(part: Buffer): void {
    bytes += part.length
    if (head) return void (tail = lastBytes(tail, part))
    while (part.length < SMALL && held.length > 0 && lastOf(held).length < 2 * part.length) {
      part = Buffer.concat([lastOf(held), part])
      held.pop()
    }
    held.push(part)
    // One byte of grace for a `\r` that is no part of the line.
    if (bytes > reader.maxBytes + 1) skip()
  }

  function skip(): void {
    const all = Buffer.concat(held)
    head = Buffer.from(all.subarray(0, EDGE))
    tail = Buffer.from(all.subarray(-EDGE))
    held = []
  }

  function flush(): void {
    const whole = held.length === 1 ? lastOf(held) : Buffer.concat(held)
    const length = bytes
    const [longHead, longTail] = [head, tail]
    held = []
    bytes = 0
    head = undefined
    tail = Buffer.alloc(0)
    if (longHead) reader.onlong(longHead.toString(), longTail.toString(), length)
    else finish(whole)
  }

  function finish(line: Buffer): void {
    const end = line.length > 0 && line[line.length - 1] === CR ? line.length - 1 : line.length
    if (end > reader.maxBytes)
      reader.onlong(line.toString('utf8', 0, EDGE), line.toString('utf8', end - EDGE, end), end)
    else reader.online(line.toString('utf8', 0, end))
  }

  return {
    push(chunk) {
      let start = 0
      for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, start)) {
        const part = chunk.subarray(start, at)
        // The usual case, a whole line in one chunk, is decoded where it lies.
        if (bytes === 0) finish(part)
        else {
          hold(part)
          flush()
        }
        start = at + 1
      }
      if (start < chunk.length) hold(chunk.subarray(start))
    },
    end() {
      if (bytes > 0) flush()
    },
  }
}

function lastOf(parts: readonly Buffer[]): Buffer {
  return parts[parts.length - 1] ?? Buffer.alloc(0)
}

/** The last `EDGE` bytes of both together, copied, so that no chunk is kept alive. */
function lastBytes(before: Buffer, part: Buffer): Buffer {
  return Buffer.concat([before, part.subarray(-EDGE)]).subarray(-EDGE)
}
