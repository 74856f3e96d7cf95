import type { OAuthError } from './oauth-error.ts'
import { withParameters } from './redirect-uri.ts'
import type { Site } from './site.ts'

/** What a redirect back to a client needs of an authorization. */
interface Back {
  readonly redirectUri: string
  readonly state?: string
}

/** 303: the browser goes on with a GET, whatever it did before. Never 307 or 308, which would repeat a form. */
export function seeOther(location: string, headers: ReadonlyArray<readonly [string, string]> = []): Response {
  const own = [
    ['location', location],
    ['cache-control', 'no-store'],
    ['referrer-policy', 'no-referrer'],
  ] as const
  return new Response(null, { status: 303, headers: [...own, ...headers] as [string, string][] })
}

type Answer = { readonly code: string } | Pick<OAuthError, 'error' | 'message'>

/** Sends the browser back to the client with a code or an error (RFC 6749 §4.1.2), and with the issuer (RFC 9207 §2). */
export function redirectBack(
  { issuer }: Site,
  { redirectUri, state }: Back,
  answer: Answer,
  headers: ReadonlyArray<readonly [string, string]> = [],
): Response {
  const result =
    'code' in answer ? { code: answer.code } : { error: answer.error, error_description: described(answer.message) }
  return seeOther(withParameters(redirectUri, { ...result, state, iss: issuer }), headers)
}

/** The characters RFC 6749 §4.1.2.1 allows, and no more than a line of them. */
function described(message: string): string {
  return message.replaceAll(/[^\x20\x21\x23-\x5B\x5D-\x7E]/g, ' ').slice(0, 200)
}
