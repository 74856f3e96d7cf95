/**
 * Bytes that came in pieces and are needed as a whole. Methods, not getters: every object literal with a getter gets a
 * hidden class of its own in V8, which lives in old space and keeps all that its closures hold until a full collection.
 */
export interface Hold {
  bytes(): number
  /** Memory that they take, in bytes. */
  room(): number
  add(part: Buffer): void
  /** Hands out everything, and holds nothing any more. */
  take(): Buffer
}

const EMPTY = Buffer.alloc(0)
/** Pieces from this size on, in bytes, are kept as they are. */
const LARGE = 16_384
/** Largest block that small pieces are gathered in, in bytes. */
const BLOCK = 65_536

/**
 * Holds no more than about twice what was added. Keeping every piece as it came would let a server that sends byte by
 * byte cost a hundred times what it sends: each is an object, and keeps alive all that was read together with it.
 */
export function createHold(): Hold {
  let pieces: Buffer[] = []
  let kept = 0
  let block: Buffer = EMPTY
  let filled = 0
  let bytes = 0

  function keep(piece: Buffer): void {
    pieces.push(piece)
    kept += piece.buffer.byteLength
  }

  function seal(): void {
    const full = block.subarray(0, filled)
    if (filled > 0) keep(2 * filled < block.length ? own(full.length).fill(full) : full)
    block = EMPTY
    filled = 0
  }

  function gather(part: Buffer): void {
    for (let rest = part; rest.length > 0;) {
      if (filled === block.length) {
        seal()
        block = own(Math.max(rest.length, Math.min(bytes, BLOCK)))
      }
      const copied = rest.copy(block, filled)
      filled += copied
      rest = rest.subarray(copied)
    }
  }

  return {
    bytes: () => bytes,
    room: () => kept + block.length,
    add(part) {
      bytes += part.length
      if (part.length < LARGE || 2 * part.length < part.buffer.byteLength) return gather(part)
      seal()
      keep(part)
    },
    take() {
      seal()
      const [first = EMPTY, ...others] = pieces
      const whole = others.length === 0 ? first : Buffer.concat(pieces, bytes)
      pieces = []
      kept = bytes = 0
      return whole
    },
  }
}

/** Memory of its own: smaller buffers are else cut from a shared one, which each of them keeps alive. */
function own(bytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(bytes))
}
