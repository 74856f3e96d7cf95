import { spawnSync } from 'node:child_process'
import type { Row } from '../../scenario.ts'

/** This machine does not let us do what a drill needs. */
export class NotPermitted extends Error {}

/** Why a command cannot be run here; `undefined`: it could. */
export function refusalOf(command: string, ...args: readonly string[]): string | undefined {
  return refusalAs(undefined, command, ...args)
}

/** The same as another user. */
export function refusalAs(uid: number | undefined, command: string, ...args: readonly string[]): string | undefined {
  const as = uid === undefined ? {} : { uid, gid: uid }
  const { error, status, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 5000, ...as })
  return status === 0 ? undefined : (error?.message ?? stderr.trim())
}

/** The row of what could not be carried out, which is no success. */
export function notRun(what: string, why: string): Row {
  return { what, amount: '0', holds: undefined, measured: `not run: ${why}` }
}
