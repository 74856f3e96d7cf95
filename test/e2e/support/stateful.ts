import { join } from 'node:path'
import { startScript, type RunningServer } from '../../fixtures/transport/start.ts'
import { node, ROOT } from '../../harness.ts'

const SCRIPT = 'test/fixtures/stateful-server.ts'

/** An entry that runs the stateful server as a program. */
export function statefulEntry(...flags: string[]) {
  return node(SCRIPT, ...flags)
}

/** Starts the stateful server over HTTP; whoever starts it closes it. */
export function startStateful(...flags: string[]): Promise<RunningServer> {
  const urlOf = (line: string) => (line.startsWith('ready ') ? line.slice('ready '.length) : undefined)
  return startScript([join(ROOT, SCRIPT), '--http', ...flags], { urlOf })
}

/** Whether a process is still there. */
export function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
