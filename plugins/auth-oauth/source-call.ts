import type { OAuthError } from './oauth-error.ts'
import { failureOf, type SourceError } from './source.ts'

/** How long (ms) an identity source may take for one answer: clients wait 10 s themselves. */
const PATIENCE = 8000

/** Runs a call to the source with a time limit that also ends with the proxy; a source that ignores its signal is left behind. */
export async function within<T>(end: AbortSignal, call: (signal: AbortSignal) => T | PromiseLike<T>): Promise<T> {
  const signal = AbortSignal.any([end, AbortSignal.timeout(PATIENCE)])
  let stop = (): void => {}
  const late = new Promise<never>((_, reject) => {
    stop = () => reject(new Error(`no answer within ${PATIENCE / 1000} s`))
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([call(signal), late])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Errors a source may hand on to the client (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6). */
const HANDED_ON: ReadonlySet<string> = new Set([
  'access_denied',
  'temporarily_unavailable',
  'login_required',
  'interaction_required',
])

/** What the client is told of a source's failure; never the source's own words. */
export function sourceError(error: unknown): Pick<OAuthError, 'error' | 'message'> {
  switch (failureOf(error)) {
    case 'denied': {
      const code = (error as SourceError).error
      const known = HANDED_ON.has(code) ? (code as OAuthError['error']) : 'server_error'
      return { error: known, message: 'The login was refused.' }
    }
    case 'ended':
    case 'misconfigured':
      return { error: 'server_error', message: 'The login failed; the operator can see why in the log.' }
    case 'unavailable':
      return { error: 'temporarily_unavailable', message: 'Logins are not possible for now; try again later.' }
  }
}
