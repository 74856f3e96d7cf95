import type { ConsolaInstance } from 'consola'
import { isRpcError } from './errors.ts'
import type { Call } from './gateway/call.ts'
import type { UserLabel } from './user-label.ts'

export interface CallLogOptions {
  readonly logger: ConsolaInstance
  readonly userLabel: UserLabel
  /** Whether callers are asked who they are. */
  readonly authenticated: boolean
}

/** Told of each call that has ended: how long it took (ms) and what it failed with. */
export type OnCall = (call: Call, took: number, error?: unknown) => void

const LOG_INFO = 3
const LOG_DEBUG = 4
const USES: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read'])

/**
 * A line for each call: who, through which OAuth client, what, how long, how it ended; never what was said. Uses of a server
 * are told at `info` where users are known; lists, and everything without authentication, at `debug`. Absent: nothing to tell.
 */
export function createCallLog({ logger, userLabel, authenticated }: CallLogOptions): OnCall | undefined {
  if (logger.level < (authenticated ? LOG_INFO : LOG_DEBUG)) return undefined
  const uses = authenticated ? logger.info : logger.debug
  return ({ method, params, principal, requestId }, took, error) => {
    const isUse = USES.has(method)
    if (!isUse && logger.level < LOG_DEBUG) return
    const write = isUse ? uses : logger.debug
    write(`${method}${nameOf(params)}`, {
      user: userLabel(principal),
      ...(principal.client !== undefined && { client: principal.client }),
      request: requestId,
      ms: Math.round(took),
      ...(error !== undefined && { error: isRpcError(error) ? error.code : 'failed' }),
    })
  }
}

function nameOf({ name, uri }: Call['params']): string {
  if (typeof name === 'string') return ` ${name.slice(0, 128)}`
  return typeof uri === 'string' ? ` ${harmless(uri).slice(0, 256)}` : ''
}

/** A URI may hold a secret in its query and before its host. */
function harmless(uri: string): string {
  return uri.replace(/[?#].*$/s, '').replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1')
}
