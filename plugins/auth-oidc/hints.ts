import type { ConsolaInstance } from 'consola'
import type { OidcSettings } from './settings.ts'

/** How many logins have to stay away, and how long (ms) the first of them, while none has come back since the start. */
const MANY = 3
const LONG = 2 * 60_000

/** Mistakes at the provider that no answer names; each is said once. */
export interface Hints {
  /** A browser was sent there. */
  away(callback: string): void
  /** One has come back. */
  back(): void
  /** There was no refresh token. `life` in seconds. */
  noRefreshToken(life: number): void
}

export function createHints(
  { provider, scopes, advice }: OidcSettings,
  logger: ConsolaInstance,
  now: () => number,
): Hints {
  let away = 0
  let first: number | undefined
  let isDone = false
  let hasToken = true
  return {
    away(callback) {
      first ??= now()
      if (isDone || ++away < MANY || now() - first < LONG) return
      isDone = true
      logger.warn(`${away} logins went to ${provider} and none has come back to ${callback}: ${advice.callback}`)
    },
    back: () => void (isDone = true),
    noRefreshToken(life) {
      const what = `${provider} gave no refresh token, so logins end after ${life} s`
      if (scopes.includes('offline_access') && hasToken) logger.warn(`${what}: ${advice.offline}`)
      else logger.debug(what)
      hasToken = false
    },
  }
}
