import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'

/** What tells one process from a later one with the same id. */
interface ProcessInfo {
  readonly pid: number
  /** Process group id. */
  readonly group: number
  /** When it started, in the system's own notation: only good for comparing. */
  readonly start: string
  /** Ended, but its parent has not looked yet: it holds its id and can neither run nor be killed. */
  readonly zombie: boolean
}

/** A view of the machine's processes; synchronous, because it is used right after a spawn and in a dying process. */
export interface ProcessTable {
  find(pid: number): ProcessInfo | undefined
  all(): readonly ProcessInfo[]
}

/** proc(5): everything from /proc, without a child process. */
export const procTable: ProcessTable = {
  find: (pid) => parseStat(pid, readText(`/proc/${pid}/stat`)),
  all: () =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => procTable.find(Number(name)))
      .filter((info) => info !== undefined),
}

/** POSIX `ps`, where there is no /proc (macOS, BSD). */
export const psTable: ProcessTable = {
  find: (pid) => ps('-p', String(pid))[0],
  all: () => ps('-A'),
}

const noTable: ProcessTable = { find: () => undefined, all: () => [] }

/** The table of this platform; empty on Windows, which has no process groups. */
export const processTable: ProcessTable =
  process.platform === 'win32' ? noTable : existsSync('/proc/self/stat') ? procTable : psTable

/** Which boot, and which process id namespace (container), process ids belong to; empty where the system does not say. */
export function pidSpace(): { readonly boot: string; readonly namespace: string } {
  return { boot: readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '', namespace: readLink('/proc/self/ns/pid') }
}

/** Process ids handed out since boot (every process and thread takes one), or undefined where the system does not say. */
export function pidsIssued(): number | undefined {
  const count = /^processes (\d+)$/m.exec(readText('/proc/stat') ?? '')?.[1]
  return count === undefined ? undefined : Number(count)
}

/** How many ids there are before the system starts again from the bottom. */
export function pidLimit(): number {
  return Number(readText('/proc/sys/kernel/pid_max') ?? 0)
}

/** Fields of /proc/<pid>/stat; counted from the last `)`, since the command's name may hold spaces and parentheses. */
function parseStat(pid: number, stat: string | undefined): ProcessInfo | undefined {
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, , group] = fields ?? []
  const start = fields?.[19]
  if (group === undefined || start === undefined) return undefined
  return { pid, group: Number(group), start, zombie: state === 'Z' || state === 'X' }
}

function ps(...which: readonly string[]): readonly ProcessInfo[] {
  const columns = ['-o', 'pid=', '-o', 'pgid=', '-o', 'stat=', '-o', 'lstart=']
  let output: string
  try {
    output = execFileSync('ps', [...columns, ...which], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5000,
      maxBuffer: 64 * 1024 * 1024,
    })
  } catch {
    return [] // exit code 1: no such process
  }
  return output.split('\n').flatMap((line) => {
    const [, pid, group, state, start] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line) ?? []
    if (pid === undefined || group === undefined || state === undefined || start === undefined) return []
    return [{ pid: Number(pid), group: Number(group), start, zombie: state.startsWith('Z') }]
  })
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
