import type { ConsolaInstance } from 'consola'
import type { PluginContext } from '../../core/index.ts'
import type { AccessTokens } from './access-token.ts'
import type { Authorizations } from './authorizations.ts'
import type { Clients } from './clients.ts'
import type { Clock } from './clock.ts'
import type { Codes } from './codes.ts'
import type { FlowCookie } from './cookies.ts'
import type { Login, Logins } from './logins.ts'
import type { Pins } from './pins.ts'
import type { RedirectPolicy } from './redirect-uri.ts'
import type { RefreshTokens } from './refresh-token.ts'
import type { Settings } from './settings.ts'
import type { Site } from './site.ts'
import type { IdentitySource } from './source.ts'

/** What the endpoints of the authorization server are made of. */
export interface Parts {
  readonly site: Site
  readonly settings: Settings
  readonly policy: RedirectPolicy
  readonly source: IdentitySource
  readonly clients: Clients
  readonly authorizations: Authorizations
  readonly codes: Codes
  readonly logins: Logins
  readonly pins: Pins
  readonly accessTokens: AccessTokens
  readonly refreshTokens: RefreshTokens
  /** Ties the consent form to the browser that was shown it. */
  readonly consentCookie: FlowCookie
  /** Ties the return from the identity source to the browser that approved. */
  readonly departureCookie: FlowCookie
  /** Ends a login, everywhere and at once; what it held at the source is let go in the background. */
  readonly end: (login: string, why: string) => Promise<Login | undefined>
  readonly keys: PluginContext['keys']
  readonly permissions: PluginContext['permissions']
  readonly userLabel: PluginContext['userLabel']
  readonly logger: ConsolaInstance
  readonly signal: AbortSignal
  readonly now: Clock
}
