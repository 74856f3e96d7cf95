import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import { reasonOf } from '../../core/index.ts'
import { SourceError } from '../auth-oauth/index.ts'

/** How long (ms) keys are used without asking again, and how long they are still used when the provider does not answer. */
const FRESH = 10 * 60_000
const STALE = 24 * 60 * 60_000
/** The least time (ms) between two requests, and between those that failed while there was no key at all. */
const COOLDOWN = 30_000
const PAUSE = 5000
/** How long (ms) a check waits for fresh keys where it has others. */
const PATIENCE = 2000

interface Known {
  readonly keys: JWTVerifyGetKey
  readonly at: number
}

export interface KeySetOptions {
  /** Gives the document (RFC 7517 §5). */
  readonly read: () => Promise<unknown>
  readonly now: () => number
  /** Could not be read, for the first time in a row, while others are still used. */
  readonly onstale: (error: unknown) => void
}

/**
 * The provider's public keys. A key id that is not among them has them read again, at most every 30 s; when the provider does not
 * answer, or with nonsense, those read last are good for a day, so that a short outage fails no login. Rejects `SourceError`
 * `unavailable`, and what jose rejects.
 */
export function createKeySet({ read, now, onstale }: KeySetOptions): JWTVerifyGetKey {
  let known: Known | undefined
  let tried = Number.NEGATIVE_INFINITY
  let reading: Promise<void> | undefined
  let failure: unknown

  async function readOnce(): Promise<void> {
    tried = now()
    try {
      known = { keys: createLocalJWKSet(checkSet(await read())), at: now() }
      failure = undefined
    } catch (error) {
      if (known !== undefined && failure === undefined) onstale(error)
      failure = error
    } finally {
      reading = undefined
    }
  }

  /** All who want it at once share one request. */
  async function refresh(): Promise<void> {
    const age = now() - tried
    // A clock that was set back says nothing of how long ago that was; waiting for it might take days.
    if (reading === undefined && age >= 0 && age < (known === undefined ? PAUSE : COOLDOWN)) return
    await (reading ??= readOnce())
  }

  return async (header, token) => {
    if (known === undefined) await refresh()
    else if (now() - known.at > FRESH) await Promise.race([refresh(), sleep(PATIENCE, undefined, { ref: false })])
    if (known === undefined || now() - known.at > STALE) {
      throw new SourceError('unavailable', `its key set cannot be read: ${reasonOf(failure)}`, { cause: failure })
    }
    try {
      return await known.keys(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      const before = known
      await refresh()
      if (known === before) throw error
      return known.keys(header, token)
    }
  }
}

function checkSet(value: unknown): JSONWebKeySet {
  const { keys } = (value ?? {}) as { keys?: unknown }
  if (Array.isArray(keys) && keys.length > 0) return value as JSONWebKeySet
  throw new Error('there is no key in it')
}
