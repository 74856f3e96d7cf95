import { pidLimit, pidSpace, pidsIssued, processTable } from '../processes.ts'
import type { GroupRecord } from './record.ts'

/** Who a recorded group is now, see `judge`. */
export type Verdict = 'owned' | 'gone' | 'ours' | 'unsure'

/**
 * Whether the group of that number is still the one recorded. `living`: every group that has a member; `ended`: a process
 * that was just seen to end.
 * - `owned`: its owner lives, or belongs to another container, of which nothing can be known from here.
 * - `gone`: nothing is left of it. So it is after a reboot, when no process is in the group, and when the leader's id
 *   belongs to a process with another start time: the system gives out an id neither as process nor as group while a
 *   member of that group lives, so ours must have been empty before, and what is there now is a stranger's.
 * - `ours`: the leader lives with the recorded start time. Or the leader is gone, members are left, and the id cannot
 *   have been given out anew: because the owner has ended only now, or because the system hands out ids in rising order
 *   and has handed out too few since the record to have come round (every process and thread is counted).
 * - `unsure`: the leader is gone and that proof fails. Left alone: better a process too many than a stranger killed.
 */
export function judge(record: GroupRecord, living: ReadonlySet<number>, ended?: number): Verdict {
  const space = pidSpace()
  if (record.boot !== space.boot) return 'gone'
  if (record.namespace !== space.namespace) return 'owned'
  const justEnded = record.owner.pid === ended
  if (!justEnded && isAlive(record.owner)) return 'owned'
  if (!living.has(record.leader.pid)) return 'gone'
  const leader = processTable.find(record.leader.pid)
  if (leader !== undefined) return leader.start === record.leader.start ? 'ours' : 'gone'
  return justEnded || notComeRound(record.issued) ? 'ours' : 'unsure'
}

/** Half of all ids leaves room for those that are skipped because they are in use. */
function notComeRound(then: number | undefined): boolean {
  const now = pidsIssued()
  return then !== undefined && now !== undefined && now - then < pidLimit() / 2
}

function isAlive(known: GroupRecord['owner']): boolean {
  const found = processTable.find(known.pid)
  return found !== undefined && !found.zombie && found.start === known.start
}
