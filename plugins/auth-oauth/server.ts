import { reasonOf, type Contribution, type PluginContext } from '../../core/index.ts'
import { createAccessTokens } from './access-token.ts'
import { authorizeEndpoint } from './authorize.ts'
import { createAuthorizations } from './authorizations.ts'
import { createBearer } from './bearer.ts'
import { callbackEndpoint } from './callback.ts'
import { createDocuments } from './cimd/documents.ts'
import type { FetchOptions } from './cimd/fetch-document.ts'
import { createClients } from './clients.ts'
import { steadyClock, type Clock } from './clock.ts'
import { createCodes } from './codes.ts'
import { consentEndpoint } from './consent.ts'
import { createFlowCookie } from './cookies.ts'
import { createLogins, type Login } from './logins.ts'
import { metadataRoutes } from './metadata.ts'
import type { Parts } from './parts.ts'
import { createAddressLimit, type Rate } from './rate-limit.ts'
import { createPins } from './pins.ts'
import { createRedirectPolicy } from './redirect-uri.ts'
import { createRefreshTokens } from './refresh-token.ts'
import { registerEndpoint } from './register.ts'
import { revokeEndpoint } from './revoke.ts'
import { readSettings, type OAuthOptions, type Settings } from './settings.ts'
import { siteOf } from './site.ts'
import { within } from './source-call.ts'
import type { IdentitySource } from './source.ts'
import { tokenEndpoint } from './token.ts'

/** Requests by address: a household's clients never come near them, a flood does. */
const RATES = {
  register: { burst: 60, perMinute: 30 },
  documents: { burst: 30, perMinute: 10 },
  pages: { burst: 120, perMinute: 60 },
  token: { burst: 300, perMinute: 300 },
} as const satisfies Record<string, Rate>

export interface AuthorizationServerOptions {
  /** Name of the plugin, for messages. */
  readonly plugin: string
  readonly source: IdentitySource
  readonly options: OAuthOptions
  /** Milliseconds since the epoch; for tests. */
  readonly now?: Clock
  /** How client metadata documents are fetched; for tests. */
  readonly documentFetch?: FetchOptions
}

/**
 * An OAuth 2.1 authorization server towards MCP clients, with the check of its tokens; who people are is the business of
 * `source`. Its result is what a plugin's `setup` returns. Throws `ERR_PROXY_CONFIG`.
 */
export function authorizationServer(context: PluginContext, given: AuthorizationServerOptions): Contribution {
  const { plugin, source, options } = given
  const parts = assemble(context, given, readSettings(plugin, options, context.config))
  const { now } = parts
  const register = createAddressLimit(RATES.register, now)
  const pages = createAddressLimit(RATES.pages, now)
  const token = createAddressLimit(RATES.token, now)
  return {
    auth: createBearer(parts),
    routes: [
      ...metadataRoutes(parts.site, parts.settings),
      registerEndpoint(parts, register),
      authorizeEndpoint(parts, pages, createAddressLimit(RATES.documents, now)),
      consentEndpoint(parts, pages),
      callbackEndpoint(parts, pages),
      tokenEndpoint(parts, token),
      revokeEndpoint(parts, token),
      ...(source.routes ?? []),
    ],
  }
}

function assemble(
  context: PluginContext,
  { source, now = steadyClock(), documentFetch: fetch = {} }: AuthorizationServerOptions,
  settings: Settings,
): Parts {
  const { config, keys, logger, storage, signal, permissions, userLabel, recheck } = context
  const site = siteOf(config)
  const logins = createLogins(storage, now, recheck)
  const policy = createRedirectPolicy(settings.redirectUris)
  const ownHost = new URL(site.issuer).hostname
  const documents =
    settings.cimd === 'off'
      ? undefined
      : createDocuments({ store: storage, policy, ownHost, hosts: settings.cimdHosts, fetch, signal, logger, now })
  return {
    site,
    settings,
    policy,
    source,
    clients: createClients({ store: storage, fixed: settings.clients, documents, now }),
    authorizations: createAuthorizations(storage, now),
    codes: createCodes(storage, now),
    logins,
    pins: createPins(storage, settings.loginLife),
    accessTokens: createAccessTokens(keys, site, now),
    refreshTokens: createRefreshTokens(keys),
    consentCookie: createFlowCookie(site, 'mcpc', 'Strict'),
    departureCookie: createFlowCookie(site, 'mcpb', 'Lax'),
    end: createEnding({ logins, source, logger, signal, userLabel }),
    keys,
    permissions,
    userLabel,
    logger,
    signal,
    now,
  }
}

type EndingOptions = Pick<Parts, 'logins' | 'source' | 'logger' | 'signal' | 'userLabel'>

function createEnding({ logins, source, logger, signal, userLabel }: EndingOptions): Parts['end'] {
  async function letGo({ kept = null }: Login): Promise<void> {
    if (source.revoke === undefined) return
    try {
      await within(signal, (limit) => source.revoke?.(kept, limit))
    } catch (error) {
      logger.warn(`${source.name} could not be told that a login has ended: ${reasonOf(error)}`)
    }
  }

  return async (id, why) => {
    const login = await logins.end(id)
    if (login === undefined) return undefined
    const { user, client } = login
    logger.info(`login ended: ${why}`, { event: 'login-ended', user: userLabel(user), client, login: id })
    void letGo(login)
    return login
  }
}
