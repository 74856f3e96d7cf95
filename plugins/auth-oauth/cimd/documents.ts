import type { ConsolaInstance } from 'consola'
import { reasonOf, type Store } from '../../../core/index.ts'
import type { Client } from '../clients.ts'
import type { Clock } from '../clock.ts'
import { OAuthError } from '../oauth-error.ts'
import type { RedirectPolicy } from '../redirect-uri.ts'
import { builtIn } from './built-in.ts'
import { documentUrl } from './client-id.ts'
import { DocumentError } from './document-error.ts'
import { clientIn } from './document.ts'
import { fetchDocument, type FetchOptions } from './fetch-document.ts'
import { createKnownClients, type Known } from './known.ts'
import { createMemory } from '../memory.ts'

/** Life (ms) of a document without a word about it, and the bounds of what its server may say. */
const LIFE = 3_600_000
const SHORTEST = 5 * 60_000
const LONGEST = 24 * 3_600_000
/** How long (ms) a document that cannot be had again is still used, and how long nobody asks again after a failure. */
const STALE = 7 * 24 * 3_600_000
const PAUSE = 30_000
/** Failures remembered, and documents fetched at once. */
const REMEMBERED = 1000
const AT_ONCE = 10

/** Why one asks: somebody begins to authorize the client, or it is there to get its tokens. */
export type Occasion = 'authorization' | 'token'

/** Clients whose id is the URL of their metadata. */
export interface Documents {
  /**
   * The client of an id, `undefined` where there is none. An authorization wants its document as it is now: `onfetch`
   * runs before something is really fetched, and may throw to prevent it; a document that cannot be had for the moment
   * is used for a week more. At the token endpoint nothing is fetched: a public client has nothing to prove, and no
   * outage ends a login.
   */
  find(id: string, occasion: Occasion, onfetch?: () => void): Promise<Client | undefined>
  /** Its client got a token. */
  use(id: string): Promise<void>
}

const BUSY = new DocumentError('too many documents are being fetched', true)

export interface DocumentsOptions {
  readonly store: Store
  readonly policy: RedirectPolicy
  /** This proxy's own host name. */
  readonly ownHost: string
  /** Hosts whose documents count; absent: all. */
  readonly hosts?: readonly string[] | undefined
  readonly fetch: FetchOptions
  readonly signal: AbortSignal
  readonly logger: ConsolaInstance
  readonly now: Clock
}

export function createDocuments(options: DocumentsOptions): Documents {
  const { store, policy, ownHost, hosts, signal, logger, now } = options
  const known = createKnownClients(store, now)
  const failed = createMemory<{ readonly error: DocumentError; readonly at: number }>(REMEMBERED)
  const fetching = new Map<string, Promise<Known>>()

  async function fetchOne(url: URL, before: Known | undefined): Promise<Known> {
    try {
      const { document, maxAge = LIFE } = await fetchDocument(url, options.fetch, signal)
      const client: Client = { ...clientIn(document, url), created: before?.client.created ?? now() }
      const life = Math.min(Math.max(maxAge, SHORTEST), LONGEST)
      const found: Known = { client, fetched: now(), freshUntil: now() + life }
      logger.debug(`client metadata read from ${url.host}`, { client: url.href })
      failed.delete(url.href)
      await known.add(found).catch((error: unknown) => {
        logger.warn(`client metadata could not be kept: ${reasonOf(error)}`)
      })
      return found
    } catch (error) {
      if (error instanceof DocumentError) failed.set(url.href, { error, at: now() })
      throw error
    }
  }

  /** All who want the same document share one request. */
  function renew(url: URL, before: Known | undefined, onfetch: (() => void) | undefined): Promise<Known> {
    const running = fetching.get(url.href)
    if (running !== undefined) return running
    const last = failed.get(url.href)
    const age = last === undefined ? PAUSE : now() - last.at
    // A clock that was set back says nothing of how long ago that was; waiting for it might take days.
    if (last !== undefined && age >= 0 && age < PAUSE) throw last.error
    if (fetching.size >= AT_ONCE) throw BUSY
    onfetch?.()
    const one = fetchOne(url, before).finally(() => fetching.delete(url.href))
    fetching.set(url.href, one)
    return one
  }

  /** As its document has it now, or as it had it when it could last be read. */
  async function current(url: URL, onfetch: (() => void) | undefined): Promise<Client | undefined> {
    const before = await known.find(url.href)
    if (before !== undefined && now() < before.freshUntil) return before.client
    try {
      return (await renew(url, before, onfetch)).client
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error
      const instead = error.passing ? lastOf(url, before) : undefined
      const then = instead === undefined ? '' : '; it is taken as it was known before'
      logger.warn(`client metadata at ${url.host} cannot be used: ${error.message}${then}`, { client: url.href })
      if (instead === undefined && error === BUSY) {
        throw new OAuthError(
          'temporarily_unavailable',
          'What is known of the program that sent you here cannot be read for now.',
        )
      }
      return instead
    }
  }

  function lastOf({ href }: URL, before: Known | undefined): Client | undefined {
    return before !== undefined && now() < before.fetched + STALE ? before.client : builtIn(href)
  }

  /** With those of its redirect URIs that are allowed here: what is allowed may change, so the others are known too. */
  function admitted(client: Client): Client | undefined {
    const redirectUris = client.redirectUris.filter((uri) => policy.allows(uri))
    if (redirectUris.length > 0) return { ...client, redirectUris }
    logger.warn(`client refused: none of its redirect_uris is allowed here; see MCP_ALLOWED_REDIRECT_URIS`, {
      client: client.id,
    })
    return undefined
  }

  return {
    async find(id, occasion, onfetch) {
      const url = documentUrl(id, ownHost, hosts)
      if (typeof url === 'string') {
        logger.debug(`client id refused: ${url}`, { client: id.slice(0, 200) })
        return undefined
      }
      if (occasion === 'token') return (await known.find(id))?.client ?? builtIn(id)
      const client = await current(url, onfetch)
      return client && admitted(client)
    },

    use: known.use,
  }
}
