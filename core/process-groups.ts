/**
 * Which process groups this proxy started, kept on disk, so that whoever outlives a killed proxy can end them.
 *
 * One small file per group in `<dataDir>/groups/`, written right after the spawn and removed when the group is gone. A
 * group whose owner – the worker that spawned it – is dead is ended by the supervisor, or by the next start.
 *
 * Not covered: a process that leaves its group (`setsid`, a daemon), what a command asks somebody else to run
 * (`docker run` asks the Docker daemon), the instant between a spawn and its record, and Windows, where there are no
 * process groups: every function here then does nothing.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ConsolaInstance } from 'consola'
import { z } from 'zod'
import { sleep } from './backoff.ts'
import { reasonOf } from './errors.ts'
import { pidLimit, pidSpace, pidsIssued, processTable } from './processes.ts'
import type { ProcessInfo } from './processes.ts'

const identity = z.object({ pid: z.int().positive(), start: z.string() })

const recordSchema = z.object({
  /** The group's leader; its id is the group's id. */
  leader: identity,
  /** The process that spawned it. */
  owner: identity,
  boot: z.string(),
  namespace: z.string(),
  /** Process ids handed out since boot when this was written. */
  issued: z.int().optional(),
})

type GroupRecord = z.infer<typeof recordSchema>

/** Only what tells about a group is needed from a logger. */
type Logger = Pick<ConsolaInstance, 'warn' | 'info'>

/** How long a group may take to end after SIGTERM, and again after SIGKILL, in milliseconds. */
const GRACE = 1000

/** Records the process groups of this process. */
export interface ProcessGroups {
  /**
   * Records the group led by `pid`, a child just spawned with `detached: true`. Call the result once the whole group is
   * gone. Never throws: without a record the group merely is not ended for us should this process be killed.
   */
  record(pid: number): () => void
}

/** The process groups recorded under a data folder. */
export function createProcessGroups(dataDir: string, logger?: Logger): ProcessGroups {
  return {
    record(pid) {
      if (process.platform === 'win32') return () => undefined
      const path = join(groupsDir(dataDir), `${pid}-${randomBytes(4).toString('hex')}.json`)
      try {
        write(path, describe(pid))
      } catch (error) {
        logger?.warn(`process group ${pid} cannot be recorded: ${reasonOf(error)}; check that ${dataDir} is writable`)
      }
      return () => forget(path)
    },
  }
}

/** A record that stays by mistake is found to be about nothing by the next one who reads it. */
function forget(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // the folder cannot be written, or is none
  }
}

function describe(pid: number): GroupRecord {
  const issued = pidsIssued()
  return {
    leader: { pid, start: startOf(pid) },
    owner: { pid: process.pid, start: startOf(process.pid) },
    ...pidSpace(),
    ...(issued === undefined ? {} : { issued }),
  }
}

/** Renamed into place: a record is whole or absent, also for one who reads it at this moment. */
function write(path: string, record: GroupRecord): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(`${path}.tmp`, JSON.stringify(record), { mode: 0o600, flag: 'wx' })
  renameSync(`${path}.tmp`, path)
}

/** Options of `reapGroups`. */
export interface ReapOptions {
  readonly logger?: Logger
  /** A process that was just seen to end (by its parent): its groups need no further proof of who owns them. */
  readonly ended?: number
}

/**
 * Ends every recorded group whose owner is dead: SIGTERM, after a second SIGKILL. Groups of a live owner – another proxy
 * on the same data folder – are left alone. Resolves with the number of groups ended, within about two seconds.
 */
export async function reapGroups(dataDir: string, options: ReapOptions = {}): Promise<number> {
  const ended = await Promise.all(readRecords(dataDir).map(({ path, record }) => reap(path, record, options)))
  return ended.filter(Boolean).length
}

/**
 * Kills, with SIGKILL and at once, the groups this very process recorded and did not see end: for the last breath of a
 * process (`process.on('exit')`). After an orderly close there are none.
 */
