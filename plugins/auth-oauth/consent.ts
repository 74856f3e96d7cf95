import type { Remote, Keys, Route } from '../../core/index.ts'
import { reasonOf } from '../../core/index.ts'
import { CONSENT_LIFE, LOGIN_LIFE, type Authorization, type Pending } from './authorizations.ts'
import { endpoint } from './endpoint.ts'
import { OAuthError } from './oauth-error.ts'
import { consentPage } from './pages/consent-page.ts'
import { parametersOf, readForm, type Parameters } from './parameters.ts'
import type { Parts } from './parts.ts'
import { redirectBack, seeOther } from './redirect.ts'
import { newSecret } from './secret.ts'
import { PATHS, type Site } from './site.ts'
import { sourceError, within } from './source-call.ts'

/**
 * Asks a person, each time, before anything is sent to the identity source: else whoever registers a client could have the codes
 * of people whose session there is still open (MCP security best practices, confused deputy).
 */
export function consentEndpoint(parts: Parts, limit: (caller: Remote) => void): Route {
  const { authorizations, consentCookie, keys, site, settings, logger } = parts

  async function show(request: Request): Promise<Response> {
    const id = parametersOf(new URL(request.url).searchParams).get('authorization')
    const pending = await findPending(id)
    const secret = newSecret()
    const { clientName, clientHost, redirectUri, scopes } = pending
    return consentPage({
      name: settings.name,
      clientName,
      clientHost,
      redirectUri,
      resource: site.resource,
      scopes,
      authorization: id ?? '',
      csrf: csrfOf(keys, id ?? '', secret),
      headers: [consentCookie.set(id ?? '', secret, CONSENT_LIFE)],
    })
  }

  async function decide(request: Request): Promise<Response> {
    checkOrigin(request, site)
    const form = await readForm(request)
    const id = form.get('authorization') ?? ''
    checkCsrf(request, form, id)
    const action = form.get('action')
    if (action !== 'approve' && action !== 'deny')
      throw new OAuthError('invalid_request', 'Neither yes nor no was said.')
    await findPending(id)
    const authorization = await authorizations.decide(id)
    if (authorization === undefined) throw decided()
    const cleared = consentCookie.clear(id)
    if (action === 'approve') return depart(parts, authorization, cleared)
    logger.info('consent denied', { event: 'consent-denied', client: authorization.client })
    return redirectBack(site, authorization, { error: 'access_denied', message: 'The user said no.' }, [cleared])
  }

  async function findPending(id: string | undefined): Promise<Pending> {
    const pending = id === undefined ? undefined : await authorizations.find(id)
    if (pending === undefined) {
      throw new OAuthError(
        'invalid_request',
        'This request is unknown or too old. Start again from the program that sent you here.',
      )
    }
    if (pending.stage !== 'new') throw decided()
    return pending
  }

  /** The form was shown to this very browser: the cookie and the field belong together. */
  function checkCsrf(request: Request, form: Parameters, id: string): void {
    const cookie = consentCookie.read(request, id)
    if (cookie !== undefined && keys.verify('csrf', csrfText(id, cookie), form.get('csrf') ?? '')) return
    throw new OAuthError('access_denied', 'This form was not shown to this browser, or cookies are off.', {
      status: 403,
    })
  }

  const handle = (request: Request): Promise<Response> => (request.method === 'POST' ? decide(request) : show(request))
  return endpoint({ path: PATHS.consent, methods: ['GET', 'POST'], audience: 'page', logger, limit, handle })
}

/** Approved: only now is there a state, and only this browser may come back with it. */
async function depart(
  parts: Parts,
  authorization: Authorization,
  cleared: readonly [string, string],
): Promise<Response> {
  const { authorizations, departureCookie, site, source, signal, logger } = parts
  const state = newSecret()
  const cookie = newSecret()
  try {
    const callback = site.issuer + PATHS.callback
    const { url, kept } = await within(signal, (limit) => source.begin({ state, callback, signal: limit }))
    await authorizations.depart(state, { ...authorization, ...(kept !== undefined && { kept }) }, cookie)
    return seeOther(url, [cleared, departureCookie.set(state, cookie, LOGIN_LIFE)])
  } catch (error) {
    logger.error(`login could not begin at ${source.name}: ${reasonOf(error)}`)
    return redirectBack(site, authorization, sourceError(error), [cleared])
  }
}

/** A page of another site cannot have sent this form: browsers say where it came from. */
export function checkOrigin(request: Request, { issuer }: Pick<Site, 'issuer'>): void {
  const origin = request.headers.get('origin')
  const place = request.headers.get('sec-fetch-site')
  if ((origin === null || origin === issuer) && (place === null || place === 'same-origin')) return
  throw new OAuthError('access_denied', 'This form came from another site.', {
    status: 403,
    reason: `origin ${String(origin).slice(0, 200)}, this is ${issuer}`,
  })
}

function csrfOf(keys: Keys, id: string, cookie: string): string {
  return keys.mac('csrf', csrfText(id, cookie))
}

function csrfText(id: string, cookie: string): string {
  return JSON.stringify(['consent', id, cookie])
}

function decided(): OAuthError {
  return new OAuthError(
    'invalid_request',
    'This request has been decided already. Start again from the program that sent you here if need be.',
  )
}
