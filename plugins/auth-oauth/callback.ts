import type { Remote, Principal, Route } from '../../core/index.ts'
import { reasonOf } from '../../core/index.ts'
import { isBoundTo, type Departure } from './authorizations.ts'
import { CODE_LIFE } from './codes.ts'
import { endpoint } from './endpoint.ts'
import { principalOf, userOf, type LoginUser } from './logins.ts'
import { OAuthError } from './oauth-error.ts'
import { parametersOf } from './parameters.ts'
import type { Parts } from './parts.ts'
import { redirectBack } from './redirect.ts'
import { PATHS } from './site.ts'
import { sourceError, within } from './source-call.ts'
import type { Identified } from './source.ts'

/** Where the browser comes back from the identity source: finds out who it is and whether they may, and hands the client its code. */
export function callbackEndpoint(parts: Parts, limit: (caller: Remote) => void): Route {
  const { authorizations, codes, departureCookie, logins, pins, site, settings, source, signal, now, logger } = parts

  async function handle(request: Request): Promise<Response> {
    const url = new URL(request.url)
    const state = parametersOf(url.searchParams).get('state') ?? ''
    // Taken first: a state is good for one return, whoever comes with it.
    const departure = await authorizations.arrive(state)
    if (departure === undefined) {
      throw new OAuthError(
        'invalid_request',
        'This login is unknown, too old or finished. Start again from the program that sent you here.',
      )
    }
    if (!isBoundTo(departure, departureCookie.read(request, state))) {
      logger.warn('login refused: it came back in another browser than the one it was approved in', {
        event: 'login-unbound',
        client: departure.client,
      })
      throw new OAuthError('access_denied', 'This login was begun in another browser, or cookies are off.', {
        status: 403,
      })
    }
    return redirectBack(site, departure, await finish(url, state, departure), [departureCookie.clear(state)])
  }

  async function finish(url: URL, state: string, departure: Departure) {
    let identified: Identified
    try {
      const { kept = null } = departure
      const callback = site.issuer + PATHS.callback
      const back = new URL(callback)
      back.search = url.search
      identified = await within(signal, (limit) => source.finish({ url: back, state, callback, kept, signal: limit }))
    } catch (error) {
      logger.warn(`login failed at ${source.name}: ${reasonOf(error)}`, {
        event: 'login-failed',
        client: departure.client,
      })
      return sourceError(error)
    }
    try {
      const user = userOf(identified.identity)
      const { client } = departure
      const refusal = (await refusalOf(user, client)) ?? (await strangerOf(user, client))
      return refusal ?? { code: await open(departure, identified, user) }
    } catch (error) {
      logger.error(`login failed: ${reasonOf(error)}`, { event: 'login-failed', client: departure.client })
      return sourceError(error)
    }
  }

  /** Whether the list of users lets them in. */
  async function refusalOf(user: LoginUser, client: string) {
    const principal: Principal = principalOf({ id: '', user, client: '' })
    const who = { user: parts.userLabel(user), client }
    try {
      if ((await parts.permissions(principal)) !== undefined) return undefined
    } catch (error) {
      logger.error(`login refused: ${reasonOf(error)}`, { event: 'login-refused', ...who })
      return { error: 'temporarily_unavailable', message: 'Logins are not possible for now; try again later.' } as const
    }
    logger.warn('login refused: the user is not on the list', { event: 'login-refused', ...who })
    return refused()
  }

  /** The address is on the list, but it is another account than before that has it. */
  async function strangerOf(user: LoginUser, client: string) {
    if (await pins.claim(user)) return undefined
    const what = 'this e-mail address has logged in from another account before'
    logger.warn(`${what}${settings.pinSub ? '; login refused' : ''}`, {
      event: 'other-account',
      user: parts.userLabel(user),
      client,
    })
    return settings.pinSub ? refused() : undefined
  }

  /** Keeps the login until its code is redeemed; only then is it worth anything. */
  async function open(
    departure: Departure,
    { kept, expires: sourceExpires }: Identified,
    user: LoginUser,
  ): Promise<string> {
    const { client, clientName, redirectUri, challenge, scopes } = departure
    const login = await logins.create({
      client,
      ...(clientName !== undefined && { clientName }),
      user,
      resource: site.resource,
      scopes,
      ...(kept !== undefined && { kept }),
      ...(sourceExpires !== undefined && { sourceExpires }),
      idleExpires: now() + CODE_LIFE,
      expires: now() + settings.loginLife,
      redeemed: false,
    })
    logger.info('logged in', { event: 'login', user: parts.userLabel(user), client, clientName, login: login.id })
    return codes.create({ login: login.id, client, redirectUri, challenge })
  }

  return endpoint({ path: PATHS.callback, methods: ['GET'], audience: 'page', logger, limit, handle })
}

function refused() {
  return { error: 'access_denied', message: 'This user may not use this server.' } as const
}
