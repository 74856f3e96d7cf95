import type { Awaitable } from '../core/index.ts'

/** What the suites need of a test runner: `{ test }` or `{ describe, test }` of vitest, `node:test` and others alike. */
export interface Runner {
  test(name: string, run: () => Promise<void>): unknown
  /** Absent: the title of a suite stands before the name of each of its tests. */
  describe?(title: string, declare: () => void): unknown
}

/** What a suite is given to look at: made anew for each test, let go of after it. */
export interface Made {
  /** Runs after the test, whether it has passed or not. */
  dispose?(): Awaitable<void>
}

/** Declares one test of a suite. */
export type Check<M extends Made> = (name: string, run: (made: M) => Awaitable<void>) => void

/** How long (ms) one test may take: not every runner has a limit. */
const LIMIT = 30_000

/** Declares a suite whose tests each get a thing of their own from `make`. */
export function contract<M extends Made>(
  runner: Runner,
  title: string,
  make: () => Awaitable<M>,
  declare: (check: Check<M>) => void,
): void {
  const { describe, test } = runner
  const check =
    (prefix: string): Check<M> =>
    (name, run) =>
      void test(prefix + name, () => within(LIMIT, () => use(make, run)))
  if (describe === undefined) declare(check(`${title}: `))
  else void describe(title, () => declare(check('')))
}

async function use<M extends Made>(make: () => Awaitable<M>, run: (made: M) => Awaitable<void>): Promise<void> {
  const made = await make()
  try {
    await run(made)
  } catch (error) {
    // What the test has found says more than a failure to clean up after it.
    await quietly(() => made.dispose?.())
    throw error
  }
  await made.dispose?.()
}

async function quietly(work: () => Awaitable<void>): Promise<void> {
  try {
    await work()
  } catch {
    // Told elsewhere.
  }
}

/** Rejects when `work` takes longer than `ms`. */
async function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still not done after ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until `check` holds: it says so, or does not throw. Rejects with what it threw last, after `ms` (default 5000). */
export async function eventually(check: () => Awaitable<boolean | void>, ms = 5000): Promise<void> {
  const end = Date.now() + ms
  for (;;) {
    let failure: unknown = new Error(`it did not happen within ${ms} ms`)
    try {
      if ((await check()) !== false) return
    } catch (error) {
      failure = error
    }
    if (Date.now() > end) throw failure
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
