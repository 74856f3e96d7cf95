import type { Awaitable, JsonValue, Route } from '../../core/index.ts'

/** Who a person is, as an identity source says. */
export interface Identity {
  /** Who says so: issuer of the ID token, or the proxy itself. With `subject` unique and never used again. */
  readonly issuer: string
  readonly subject: string
  readonly email?: string
  /** Only `true` lets the e-mail address count. */
  readonly emailVerified?: boolean
  readonly name?: string
}

/** A login on its way: the browser is about to be sent to the source. */
export interface Attempt {
  /** To be handed back to `callback` unchanged (RFC 6749 §10.12); unguessable, good for one return. */
  readonly state: string
  /** Where the browser has to come back to, with `state` and whatever the source needs in the query. */
  readonly callback: string
  /** Ends the wait; there is a time limit in it. */
  readonly signal: AbortSignal
}

/** The browser has come back. */
export interface Return {
  /** The callback's URL as it was called, query included. */
  readonly url: URL
  readonly state: string
  readonly callback: string
  /** What `begin` wanted kept. */
  readonly kept: JsonValue
  readonly signal: AbortSignal
}

/** A person the source vouches for. */
export interface Identified {
  readonly identity: Identity
  /** What the source needs to vouch for the person again later (its tokens); stored sealed, never given out. */
  readonly kept?: JsonValue
  /**
   * How long (ms since the epoch) the source stands by this without being asked again. Absent: the login may be refreshed for
   * as long as the proxy allows. A source that has `refresh` is asked at each refresh.
   */
  readonly expires?: number
}

/**
 * Where people prove who they are: an OpenID provider, a login page. Failures are thrown as `SourceError`; anything else
 * thrown counts as `unavailable`.
 */
export interface IdentitySource {
  /** For the log. */
  readonly name: string
  /** Begins a login: where to send the browser, and what to keep until it is back. */
  begin(attempt: Attempt): Awaitable<{ readonly url: string; readonly kept?: JsonValue }>
  /** Finishes it: who is it? */
  finish(back: Return): Awaitable<Identified>
  /**
   * Asks again, at a refresh. Absent: the source is never asked again. `keep`: replaces what is kept at once, whatever becomes of
   * this refresh, for a source whose tokens are good for one use.
   */
  refresh?(kept: JsonValue, signal: AbortSignal, keep: (kept: JsonValue) => Promise<void>): Awaitable<Identified>
  /** A login has ended: lets go of what was kept. Best effort; what it throws is logged. */
  revoke?(kept: JsonValue, signal: AbortSignal): Awaitable<void>
  /** Pages of its own. */
  readonly routes?: readonly Route[]
}

/**
 * Why a source does not vouch for somebody:
 * - `denied`: the person or the provider said no; `error` is what the client is told (RFC 6749 §4.1.2.1).
 * - `ended`: what was kept is no longer good; the login is over.
 * - `unavailable`: nobody knows for now (network, 5xx, time-out); nothing is over.
 * - `misconfigured`: the operator has to mend something; nothing is over.
 */
export type SourceFailure = 'denied' | 'ended' | 'unavailable' | 'misconfigured'

/** A failure of an identity source. The message is for the operator's log and never reaches a client. */
export class SourceError extends Error {
  readonly failure: SourceFailure
  /** The OAuth error of a `denied`. */
  readonly error: string
  constructor(failure: SourceFailure, message: string, options: ErrorOptions & { error?: string } = {}) {
    super(message, options)
    this.name = 'SourceError'
    this.failure = failure
    this.error = options.error ?? 'access_denied'
  }
}

/** What kind of failure was thrown, whatever copy of this module the source was built with. */
export function failureOf(error: unknown): SourceFailure {
  const { name, failure } = (error ?? {}) as { name?: unknown; failure?: unknown }
  const known: readonly unknown[] = ['denied', 'ended', 'unavailable', 'misconfigured'] satisfies SourceFailure[]
  return name === 'SourceError' && known.includes(failure) ? (failure as SourceFailure) : 'unavailable'
}
