import type { Awaitable } from './plugin.ts'

/** What was opened, to be closed in reverse order, each within its time whatever the others do. */
export interface Scope {
  /** Remembers how to close something that was just opened. */
  defer(name: string, close: () => Awaitable<void>): void
  /** Closes everything once, last opened first; failures are reported, not thrown. */
  close(): Promise<void>
}

/** `patience`: ms that one part may take to close before the next one is closed all the same. */
export function createScope(report: (message: string) => void, patience: number): Scope {
  const opened: { name: string; close: () => Awaitable<void> }[] = []
  let closing: Promise<void> | undefined
  const closeAll = async (): Promise<void> => {
    for (let part = opened.pop(); part !== undefined; part = opened.pop()) {
      const { name, close } = part
      const failure = await within(patience, async () => close())
      if (failure !== undefined) report(`${name} did not close: ${failure}`)
    }
  }
  return {
    defer: (name, close) => void opened.push({ name, close }),
    close: () => (closing ??= closeAll()),
  }
}

async function within(ms: number, work: () => Promise<void>): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => (timer = setTimeout(resolve, ms, `still not done after ${ms} ms`)))
  try {
    return await Promise.race([work().then(() => undefined), late])
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    clearTimeout(timer)
  }
}
