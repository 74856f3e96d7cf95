/** CPU time and memory of process trees, read from Linux's `/proc`; and the statistics over rounds. */
import { readdirSync, readFileSync } from 'node:fs'

/** One process as `/proc` shows it; `started` tells a reused pid from the same process. */
export interface Process {
  readonly pid: number
  readonly parent: number
  readonly started: string
  /** User and system time so far, in milliseconds. */
  readonly cpu: number
  /** Resident memory in bytes. */
  readonly rss: number
  readonly argv: readonly string[]
}

/** CPU in milliseconds and resident bytes, of the subject and of the upstream servers behind it. */
export interface Usage {
  readonly cpu: number
  readonly rss: number
  readonly upstreamCpu: number
}

/** Milliseconds per clock tick: USER_HZ is 100 on every Linux that Node runs on. */
const TICK = 10

function readProcess(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    const rss = Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024
    const cpu = (Number(fields[11]) + Number(fields[12])) * TICK
    return { pid, parent: Number(fields[1]), started: fields[19] ?? '', cpu, rss, argv }
  } catch {
    return undefined // it ended while we looked
  }
}

/** The given processes and all their descendants that are alive now. */
export function tree(roots: readonly number[]): Process[] {
  const all = readdirSync('/proc').flatMap((name) => readProcess(Number(name)) ?? [])
  const found = all.filter((process) => roots.includes(process.pid))
  for (const above of found) found.push(...all.filter((process) => process.parent === above.pid))
  return found
}

/** What the trees below `roots` have used so far; a process whose script is `upstream.ts` counts as upstream. */
export function usage(roots: readonly number[]): Usage {
  const sum = { cpu: 0, rss: 0, upstreamCpu: 0 }
  for (const { argv, cpu, rss } of tree(roots)) {
    if (argv[1]?.endsWith('/upstream.ts') === true) sum.upstreamCpu += cpu
    else {
      sum.cpu += cpu
      sum.rss += rss
    }
  }
  return sum
}

/** The middle value; 0 of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}

/** How far the rounds lie apart: (max − min) / median. */
export function spread(values: readonly number[]): number {
  const middle = median(values)
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle
}
