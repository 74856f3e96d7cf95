import type { CustomFetch, ServerMetadata } from 'openid-client'
import type { ConsolaInstance } from 'consola'
import { reasonOf } from '../../core/index.ts'
import { readMetadata } from './metadata.ts'
import type { OidcSettings } from './settings.ts'

/** How long (ms) metadata is used before it is read again, and how soon after a failure it is tried again. */
const LIFE = 24 * 60 * 60_000
const PAUSE = 5000

/** The provider's metadata; `again`: only if it can be read now. Rejects `SourceError` while nothing is known of it. */
export type Provider = (again?: boolean) => Promise<ServerMetadata>

export interface ProviderOptions {
  readonly settings: OidcSettings
  readonly fetch: CustomFetch
  readonly now: () => number
  readonly logger: ConsolaInstance
}

/**
 * Knows the provider's metadata, read when it is needed: a provider that is down stops no start, and is there again by itself.
 * What was read once is used until it can be read again.
 */
export function createProvider({ settings, fetch, now, logger }: ProviderOptions): Provider {
  const { provider: name } = settings
  let known: { readonly metadata: ServerMetadata; readonly at: number } | undefined
  let failed: { readonly error: unknown; readonly at: number } | undefined
  let reading: Promise<ServerMetadata> | undefined

  async function read(): Promise<ServerMetadata> {
    try {
      const metadata = await readMetadata(settings, fetch)
      if (failed !== undefined) logger.info(`${name} can be reached again`)
      known = { metadata, at: now() }
      failed = undefined
      const { issuer, authorization_endpoint, token_endpoint, jwks_uri } = metadata
      logger.debug(`${name}: metadata read`, { issuer, authorization_endpoint, token_endpoint, jwks_uri })
      return metadata
    } catch (error) {
      failed = { error, at: now() }
      throw error
    } finally {
      reading = undefined
    }
  }

  /** All who want it at once share one request; right after a failure nobody asks again. */
  async function readAgain(): Promise<ServerMetadata> {
    const age = failed === undefined ? PAUSE : now() - failed.at
    // A clock that was set back says nothing of how long ago that was; waiting for it might take days.
    if (reading === undefined && failed !== undefined && age >= 0 && age < PAUSE) throw failed.error
    return (reading ??= read())
  }

  /** Nobody waits for what is only to be made fresh. */
  async function freshen(): Promise<void> {
    const before = failed
    try {
      await readAgain()
    } catch (error) {
      if (before === undefined) logger.warn(`${name}: ${reasonOf(error)}; what was read before is used`)
    }
  }

  return async (again = false) => {
    if (known === undefined || again) return readAgain()
    if (now() - known.at >= LIFE) void freshen()
    return known.metadata
  }
}
