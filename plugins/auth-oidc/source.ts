import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  tokenRevocation,
} from 'openid-client'
import { reasonOf, type JsonObject, type PluginContext } from '../../core/index.ts'
import type { Identified, IdentitySource, Return } from '../auth-oauth/index.ts'
import { createCheck } from './check.ts'
import { createClient } from './client.ts'
import { failureAt } from './failure.ts'
import { createHints } from './hints.ts'
import { createFetch, getDocument } from './http.ts'
import { identityOf } from './identity.ts'
import { createKeySet } from './key-set.ts'
import { createProvider } from './provider.ts'
import { asJson, createRefresh, type Kept } from './refresh.ts'
import type { OidcSettings } from './settings.ts'

/** How long (s) a request of a login may take, and userinfo. */
const PATIENCE = 8
const USERINFO_PATIENCE = 5
/** How long (ms) the key set may take. */
const KEYS_PATIENCE = 5000
/** How long (s) an access token is taken to live where nothing is said, and at most. */
const USUAL_LIFE = 3600
const LONGEST_LIFE = 366 * 86_400

/** What is kept while a browser is away. */
interface Away {
  readonly verifier: string
  readonly nonce: string
}

/** An identity source whose mistakes can be seen before the first login. */
export interface OidcSource extends IdentitySource {
  /** Reads the provider's metadata; what is wrong with it is logged. Never rejects. */
  prepare(): Promise<void>
}

/** Any OpenID provider as an identity source: authorization code with PKCE, its tokens checked at login and at each refresh. */
export function oidcSource(
  settings: OidcSettings,
  { signal, logger }: Pick<PluginContext, 'signal' | 'logger'>,
  now: () => number = Date.now,
): OidcSource {
  const { provider: name, audience, advice } = settings
  /** The last request failed: nobody is sent there before it is known to answer. */
  let isDoubtful = false
  const fetch = createFetch(signal, (isWell) => void (isDoubtful = !isWell))
  const provider = createProvider({ settings, fetch, now, logger })
  const client = createClient(settings, fetch)
  const hints = createHints(settings, logger, now)
  const keys = createKeySet({
    read: readKeys,
    now,
    onstale: (error) => logger.warn(`${name}: its key set cannot be read: ${reasonOf(error)}; the last one is used`),
  })
  const check = createCheck({ settings, keys, now, logger })
  const refresh = createRefresh({ settings, provider, client, check, fetch, logger })

  async function readKeys(): Promise<unknown> {
    const { jwks_uri: uri = '' } = await provider()
    const response = await getDocument(fetch, uri, KEYS_PATIENCE)
    if (response.status !== 200) throw new Error(`it answered ${response.status}`)
    const set = (await response.json()) as { keys?: { kid?: string }[] } | null
    logger.debug(`${name}: key set read`, { uri, keys: set?.keys?.map(({ kid }) => kid) })
    return set
  }

  async function finish({ url, state, kept }: Return): Promise<Identified> {
    const { verifier, nonce } = kept as unknown as Away
    const metadata = await provider()
    const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
    const tokens = await client.authenticated(metadata, { seconds: PATIENCE }, (configuration) =>
      authorizationCodeGrant(configuration, url, checks),
    )
    const { access_token: accessToken, refresh_token: refreshToken, expires_in: life = USUAL_LIFE } = tokens
    logger.debug(`${name}: code exchanged`, { expires_in: life, refresh_token: refreshToken !== undefined })
    const { id = {}, access } = await check(metadata, tokens, nonce)
    const identity = await identityOf({ id, access }, settings, (subject) => {
      logger.debug(`${name}: asking userinfo for the e-mail address`)
      return fetchUserInfo(client.configure(metadata, { seconds: USERINFO_PATIENCE }), accessToken, subject)
    })
    if (refreshToken !== undefined) return { identity, kept: asJson({ refreshToken, identity }) }
    // Without a refresh token the login lasts as long as the access token.
    const seconds = Math.min(Math.max(life, 1), LONGEST_LIFE)
    hints.noRefreshToken(seconds)
    return { identity, expires: now() + seconds * 1000 }
  }

  return {
    name,

    async prepare() {
      await provider().catch((error: unknown) => logger.error(`logins at ${name} are not possible: ${reasonOf(error)}`))
    },

    async begin({ state, callback }) {
      const scope = settings.scopes.join(' ')
      const asked = {
        ...settings.parameters,
        scope,
        ...(audience !== undefined && { audience }),
        redirect_uri: callback,
      }
      logger.debug(`${name}: login begins`, { client_id: settings.clientId, ...asked })
      const configuration = client.configure(await provider(isDoubtful), { seconds: PATIENCE })
      const away: Away = { verifier: randomPKCECodeVerifier(), nonce: randomNonce() }
      const url = buildAuthorizationUrl(configuration, {
        ...asked,
        code_challenge: await calculatePKCECodeChallenge(away.verifier),
        code_challenge_method: 'S256',
        nonce: away.nonce,
        state,
      })
      hints.away(callback)
      return { url: url.href, kept: { ...away } }
    },

    async finish(back) {
      hints.back()
      try {
        return await finish(back)
      } catch (error) {
        throw failureAt('login', error, advice)
      }
    },

    refresh: (kept, _signal, keep) => refresh(kept as unknown as Kept, keep),

    async revoke(kept) {
      // Nothing is kept of a login that had no refresh token.
      const { refreshToken } = (kept ?? {}) as JsonObject
      if (typeof refreshToken !== 'string') return
      const metadata = await provider()
      if (metadata.revocation_endpoint === undefined) return
      await client.authenticated(metadata, { seconds: PATIENCE }, (configuration) =>
        tokenRevocation(configuration, refreshToken, { token_type_hint: 'refresh_token' }),
      )
      logger.debug(`${name}: refresh token revoked`)
    },
  }
}
