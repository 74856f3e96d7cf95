/** Errors of RFC 6749 §4.1.2.1 and §5.2, RFC 6750, RFC 7591 §3.2.2, RFC 8707 and OpenID Connect Core §3.1.2.6 that are given here. */
export type OAuthErrorCode =
  | 'access_denied'
  | 'interaction_required'
  | 'invalid_client'
  | 'invalid_client_metadata'
  | 'invalid_grant'
  | 'invalid_redirect_uri'
  | 'invalid_request'
  | 'invalid_scope'
  | 'invalid_software_statement'
  | 'invalid_target'
  | 'login_required'
  | 'request_not_supported'
  | 'request_uri_not_supported'
  | 'server_error'
  | 'temporarily_unavailable'
  | 'unsupported_grant_type'
  | 'unsupported_response_type'

/** Statuses other than 400. */
const STATUS: Partial<Record<OAuthErrorCode, number>> = {
  invalid_client: 401,
  temporarily_unavailable: 503,
  server_error: 500,
}

/**
 * A request that cannot be granted. `message` is fixed text for the client; `reason` is for the log alone.
 */
export class OAuthError extends Error {
  readonly error: OAuthErrorCode
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly reason: string | undefined
  constructor(
    error: OAuthErrorCode,
    message: string,
    options: { status?: number; headers?: Readonly<Record<string, string>>; reason?: string } = {},
  ) {
    super(message)
    this.name = 'OAuthError'
    this.error = error
    this.status = options.status ?? STATUS[error] ?? 400
    this.headers = { ...(error === 'temporarily_unavailable' && { 'retry-after': '5' }), ...options.headers }
    this.reason = options.reason
  }
}

/** A JSON answer that nobody keeps (RFC 6749 §5.1). */
export function json(status: number, body: object, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', pragma: 'no-cache', ...headers },
  })
}

/** An error as RFC 6749 §5.2 writes it. */
export function jsonError({ status, error, message, headers }: OAuthError): Response {
  return json(status, { error, error_description: message }, headers)
}

/** 405 with what would be right. */
export function wrongMethod(allow: string): Response {
  return json(405, { error: 'invalid_request', error_description: `This endpoint answers ${allow}.` }, { allow })
}
