import { sleep } from '../backoff.ts'
import { processTable } from '../processes.ts'

/** How long (ms) groups may take to end after SIGTERM, and then after SIGKILL. */
export interface GroupGrace {
  readonly term: number
  readonly kill: number
}

/** How often (ms) it is looked whether a group has ended. */
const STEP = 20
/** How often (ms) all processes of the machine are looked at meanwhile. */
const LOOK = 100

/**
 * Ends process groups: SIGTERM to every member, SIGKILL to those that are left after `grace.term`. Resolves with the groups
 * that live on after `grace.kill` as well; never rejects. A group of zombies has ended: they wait for a parent that may
 * never look (a container whose process 1 is no init). On Windows, which has no groups, nothing happens.
 */
export async function endGroups(groups: readonly number[], grace: GroupGrace): Promise<readonly number[]> {
  if (process.platform === 'win32') return []
  const told = groups.filter((group) => signalGroup(group, 'SIGTERM'))
  const stubborn = await livingAfter(told, grace.term)
  for (const group of stubborn) signalGroup(group, 'SIGKILL')
  return livingAfter(stubborn, grace.kill)
}

/** Signals every member of a group. False when it has none: such an id is nobody's, or a process's that leads no group. */
export function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-group, signal)
  } catch (error) {
    // ESRCH: it ended by itself. EPERM: a member became another user's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The groups that have a living member, now. Empty, as it never is otherwise: the system cannot be asked (no descriptor is left). */
export function livingGroups(): ReadonlySet<number> {
  try {
    return new Set(processTable.all().flatMap(({ group, zombie }) => (zombie ? [] : [group])))
  } catch {
    return new Set()
  }
}

/** Those that still live after up to `limit` milliseconds. */
async function livingAfter(groups: readonly number[], limit: number): Promise<readonly number[]> {
  const began = performance.now()
  let left = groups
  for (let next = began + LOOK; ;) {
    left = left.filter((group) => signalGroup(group, 0))
    const now = performance.now()
    const isLast = now - began >= limit
    // What still answers may be zombies alone.
    if (left.length > 0 && (isLast || now >= next)) {
      const living = livingSince(began)
      if (living.size > 0) left = left.filter((group) => living.has(group))
      next = now + LOOK
    }
    if (left.length === 0 || isLast) return left
    await sleep(STEP)
  }
}

/** One look serves all who wait: many servers end at once. */
let seen = { at: -Infinity, groups: new Set() as ReadonlySet<number> }

/** The living groups as of some moment after `began`, at most `LOOK` ms ago. */
function livingSince(began: number): ReadonlySet<number> {
  const now = performance.now()
  if (seen.at < began || now - seen.at > LOOK) seen = { at: now, groups: livingGroups() }
  return seen.groups
}
