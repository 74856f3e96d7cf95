/**
 * Which process groups this proxy started, kept on disk, so that whoever outlives a killed proxy can end them.
 *
 * One small file per group in `<dataDir>/groups/`, written right after the spawn and removed when the group is gone. A
 * group whose owner – the worker that spawned it – is dead is ended by the supervisor, or by the next start.
 *
 * Not covered: a process that leaves its group (`setsid`, a daemon), what a command asks somebody else to run
 * (`docker run` asks the Docker daemon), the instant between a spawn and its record, a worker in an endless loop whose
 * supervisor is killed, and Windows, where there are no process groups: every function here then does nothing.
 */
import type { ConsolaInstance } from 'consola'
import { reasonOf } from './errors.ts'
import { endGroups, livingGroups, signalGroup } from './process-groups/end.ts'
import { readRecords, removeRecord, startOf, writeRecord } from './process-groups/record.ts'
import { judge } from './process-groups/verdict.ts'

/** Only what tells about a group is needed from a logger. */
type Logger = Pick<ConsolaInstance, 'warn' | 'info'>

/** How long groups that were left behind may take to end, in milliseconds. */
const GRACE = { term: 1000, kill: 1000 }

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
      try {
        const path = writeRecord(dataDir, pid)
        return () => removeRecord(path)
      } catch (error) {
        logger?.warn(`process group ${pid} cannot be recorded: ${reasonOf(error)}; check that ${dataDir} is writable`)
        return () => undefined
      }
    },
  }
}

/** Options of `reapGroups`. */
export interface ReapOptions {
  readonly logger?: Logger
  /** A process that was just seen to end (by its parent): its groups need no further proof of who owns them. */
  readonly ended?: number
}

/**
 * Ends every recorded group whose owner is dead, all at once: SIGTERM, after a second SIGKILL. Groups of a live owner –
 * another proxy on the same data folder – are left alone. Resolves with the number of groups ended, within about two
 * seconds.
 */
export async function reapGroups(dataDir: string, { logger, ended }: ReapOptions = {}): Promise<number> {
  const records = readRecords(dataDir)
  if (records.length === 0) return 0
  const living = livingGroups()
  if (living.size === 0) return 0 // nothing can be said of any; the records stay for the next who looks
  const judged = records.map(({ path, record }) => {
    return { path, group: record.leader.pid, verdict: judge(record, living, ended) }
  })
  const ours = judged.filter(({ verdict }) => verdict === 'ours').map(({ group }) => group)
  const left = await endGroups(ours, GRACE)
  for (const { path, group, verdict } of judged) {
    if (verdict === 'unsure') {
      logger?.warn(`process group ${group} may be left over from a killed proxy; end it by hand: kill -- -${group}`)
    } else if (left.includes(group)) {
      const look = `look at: ps -o pid,stat,args -g ${group}`
      logger?.warn(`process group ${group}, left over from a killed proxy, does not end; ${look}`)
    } else if (verdict !== 'owned') removeRecord(path)
  }
  return ours.length - left.length
}

/**
 * Kills, with SIGKILL and at once, the groups this very process recorded and did not see end: for the last breath of a
 * process (`process.on('exit')`). After an orderly close there are none.
 */
export function killOwnGroups(dataDir: string): void {
  const own = startOf(process.pid)
  const records = readRecords(dataDir).filter(
    ({ record: { owner } }) => owner.pid === process.pid && owner.start === own,
  )
  if (records.length === 0) return
  const living = livingGroups()
  if (living.size === 0) return
  for (const { path, record } of records) {
    if (judge(record, living, process.pid) === 'ours') signalGroup(record.leader.pid, 'SIGKILL')
    removeRecord(path)
  }
}
