import { setTimeout as sleep } from 'node:timers/promises'
import { reasonOf, type JsonValue } from '../../core/index.ts'
import { userOf, type Login } from './logins.ts'
import { createMemory } from './memory.ts'
import { OAuthError } from './oauth-error.ts'
import type { Parts } from './parts.ts'
import { newId } from './secret.ts'
import { within } from './source-call.ts'
import { failureOf, type Identified } from './source.ts'

/** How long (ms) one refresh may keep the others of its login waiting; longer than the source may take. */
const LEASE = 15_000
/** How long (ms) the others wait, and how often they look. */
const PATIENCE = 10_000
const STEP = 50
/** Replaced generations that are remembered. */
const REMEMBERED = 4

/**
 * When leases were first met here, in ms of a clock that nobody sets: left behind by a process that died, under a clock that was
 * set back since, one would keep its login from being refreshed for as long as that.
 */
const seenSince = createMemory<number>(1000)

/**
 * Replaces the login's refresh token by its successor, once for each generation whoever asks how often: one of those who ask at
 * once does it, the others get what it made. Where the source wants to be asked, it is asked once, and what it answers is kept
 * before anybody is answered. Throws `temporarily_unavailable`, after which nothing has changed, or `invalid_grant`.
 */
export async function rotate(parts: Parts, login: Login): Promise<Login> {
  const { source, logins, now } = parts
  const { id, generation } = login
  const kept = login.kept
  if (source.refresh === undefined || kept === undefined) return advance(parts, login, undefined)
  const by = newId()
  const deadline = now() + PATIENCE
  for (; now() < deadline; await sleep(STEP, undefined, { signal: parts.signal })) {
    // Looked at first: those who wait write nothing.
    const seen = await logins.find(id)
    if (seen === undefined) throw ended('the login has ended')
    if (seen.generation !== generation) return seen
    if (isHeld(seen, now())) continue
    const claimed = await logins.change(id, (current) => {
      const isFree = current.generation === generation && !isHeld(current, now())
      return isFree ? { ...current, lease: { by, until: now() + LEASE } } : undefined
    })
    if (claimed?.lease?.by === by) return askSource(parts, claimed, by)
  }
  throw busy('another refresh of this login is still under way')
}

function isHeld({ lease }: Login, time: number): boolean {
  if (lease === undefined || lease.until <= time) return false
  const since = seenSince.get(lease.by) ?? performance.now()
  if (!seenSince.has(lease.by)) seenSince.set(lease.by, since)
  return performance.now() - since < LEASE
}

async function askSource(parts: Parts, login: Login, lease: string): Promise<Login> {
  const { source, signal, logger, end, logins } = parts
  const { kept = null, generation } = login
  const keep = async (next: JsonValue): Promise<void> => {
    await logins.change(login.id, (seen) => (seen.generation === generation ? { ...seen, kept: next } : undefined))
  }
  let identified: Identified | undefined
  try {
    identified = await within(signal, (limit) => source.refresh?.(kept, limit, keep))
  } catch (error) {
    if (failureOf(error) === 'ended' || failureOf(error) === 'denied') {
      await end(login.id, `${source.name} ended it: ${reasonOf(error)}`)
      throw ended(reasonOf(error))
    }
    const write = failureOf(error) === 'misconfigured' ? logger.error : logger.warn
    write(`${source.name} could not be asked for a login: ${reasonOf(error)}; nobody is logged out`)
    await logins.change(login.id, ({ lease: held, ...rest }) => (held?.by === lease ? rest : undefined))
    throw busy(reasonOf(error))
  }
  if (identified !== undefined && userOf(identified.identity).id !== login.user.id) {
    await end(login.id, `${source.name} answered for another person`)
    throw ended('the source answered for another person')
  }
  return advance(parts, login, identified)
}

/** The next generation, together with what the source gave, in one change. Who comes second gets what the first made. */
async function advance(
  { logins, settings, now }: Parts,
  login: Login,
  identified: Identified | undefined,
): Promise<Login> {
  const { generation } = login
  const until = Math.min(now() + settings.idleLife, login.expires)
  const after = await logins.change(
    login.id,
    ({ lease: _lease, ...seen }) => {
      if (seen.generation !== generation) return undefined
      const rotations = [...seen.rotations, { generation, at: now() }].slice(-REMEMBERED)
      return { ...seen, ...refreshed(identified), generation: generation + 1, rotations, idleExpires: until }
    },
    until,
  )
  if (after === undefined) throw ended('the login has ended')
  return after
}

/** A source that gives nothing new leaves what there was. */
function refreshed(identified: Identified | undefined): Partial<Login> {
  if (identified === undefined) return {}
  const { identity, kept } = identified
  return { user: userOf(identity), ...(kept !== undefined && { kept }) }
}

function ended(reason: string): OAuthError {
  return new OAuthError('invalid_grant', 'The refresh token is invalid.', { reason })
}

function busy(reason: string): OAuthError {
  return new OAuthError('temporarily_unavailable', 'This is not possible for now; try again later.', { reason })
}
