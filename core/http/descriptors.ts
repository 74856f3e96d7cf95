import { readdirSync, readFileSync } from 'node:fs'
import type { Server } from 'node:net'

/** Fewest descriptors that connections leave free: to start a server takes eight, each file of the store one. */
const RESERVE = 24
/** The share of all of them that is left free where that is more. */
const SHARE = 8
/** Connections that are taken in any case: without them nobody could find out what is wrong. */
const FEWEST = 4
/** How often (ms) it is looked how many are open, while connections come; their limit, after so many connections as well. */
const PERIOD = 1000
const FEW = RESERVE / 2
/** How often (ms) it is told that connections are refused. */
const SILENCE = 60_000

/**
 * Closes connections at once that would leave too few descriptors for everything else: without any, no server could be started, no
 * login be read, and nobody would know why. `tell` hears of it, at most once a minute. Linux only: elsewhere nobody says what is open.
 */
export function keepDescriptorsFree(server: Server, tell: (problem: Error) => void): void {
  if (process.platform !== 'linux') return
  let lookedAt = -Infinity
  let toldAt = -Infinity
  let limit = limitOf()
  let taken = 0

  /** The limit can be changed from outside. */
  function hasChanged(): boolean {
    if (++taken % FEW !== 0) return false
    const before = limit
    limit = limitOf(before)
    return limit !== before
  }

  function look(): void {
    const now = performance.now()
    if (now - lookedAt < PERIOD && !hasChanged()) return
    lookedAt = now
    limit = limitOf(limit)
    server.getConnections((error, count) => {
      if (error === null) server.maxConnections = mostOf(limit, count)
    })
  }

  server.on('connection', look)
  server.on('drop', () => {
    look()
    const now = performance.now()
    if (now - toldAt < SILENCE) return
    toldAt = now
    tell(
      new Error(
        `connections are refused: ${server.maxConnections} are open, and this process may have ${limit} files and ` +
          'connections in all; see who opens so many, or raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=)',
      ),
    )
  })
  look()
}

/** How many connections there may be, when there are `count` of them now. */
function mostOf(limit: number, count: number): number {
  if (limit === Infinity) return Infinity
  try {
    const others = readdirSync('/proc/self/fd').length - count
    return Math.max(FEWEST, limit - others - Math.max(RESERVE, Math.floor(limit / SHARE)))
  } catch {
    // There is none left to look with.
    return FEWEST
  }
}

/** How many descriptors this process may have; `Infinity`: as many as it likes. `before`: what is said while none is left to look with. */
function limitOf(before = Infinity): number {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
    return found === null ? Infinity : Number(found[1])
  } catch {
    return before
  }
}
