import { unwatchFile, watchFile, type Stats } from 'node:fs'

/** How often (ms) a watched file is looked at. */
const PERIOD = 1000

/** What tells one state of a file from another; a missing one has 0 everywhere. The mode: it may have become readable. */
const TRAITS = ['mtimeMs', 'ino', 'size', 'mode'] as const

/**
 * Calls `on` after the file at `path` has changed, appeared or gone, at most a second later. The path is looked at anew each
 * time, links followed, so that editors that rename, swapped links (Kubernetes) and network folders are all seen alike: events
 * of the file system tell of the file that was there first. Returns how to stop.
 */
export function watchPath(path: string, on: () => void, period = PERIOD): () => void {
  let last: Stats | undefined
  const look = (now: Stats, before: Stats): void => {
    // Of a file that comes back, Node says how it was before it went: perhaps just as it is now.
    const known = last ?? before
    last = now
    if (TRAITS.some((trait) => now[trait] !== known[trait])) on()
  }
  watchFile(path, { interval: period, persistent: false }, look)
  return () => unwatchFile(path, look)
}
