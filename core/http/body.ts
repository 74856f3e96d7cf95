/** A request body that is larger than allowed. */
export class BodyTooLarge extends Error {}

/**
 * Reads a whole body as text, at most `limit` bytes; throws `BodyTooLarge` beyond.
 * With a Content-Length the HTTP parser holds the client to it, so the fast path reads without counting.
 */
export async function readBody(request: Request, limit: number): Promise<string> {
  const length = request.headers.get('content-length')
  if (length !== null) {
    if (Number(length) > limit) throw new BodyTooLarge()
    if (request.headers.get('transfer-encoding') === null) return request.text()
  }
  if (request.body === null) return ''
  const reader = request.body.getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    size += next.value.byteLength
    if (size > limit) {
      void discard(reader)
      throw new BodyTooLarge()
    }
    chunks.push(next.value)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/**
 * Lets the client finish, as Node does with bodies nobody reads: cut off at once, it would see a broken connection and not
 * the refusal. The listener's own limit on the time of a request ends it.
 */
async function discard(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  try {
    while (!(await reader.read()).done);
  } catch {
    // the client has gone
  }
}
