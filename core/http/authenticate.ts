import { LOCAL_USER, type AccessPolicy, type AuthProvider, type Principal } from '../auth.ts'
import { AuthError } from '../errors.ts'

/**
 * Who is calling: the first `auth` provider that knows, then what the `access` policy allows.
 * Without providers everybody is the local user. Throws `AuthError`: 401 unknown, 403 not allowed.
 */
export function createAuthenticator(
  providers: readonly AuthProvider[],
  access: AccessPolicy | undefined,
): (request: Request) => Principal | Promise<Principal> {
  if (providers.length === 0 && access === undefined) return () => LOCAL_USER
  return async (request) => {
    const principal = providers.length === 0 ? LOCAL_USER : await recognise(providers, request)
    if (access === undefined) return principal
    const permissions = await access.permissions(principal)
    if (permissions === undefined) throw new AuthError(403, 'This user may not use this server.')
    return { ...principal, permissions }
  }
}

async function recognise(providers: readonly AuthProvider[], request: Request): Promise<Principal> {
  for (const provider of providers) {
    const principal = await provider.authenticate(request)
    if (principal !== undefined) return principal
  }
  const headers = Object.assign({}, ...providers.map((provider) => provider.challenge?.(request)))
  throw new AuthError(401, 'Authentication is required.', headers)
}
