import type { Principal } from './auth.ts'

/** How often (ms) it is looked whether who has a stream open may still have it. */
const PERIOD = 30_000

/**
 * Streams that outlive their request's check: a session's GET stream, `subscriptions/listen`. One whose login has ended, or
 * whose permissions have changed, is closed; its client comes back and is checked like any other.
 */
export interface StandingStreams {
  /** Registers an open stream; call the result once it is closed. */
  add(principal: Principal, close: () => void): () => void
  /** Looks at every open stream now. Never rejects. */
  recheck(): Promise<void>
  /** Closes every open stream now. */
  closeAll(): void
  /** Looks no more. */
  stop(): void
}

interface Stream {
  readonly principal: Principal
  readonly close: () => void
}

/** `isCurrent` must not reject. */
export function createStandingStreams(isCurrent: (principal: Principal) => Promise<boolean>): StandingStreams {
  const open = new Set<Stream>()
  let timer: NodeJS.Timeout | undefined

  async function check(stream: Stream): Promise<void> {
    if (!(await isCurrent(stream.principal)) && open.has(stream)) stream.close()
  }

  /** Each by itself: while nothing can be said of one, the others are closed all the same. */
  async function recheck(): Promise<void> {
    await Promise.all([...open].map(check))
  }

  function stop(): void {
    clearInterval(timer)
    timer = undefined
  }

  return {
    add(principal, close) {
      const stream = { principal, close }
      open.add(stream)
      timer ??= setInterval(() => void recheck(), PERIOD).unref()
      return () => {
        open.delete(stream)
        if (open.size === 0) stop()
      }
    },
    recheck,
    closeAll: () => [...open].forEach(({ close }) => close()),
    stop,
  }
}
