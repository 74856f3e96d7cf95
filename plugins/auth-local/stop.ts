import type { EXIT } from '../../core/index.ts'

/** Ctrl-C: 128 and the number of SIGINT. */
const INTERRUPTED = 130

/** Ends a command with this exit code; the message is for whoever typed it. */
export class Stop extends Error {
  readonly exitCode: number
  constructor(exitCode: (typeof EXIT)['failed' | 'usage'] | typeof INTERRUPTED, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}

export function interrupted(): Stop {
  return new Stop(INTERRUPTED, '')
}
