/** A merged list that clients hear of. */
export type ChangedList = 'tools' | 'prompts' | 'resources'

/** How long changes are gathered before clients hear of them, in ms. */
const GATHER = 50

/** Several changes of one moment, told as one. */
export interface Changes {
  add(kind: ChangedList): void
  /** Nothing is told any more. */
  close(): void
}

/** `tell` hears of every list that has changed, once, a moment after the first change. */
export function gatherChanges(tell: (kind: ChangedList) => void): Changes {
  const waiting = new Set<ChangedList>()
  let timer: NodeJS.Timeout | undefined
  let closed = false
  const flush = (): void => {
    timer = undefined
    const kinds = [...waiting]
    waiting.clear()
    for (const kind of kinds) tell(kind)
  }
  return {
    add(kind) {
      if (closed) return
      waiting.add(kind)
      timer ??= setTimeout(flush, GATHER).unref()
    },
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
