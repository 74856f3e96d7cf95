import type { Socket } from 'node:net'

/** What one socket may hand on, in bytes, before everything else has had its turn. */
const TURN = 65_536

/**
 * Makes a socket yield: one that is flooded would else be read up to 2 MB at a time while all others wait. What is not
 * read stays in the socket, whose buffer is bounded, so that the sender is slowed down. undici reads with `read()` on
 * `readable`; its own `pause` must not be used, since a stream that ends while paused throws out of an event handler.
 */
export function takeTurns(socket: Socket): void {
  const read = socket.read.bind(socket)
  let spent = 0
  let waiting = false

  function next(): void {
    waiting = false
    spent = 0
    if (!socket.destroyed) socket.emit('readable')
  }

  socket.read = (size?: number): unknown => {
    if (size === 0 || spent < TURN || socket.readableLength === 0) {
      const chunk: unknown = read(size)
      if (Buffer.isBuffer(chunk)) spent += chunk.length
      return chunk
    }
    if (!waiting) {
      waiting = true
      setImmediate(next)
    }
    return null
  }
}
