import { AuthorizationResponseError, ClientError, ResponseBodyError } from 'openid-client'
import { reasonOf } from '../../core/index.ts'
import { SourceError } from '../auth-oauth/index.ts'
import type { Advice } from './advice.ts'
import { codeOf, OversizeError } from './http.ts'
import { isTokenFault } from './token-fault.ts'

/** Errors of a token endpoint that nobody but the operator can mend (RFC 6749 §5.2, RFC 8707 §2). */
const OPERATOR: ReadonlySet<string> = new Set([
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
])
/** Errors that end a login at a refresh: the provider says no, or wants to see the person (OpenID Connect Core §3.1.2.6). */
const OVER: ReadonlySet<string> = new Set([
  'invalid_grant',
  'access_denied',
  'consent_required',
  'interaction_required',
  'login_required',
  'mfa_required',
])

/**
 * What a failure at the provider means. At a login it is over in any case; at a refresh only the provider's own word ends it, and
 * everything else is trouble that passes or that the operator mends. The provider's texts are read, never repeated.
 */
export function failureAt(moment: 'login' | 'refresh', error: unknown, advice: Advice): SourceError {
  const fail = (failure: SourceError['failure'], what: string, code?: string): SourceError =>
    new SourceError(failure, what, { cause: error, ...(code !== undefined && { error: code }) })
  const broken = (what: string): SourceError =>
    moment === 'login' ? fail('denied', what, 'server_error') : fail('unavailable', what)
  const wrong = (what: string): SourceError =>
    moment === 'login' ? fail('denied', what, 'server_error') : fail('misconfigured', what)

  if (error instanceof SourceError) return error
  if (error instanceof AuthorizationResponseError) return fromCallback(error)
  if (error instanceof ResponseBodyError) return fromTokenEndpoint(error)
  if (isTokenFault(error)) {
    if (error.keyUnknown) return fail('unavailable', error.message)
    return wrong(error.algorithm ? `${error.message}: ${advice.algorithm}` : error.message)
  }
  const oversize = error instanceof OversizeError ? error : error instanceof Error ? error.cause : undefined
  if (oversize instanceof OversizeError) return broken(oversize.message)
  if (error instanceof ClientError) return fromClient(error)
  const code = codeOf(error)
  return fail('unavailable', code === undefined ? reasonOf(error) : `it cannot be reached (${code})`)

  function fromCallback({ error: said, error_description: text = '' }: AuthorizationResponseError): SourceError {
    const what = `it answered ${nameOf(said)}`
    if (/audience|service not found/i.test(text)) return fail('misconfigured', `${what}: ${advice.audience}`)
    if (/callback|redirect/i.test(text)) return fail('misconfigured', `${what}: ${advice.callback}`)
    if (OPERATOR.has(said)) return fail('misconfigured', `${what}: ${adviceOn(said)}`)
    // Auth0's word for what RFC 6749 calls access_denied.
    return fail('denied', what, said === 'unauthorized' ? 'access_denied' : said)
  }

  function fromTokenEndpoint({ error: said, status }: ResponseBodyError): SourceError {
    const what = `it answered ${status} ${nameOf(said)}`
    if (status === 429) return fail('unavailable', what)
    if (OPERATOR.has(said)) return fail('misconfigured', `${what}: ${adviceOn(said)}`)
    if (moment === 'refresh') return OVER.has(said) ? fail('ended', what) : fail('unavailable', what)
    return fail('denied', what, said === 'access_denied' ? said : 'server_error')
  }

  function fromClient(failure: ClientError): SourceError {
    const { cause, code = '' } = failure
    if (cause instanceof Response) {
      const passes = cause.status >= 500 || cause.status === 429
      const what = `${cause.url} answered ${cause.status}${cause.ok ? ', and no JSON' : ''}`
      return passes ? fail('unavailable', what) : broken(what)
    }
    // openid-client's own words are in the cause: fixed texts, with the names of claims.
    const what = cause instanceof Error ? cause.message : failure.message
    if (/TIMEOUT|ABORT/.test(code)) return fail('unavailable', failure.message)
    if (/"alg"/.test(what)) return wrong(`${what}: ${advice.algorithm}`)
    if (/JSON_ATTRIBUTE/.test(code)) return fail('denied', 'userinfo speaks of another person than the ID token')
    if (/COMPARISON|TIMESTAMP/.test(code)) return wrong(what)
    return broken(what)
  }

  function adviceOn(said: string): string {
    if (said === 'invalid_client') return advice.secret
    return said === 'invalid_target' ? advice.audience : advice.grants
  }
}

/** An error code that may stand in a log. */
function nameOf(code: string): string {
  return /^\w{1,64}$/.test(code) ? code : 'an error'
}
