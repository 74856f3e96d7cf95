import { refreshTokenGrant, type CustomFetch } from 'openid-client'
import type { ConsolaInstance } from 'consola'
import { reasonOf, type JsonObject, type JsonValue } from '../../core/index.ts'
import { SourceError, type Identified, type Identity } from '../auth-oauth/index.ts'
import type { Check } from './check.ts'
import type { Client } from './client.ts'
import { failureAt } from './failure.ts'
import { identityAgain } from './identity.ts'
import type { Provider } from './provider.ts'
import type { OidcSettings } from './settings.ts'

/** How long (s) the provider may take: longer than anybody waits, since its answer replaces the token there is. */
const PATIENCE = 20

/** What is kept of a login at the provider. */
export interface Kept {
  readonly refreshToken: string
  readonly identity: Identity
}

export interface RefreshOptions {
  readonly settings: OidcSettings
  readonly provider: Provider
  readonly client: Client
  readonly check: Check
  readonly fetch: CustomFetch
  readonly logger: ConsolaInstance
}

export type Refresh = (kept: Kept, keep: (kept: JsonValue) => Promise<void>) => Promise<Identified>

/**
 * Asks the provider again. A refresh token is used by one request at a time, whoever waits for it, and its successor is kept before
 * anything else is done with the answer: where tokens rotate, a lost one would end the login.
 */
export function createRefresh({ settings, provider, client, check, fetch, logger }: RefreshOptions): Refresh {
  const running = new Map<string, Promise<Identified>>()
  /** The last thing the operator was told to mend. */
  let complaint: string | undefined

  async function ask(kept: Kept, keep: (kept: JsonValue) => Promise<void>): Promise<Identified> {
    const metadata = await provider()
    const listening = listenFor((refreshToken) => keep(asJson({ ...kept, refreshToken })), fetch, logger)
    const options = { seconds: PATIENCE, fetch: listening }
    const tokens = await client.authenticated(metadata, options, (configuration) =>
      refreshTokenGrant(configuration, kept.refreshToken),
    )
    const refreshToken = tokens.refresh_token ?? kept.refreshToken
    logger.debug(`${settings.provider}: refreshed`, { rotated: refreshToken !== kept.refreshToken })
    const identity = await identityAgain(await check(metadata, tokens), settings, kept.identity)
    complaint = undefined
    return { identity, kept: asJson({ refreshToken, identity }) }
  }

  /** What the operator has to mend is said as such once, not by everybody it stops. */
  function failed(error: unknown): SourceError {
    const failure = failureAt('refresh', error, settings.advice)
    if (failure.failure !== 'misconfigured') return failure
    if (failure.message === complaint) return new SourceError('unavailable', failure.message, { cause: error })
    complaint = failure.message
    return failure
  }

  return (kept, keep) => {
    const known = running.get(kept.refreshToken)
    if (known !== undefined) return known
    const asking = ask(kept, keep)
      .catch((error: unknown) => Promise.reject(failed(error)))
      .finally(() => running.delete(kept.refreshToken))
    running.set(kept.refreshToken, asking)
    return asking
  }
}

/** Hears of a new refresh token before anybody else does. */
function listenFor(
  hear: (refreshToken: string) => Promise<void>,
  fetch: CustomFetch,
  logger: ConsolaInstance,
): CustomFetch {
  return async (url, options) => {
    const response = await fetch(url, options)
    if (response.status !== 200) return response
    const body: unknown = await response
      .clone()
      .json()
      .catch(() => undefined)
    const { refresh_token: token } = (body ?? {}) as { refresh_token?: unknown }
    if (typeof token !== 'string') return response
    await hear(token).catch((error: unknown) => logger.warn(`a new token could not be kept: ${reasonOf(error)}`))
    return response
  }
}

export function asJson(kept: Kept): JsonObject {
  return kept as unknown as JsonObject
}
