import { constants } from 'node:os'
import { isProxyError } from '../errors.ts'

/** Exit codes with a meaning; 128 + n stands for signal n, anything else is a crash. */
export const EXIT = {
  ok: 0,
  failed: 1,
  /** "Start me again at once, this is no crash." */
  reload: 42,
  /** EX_USAGE of sysexits(3): the command line makes no sense. */
  usage: 64,
  /** EX_TEMPFAIL: the port stayed taken. */
  port: 75,
  /** EX_CONFIG: the configuration makes no sense; trying again is no use. */
  config: 78,
} as const

/** The exit code for an error that ended a run. */
export function exitCodeOf(error: unknown): number {
  const permanent = ['ERR_PROXY_CONFIG', 'ERR_PROXY_PLUGIN', 'ERR_PROXY_AUTH'] as const
  return permanent.some((code) => isProxyError(error, code)) ? EXIT.config : EXIT.failed
}

/** The exit code of a process that a signal ended. */
export function signalCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}
