import { LOCAL_USER, type AccessPolicy, type AuthProvider, type Permissions, type Principal } from '../auth.ts'
import { AuthError } from '../errors.ts'
import type { Awaitable } from '../plugin.ts'

/** Finds out who is calling. */
export interface Authenticator {
  /** Who sends a request, and what they may do. Throws `AuthError`: 401 unknown, 403 not allowed, 503 nobody can say for now. */
  authenticate(request: Request): Awaitable<Principal>
  /** Whether a principal that was recognised before still is, with the same permissions. Never rejects. */
  isCurrent(principal: Principal): Promise<boolean>
}

/**
 * The first `auth` provider that knows, then what the `access` policy allows. Without providers everybody is the local user.
 */
export function createAuthenticator(
  providers: readonly AuthProvider[],
  access: AccessPolicy | undefined,
): Authenticator {
  if (providers.length === 0 && access === undefined) {
    return { authenticate: () => LOCAL_USER, isCurrent: async () => true }
  }
  /** How each principal was recognised: policy and provider are asked again about what they were asked about. */
  const origins = new WeakMap<Principal, Recognised>()
  /** The principals of providers, with their permissions: for one that comes again nothing new is made. */
  const completed = new WeakMap<Principal, Principal>()

  /** At once where nobody has to be waited for: it stands before every request. */
  function authenticate(request: Request): Awaitable<Principal> {
    const recognised = recognise(providers, request)
    return isPromise(recognised) ? recognised.then((known) => admit(known, request)) : admit(recognised, request)
  }

  function admit(recognised: Recognised, request: Request): Awaitable<Principal> {
    const permissions = access?.permissions(recognised.principal)
    if (isPromise(permissions)) return permissions.then((found) => complete(recognised, found, request))
    return complete(recognised, permissions, request)
  }

  function complete(
    recognised: Recognised,
    permissions: Permissions | undefined,
    request: Request,
  ): Awaitable<Principal> {
    const { provider, principal } = recognised
    if (access !== undefined && permissions === undefined) return refuse(recognised, request)
    const before = completed.get(principal)
    const isSame = (known: Principal) => known.permissions === permissions && origins.get(known)?.provider === provider
    if (before !== undefined && isSame(before)) return before
    const known = withPermissions(principal, permissions)
    completed.set(principal, known)
    origins.set(known, recognised)
    return known
  }

  async function isCurrent(known: Principal): Promise<boolean> {
    const { provider, principal } = origins.get(known) ?? { principal: known }
    try {
      // A policy that cannot say denies, as it does to requests.
      if (access !== undefined && (await access.permissions(principal)) !== known.permissions) return false
    } catch {
      return false
    }
    try {
      return (await provider?.isActive?.(principal)) ?? true
    } catch {
      return true // a store that fails for a moment is no reason to cut everybody off
    }
  }

  return { authenticate, isCurrent }
}

interface Recognised {
  /** As the provider, absent for the local user, knows them. */
  readonly principal: Principal
  readonly provider?: AuthProvider
}

function withPermissions(principal: Principal, permissions: Permissions | undefined): Principal {
  if (permissions === undefined) return { ...principal }
  return { ...principal, roles: permissions.roles ?? principal.roles, permissions }
}

async function refuse({ provider, principal }: Recognised, request: Request): Promise<never> {
  const refusal = await provider?.refuse?.(principal, request)
  throw refusal ?? new AuthError(403, 'This user may not use this server.')
}

/** The first provider, from the given one on, that knows who is calling. */
function recognise(providers: readonly AuthProvider[], request: Request, from = 0): Awaitable<Recognised> {
  if (providers.length === 0) return { principal: LOCAL_USER }
  const provider = providers[from]
  if (provider === undefined) throw unknown(providers, request)
  const found = (principal: Principal | undefined): Awaitable<Recognised> =>
    principal === undefined ? recognise(providers, request, from + 1) : { provider, principal }
  const principal = provider.authenticate(request)
  return isPromise(principal) ? principal.then(found) : found(principal)
}

function unknown(providers: readonly AuthProvider[], request: Request): AuthError {
  const headers = Object.assign({}, ...providers.map((provider) => provider.challenge?.(request)))
  return new AuthError(401, 'Authentication is required.', headers)
}

function isPromise<T>(value: Awaitable<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T> | undefined)?.then === 'function'
}
