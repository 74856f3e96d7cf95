import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** The clock of a program, in our hands. */
export interface Clock {
  /** What the program has to be started with. */
  readonly env: Readonly<Record<string, string>>
  /** Sets it on by so many ms, or back; resolves once that is so. */
  jump(ms: number): Promise<void>
}

/** How long (ms) it takes until a program has seen the change, generously. */
const SEEN = 100

/** A clock that is right; its file is in `dir`. */
export function openClock(dir: string): Clock {
  const file = join(dir, 'clock')
  let ahead = 0
  const write = (): void => {
    // Whoever reads it now reads all of it.
    writeFileSync(`${file}.tmp`, String(ahead))
    renameSync(`${file}.tmp`, file)
  }
  write()
  const preload = import.meta.resolve('./clock-preload.ts')
  return {
    env: { NODE_OPTIONS: `--import=${preload}`, SOAK_CLOCK_FILE: file },
    async jump(ms) {
      ahead += ms
      write()
      await sleep(SEEN)
    },
  }
}
