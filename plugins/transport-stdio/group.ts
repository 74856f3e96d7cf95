import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long a group may take to end after SIGTERM, and then after SIGKILL, in milliseconds. */
const TERM_GRACE = 2000
const KILL_GRACE = 500
const POLL = 20

/** A server's process group: the server and whatever it started (`npx` and `uvx` start the real server). */
export interface Group {
  /** Ends every member: SIGTERM, at most 2 s, SIGKILL. Idempotent; resolves within 2.6 s; never rejects. */
  end(): Promise<void>
}

/** The group that `pid` leads. `release` is called once it is gone. */
export function createGroup(pid: number, release: () => void): Group {
  let ended: Promise<void> | undefined
  return { end: () => (ended ??= endGroup(pid).finally(release)) }
}

async function endGroup(pid: number): Promise<void> {
  if (process.platform === 'win32') return endTree(pid)
  if (!signalGroup(pid, 'SIGTERM')) return
  if (await isGone(pid, TERM_GRACE)) return
  signalGroup(pid, 'SIGKILL')
  // Members that nobody reaps stay as zombies and would look alive for ever: after SIGKILL the wait is short.
  await isGone(pid, KILL_GRACE)
}

/** False when no member is left. A group id cannot belong to anybody else while members live. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function isGone(pid: number, within: number): Promise<boolean> {
  const deadline = Date.now() + within
  while (Date.now() < deadline) {
    if (!signalGroup(pid, 0)) return true
    await sleep(POLL)
  }
  return !signalGroup(pid, 0)
}

/** Windows has no groups to signal: the tree is found through parent ids, which fails for orphans. */
function endTree(pid: number): Promise<void> {
  return new Promise((resolve) => {
    const taskkill = spawn('taskkill', ['/pid', String(pid), '/t', '/f'], { stdio: 'ignore', windowsHide: true })
    taskkill.once('error', () => resolve())
    taskkill.once('exit', () => resolve())
  })
}
