import { ConnectionError } from '../../core/index.ts'

/** What waiting costs besides its text, in bytes. */
const OVERHEAD = 1024

/** Lets few do something at once, the others after them. */
export interface Gate {
  /** Does the work once it is its turn; `bytes` is what it holds until then. Rejects `ConnectionError` when too much waits. */
  pass<T>(bytes: number, work: () => Promise<T>): Promise<T>
}

/**
 * At most `width` messages on their way to one server, and at most `maxBytes` waiting: each takes a socket, and a
 * server that asks a thousand questions and takes no answers must not use up those of all others.
 */
export function createGate(who: string, width: number, maxBytes: number): Gate {
  const line: (() => void)[] = []
  let inside = 0
  let waiting = 0

  async function wait(bytes: number): Promise<void> {
    const cost = bytes + OVERHEAD
    if (waiting > 0 && waiting + cost > maxBytes) {
      const message = `${who} does not take what it is sent (${waiting} bytes wait)`
      throw new ConnectionError(message, { delivered: false, lost: false })
    }
    waiting += cost
    await new Promise<void>((resolve) => line.push(resolve))
    waiting -= cost
  }

  return {
    async pass(bytes, work) {
      if (inside === width) await wait(bytes)
      else inside++
      try {
        return await work()
      } finally {
        // Whoever leaves hands its place on.
        const next = line.shift()
        if (next) next()
        else inside--
      }
    },
  }
}
