import type { Row, Scale, Scenario, Scene } from './scenario.ts'

/** How long (ms) one thing may take to close. */
const CLOSE_LIMIT = 20_000

/** Runs a scenario within its limit and closes all it opened. Never rejects: what went wrong is a row that does not hold. */
export async function play(scenario: Scenario, scale: Scale, ended: AbortSignal): Promise<readonly Row[]> {
  const { name } = scenario
  const limit = scenario.limit(scale)
  const over = new AbortController()
  const finish = (): void => over.abort()
  const timer = setTimeout(finish, limit)
  ended.addEventListener('abort', finish, { once: true })
  const closers: (() => unknown)[] = []
  /** What is still opened then, by what goes on after its time, is closed at once. */
  let isClosed = false
  const scene: Scene = {
    signal: over.signal,
    defer: (end) => (isClosed ? void close([end], scene) : void closers.push(end)),
    say: (what) => void process.stderr.write(`${name}: ${what}\n`),
  }
  try {
    return await Promise.race([
      scenario.run(scale, scene),
      failed(over.signal, () => (ended.aborted ? 'it was ended from outside' : `not done within ${limit / 1000} s`)),
    ])
  } catch (error) {
    const measured = error instanceof Error ? error.message : String(error)
    return [{ what: `${name} can be carried out`, amount: '', holds: false, measured }]
  } finally {
    clearTimeout(timer)
    finish()
    isClosed = true
    const began = performance.now()
    await close(closers, scene)
    scene.say(`closed in ${Math.round(performance.now() - began)} ms`)
  }
}

async function close(closers: (() => unknown)[], scene: Scene): Promise<void> {
  for (const end of closers.splice(0).toReversed()) {
    try {
      await Promise.race([end(), passed(CLOSE_LIMIT)])
    } catch (error) {
      scene.say(`closing: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

function failed(signal: AbortSignal, why: () => string): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(new Error(why()))
    if (signal.aborted) fail()
    else signal.addEventListener('abort', fail, { once: true })
  })
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