export function killOwnGroups(dataDir: string): void {
  const own = startOf(process.pid)
  for (const { path, record } of readRecords(dataDir)) {
    if (record.owner.pid !== process.pid || record.owner.start !== own) continue
    if (judge(record, process.pid) === 'ours') signalGroup(record.leader.pid, 'SIGKILL')
    forget(path)
  }
}

async function reap(path: string, record: GroupRecord, { logger, ended }: ReapOptions): Promise<boolean> {
  const group = record.leader.pid
  const verdict = judge(record, ended)
  if (verdict === 'owned') return false
  if (verdict === 'unsure') {
    logger?.warn(`process group ${group} may be left over from a killed proxy; end it by hand: kill -- -${group}`)
    return false
  }
  if (verdict === 'ours' && !(await endGroup(group))) {
    logger?.warn(
      `process group ${group}, left over from a killed proxy, does not end; look at: ps -o pid,stat,args -g ${group}`,
    )
    return false
  }
  forget(path)
  return verdict === 'ours'
}

/**
 * Whether the group of that number is still the one recorded.
 * - `owned`: its owner lives, or belongs to another container, of which nothing can be known from here.
 * - `gone`: nothing is left of it. So it is after a reboot, when no process is in the group, and when the leader's id
 *   belongs to a process with another start time: the system gives out an id neither as process nor as group while a
 *   member of that group lives, so ours must have been empty before, and what is there now is a stranger's.
 * - `ours`: the leader lives with the recorded start time. Or the leader is gone, members are left, and the id cannot
 *   have been given out anew: because the owner has ended only now, or because the system hands out ids in rising order
 *   and has handed out too few since the record to have come round (every process and thread is counted).
 * - `unsure`: the leader is gone and that proof fails. Left alone: better a process too many than a stranger killed.
 */
function judge(record: GroupRecord, ended: number | undefined): 'owned' | 'gone' | 'ours' | 'unsure' {
  const space = pidSpace()
  if (record.boot !== space.boot) return 'gone'
  if (record.namespace !== space.namespace) return 'owned'
  const justEnded = record.owner.pid === ended
  if (!justEnded && isAlive(record.owner)) return 'owned'
  if (membersOf(record.leader.pid).length === 0) return 'gone'
  const leader = processTable.find(record.leader.pid)
  if (leader !== undefined) return leader.start === record.leader.start ? 'ours' : 'gone'
  return justEnded || notComeRound(record.issued) ? 'ours' : 'unsure'
}

/** Half of all ids leaves room for those that are skipped because they are in use. */
function notComeRound(then: number | undefined): boolean {
  const now = pidsIssued()
  return then !== undefined && now !== undefined && now - then < pidLimit() / 2
}

async function endGroup(group: number): Promise<boolean> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    signalGroup(group, signal)
    for (let waited = 0; waited < GRACE; waited += 50) {
      if (membersOf(group).length === 0) return true
      await sleep(50)
    }
  }
  return membersOf(group).length === 0
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch {
    // ESRCH: it ended by itself. EPERM: it became another user's; whoever waits for it will say that it stays.
  }
}

function membersOf(group: number): readonly ProcessInfo[] {
  return processTable.all().filter((info) => info.group === group && !info.zombie)
}

function isAlive(known: { readonly pid: number; readonly start: string }): boolean {
  const found = processTable.find(known.pid)
  return found !== undefined && !found.zombie && found.start === known.start
}

function startOf(pid: number): string {
  return processTable.find(pid)?.start ?? ''
}

function groupsDir(dataDir: string): string {
  return join(dataDir, 'groups')
}

function readRecords(dataDir: string): readonly { path: string; record: GroupRecord }[] {
  const dir = groupsDir(dataDir)
  return listFiles(dir).flatMap((name) => {
    if (!name.endsWith('.json')) return []
    const path = join(dir, name)
    try {
      return [{ path, record: recordSchema.parse(JSON.parse(readFileSync(path, 'utf8'))) }]
    } catch {
      return [] // removed in this moment, or of another version: nothing that could be acted upon
    }
  })
}

function listFiles(dir: string): readonly string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
