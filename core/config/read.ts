import { readFileSync } from 'node:fs'
import { ProxyError, reasonOf } from '../errors.ts'

/** Failures that may pass: another program holds the file, a network drive is slow, too many files are open. */
const PASSING = new Set('EACCES EPERM EIO EMFILE ENFILE EBUSY EAGAIN ETIMEDOUT ESTALE EINTR ENOMEM ENOLCK'.split(' '))

/** A file that is there and could not be read: `ERR_PROXY_CONFIG`; worth another try while `passing`. */
export class UnreadableError extends ProxyError {
  readonly passing: boolean
  constructor(what: string, cause: unknown) {
    super('ERR_PROXY_CONFIG', `${what}: cannot be read: ${reasonOf(cause)}`, { cause })
    this.passing = PASSING.has(errnoOf(cause) ?? '')
  }
}

/** The text of a file. `name` is what named it: a variable, a flag. Throws `UnreadableError`, or `ERR_PROXY_CONFIG` where it is missing. */
export function readText(file: string, name?: string): string {
  const what = name === undefined ? file : `${name}: ${file}`
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new ProxyError('ERR_PROXY_CONFIG', `${what}: no such file`)
    throw new UnreadableError(what, error)
  }
}

/** `ENOENT` and the like. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
