import { spawn } from 'node:child_process'
import { endGroups } from '../../core/index.ts'

/** How long a group may take to end after SIGTERM, and then after SIGKILL, in milliseconds. */
const GRACE = { term: 1500, kill: 500 }

/** A server's process group: the server and whatever it started (`npx` and `uvx` start the real server). */
export interface Group {
  /** Ends every member: SIGTERM, at most 1.5 s, SIGKILL. Idempotent; resolves within 2.1 s; never rejects. */
  end(): Promise<void>
}

/** The group that `pid` leads. `release` is called once it is gone: one that cannot be ended stays recorded. */
export function createGroup(pid: number, release: () => void): Group {
  let ended: Promise<void> | undefined
  const end = async (): Promise<void> => {
    if (process.platform === 'win32') await endTree(pid)
    const left = await endGroups([pid], GRACE)
    if (left.length === 0) release()
  }
  return { end: () => (ended ??= end()) }
}

/** Windows has no groups to signal: the tree is found through parent ids, which fails for orphans. */
function endTree(pid: number): Promise<void> {
  return new Promise((resolve) => {
    const taskkill = spawn('taskkill', ['/pid', String(pid), '/t', '/f'], { stdio: 'ignore', windowsHide: true })
    taskkill.once('error', () => resolve())
    taskkill.once('exit', () => resolve())
  })
}
