/**
 * Where events end in an event stream, found in its bytes (HTML living standard 9.2.6): behind an empty line. Lines end
 * with LF, CR or both; none of these bytes is ever part of a longer character. `seam` is what came before a chunk, of
 * which two bytes are enough.
 */
const LF = 10
const CR = 13
const COLON = 58

/** The place in `chunk` behind the last whole event. */
export function lastEnd(seam: Buffer, chunk: Buffer): number | undefined {
  const last = Math.max(chunk.lastIndexOf(LF), chunk.lastIndexOf(CR))
  // The usual case in the middle of a large event; a CR before it may have waited for a LF that did not come.
  if (last === -1 && seam.at(-1) !== CR) return undefined
  const bytes = seam.length === 0 ? chunk : Buffer.concat([seam, chunk])
  for (let at = last + seam.length; at > 0; at--) {
    const end = emptyLineEnd(bytes, at)
    if (end !== undefined) return end - seam.length
  }
  return undefined
}

/** The place in `chunk` behind the first whole event. */
export function firstEnd(seam: Buffer, chunk: Buffer): number | undefined {
  const bytes = Buffer.concat([seam, chunk])
  for (let at = 1; at < bytes.length; at++) {
    const end = emptyLineEnd(bytes, at)
    if (end !== undefined) return end - seam.length
  }
  return undefined
}

/** Where an empty line ends whose line end begins at `at`. */
function emptyLineEnd(bytes: Buffer, at: number): number | undefined {
  const byte = bytes[at]
  if (byte !== LF && byte !== CR) return undefined
  const before = bytes[at - 1]
  if ((before !== LF && before !== CR) || (before === CR && byte === LF)) return undefined
  if (byte === LF) return at + 1
  // The other half of a CR LF may be yet to come.
  if (at + 1 === bytes.length) return undefined
  return at + (bytes[at + 1] === LF ? 2 : 1)
}

/** What follows the comments ahead of an event, which only keep the stream alive: kept, they would add up. */
export function afterComments(bytes: Buffer): Buffer {
  let rest = bytes
  while (rest[0] === COLON) {
    const end = rest.indexOf(LF)
    if (end === -1) break
    rest = rest.subarray(end + 1)
  }
  return rest
}
