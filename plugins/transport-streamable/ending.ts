import type { ConsolaInstance } from 'consola'
import { isConnectionError, reasonOf } from '../../core/index.ts'
import { closeSite, send, type Site } from '../transport-sse/index.ts'
import { startLimit } from './limit.ts'
import type { Link } from './link.ts'

/** Longest wait for the server when a session is ended, in milliseconds. */
const DELETE_LIMIT = 2000

/**
 * Makes what ends sessions at a server, each once: servers keep a session until it is ended; those that cannot end one
 * answer 405. It waits 2 s at most and never rejects. `anew`: the same site, without the sockets that it has used.
 */
export function createEnding(
  link: Link,
  anew: () => Site,
  logger: ConsolaInstance,
): (session: string) => Promise<void> {
  const endings = new Map<string, Promise<void>>()

  async function end(session: string): Promise<void> {
    const headers = link.headers({ 'mcp-session-id': session })
    let stop = (): void => {}
    let isLate = false
    const clear = startLimit(DELETE_LIMIT, () => {
      isLate = true
      stop()
    })
    const tell = (site: Site): Promise<unknown> => {
      const underway = send(site, { method: 'DELETE', headers }, {})
      stop = underway.stop
      return underway.reply.then(
        () => undefined,
        (error: unknown) => error,
      )
    }
    let failure = await tell(link)
    // A server may close a socket that rests in the very moment in which it is used, and never see what was sent on it.
    if (!isLate && isConnectionError(failure) && failure.delivered) {
      const site = anew()
      failure = await tell(site)
      await closeSite(site)
    }
    clear()
    if (failure !== undefined) logger.debug(`a session may stay at the server: ${reasonOf(failure)}`)
  }

  return (session) => {
    const ending = endings.get(session) ?? end(session)
    endings.set(session, ending)
    return ending
  }
}
