import type { AuthError } from './errors.ts'
import type { Awaitable } from './plugin.ts'

/** Who is calling. */
export interface Principal {
  /** Stable and unique; what `isolate: 'user'` and sessions go by. */
  readonly id: string
  /** For the operator's log; never in errors to clients. */
  readonly email?: string
  readonly name?: string
  /** The identity provider's own id of the user (OpenID Connect `sub`). */
  readonly subject?: string
  /** The OAuth client the request came through. */
  readonly client?: string
  /** The login the request came through: what its provider can end. */
  readonly login?: string
  readonly roles: readonly string[]
  /** What the principal may do; absent: everything. Set by the kernel from the `access` slot. */
  readonly permissions?: Permissions
}

/** Whose something is that outlives its HTTP request: one OAuth client of a principal is not another. */
export function ownerOf({ id, client }: Principal): string {
  return client === undefined ? id : `${id} ${client}`
}

/** What a principal may do. */
export interface Permissions {
  /** Globs (`*`) over the whole exposed name of tools and prompts. */
  readonly allowedTools: readonly string[]
  readonly roles?: readonly string[]
}

/** Fills slot `auth`: recognises callers. Providers are asked in order. */
export interface AuthProvider {
  /** `undefined`: not mine, ask the next one. Throws `AuthError` to refuse. */
  authenticate(request: Request): Awaitable<Principal | undefined>
  /** Headers of the 401 given when no provider knows the caller. */
  challenge?(request: Request): Readonly<Record<string, string>>
  /** Whether a principal of this provider may keep the streams it has open; asked now and then. Absent: yes. */
  isActive?(principal: Principal): Awaitable<boolean>
  /**
   * The `access` policy refuses a principal of this provider: ends its login and says how to answer. Absent: 403. A provider
   * that has it is only started beside an `access` policy.
   */
  refuse?(principal: Principal, request: Request): Awaitable<AuthError>
  /** The `access` policy has changed: ends the logins of whom it refuses now, also of those who ask for nothing just now. */
  review?(): Awaitable<void>
}

/** Fills slot `access`: who may use the proxy, and what of it. Asked for every request, so it must be quick. */
export interface AccessPolicy {
  /**
   * `undefined` refuses the principal. The same object as long as nothing has changed. Throws `AuthError` 503 while the
   * policy cannot say.
   */
  permissions(principal: Principal): Awaitable<Permissions | undefined>
}

/** Everybody is this one user while no `auth` provider is loaded. */
export const LOCAL_USER: Principal = Object.freeze({ id: 'local', roles: Object.freeze([]) })
