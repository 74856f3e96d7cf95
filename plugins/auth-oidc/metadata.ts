import type { CustomFetch, ServerMetadata } from 'openid-client'
import { SourceError } from '../auth-oauth/index.ts'
import { codeOf, getDocument } from './http.ts'
import type { OidcSettings } from './settings.ts'
import { isLoopbackName } from './variables.ts'

/** How long (ms) the document may take. */
const PATIENCE = 5000

/** Without these nobody can log in. */
const NEEDED = ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const
/** These are used where there are any. */
const USED = ['userinfo_endpoint', 'revocation_endpoint'] as const

/**
 * Reads the provider's metadata (OpenID Connect Discovery 1.0 §4) and checks it: that it is this issuer's, and that nothing is sent
 * in the clear. Rejects `SourceError` `unavailable`, whose message says what to do: until it is there logins have to wait.
 */
export async function readMetadata(settings: OidcSettings, fetch: CustomFetch): Promise<ServerMetadata> {
  const { issuer, overrides, advice } = settings
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const wrong = (what: string): SourceError => new SourceError('unavailable', `${what}; ${advice.address}`)
  const response = await getDocument(fetch, url, PATIENCE).catch((error: unknown) => {
    const code = codeOf(error)
    throw wrong(`its metadata cannot be read at ${url}: ${code ?? (error as Error).message}`)
  })
  const { status } = response
  if (status >= 500 || status === 429) throw new SourceError('unavailable', `its metadata at ${url} answered ${status}`)
  if (status !== 200) {
    throw wrong(`its metadata at ${url} answered ${status}${status >= 300 && status < 400 ? ', a redirect' : ''}`)
  }
  const found = asObject(await response.text())
  if (found === undefined) throw wrong(`what is at ${url} is no JSON object`)
  if (![issuer, overrides.issuer].some((expected) => isSameIssuer(found['issuer'], expected))) {
    throw wrong(`the metadata at ${url} is of another issuer, ${brief(found['issuer'])}`)
  }
  const metadata = { ...found, ...overrides } as Record<string, unknown> & ServerMetadata
  for (const name of [...NEEDED, ...USED]) {
    const endpoint = metadata[name]
    if (endpoint === undefined && USED.some((used) => used === name)) continue
    const fault = faultOf(endpoint, issuer)
    if (fault !== undefined) throw wrong(`in the metadata at ${url} ${name} ${fault}`)
  }
  return metadata
}

/** Endpoints get codes, tokens and the client's secret: https, or this machine where the issuer is on it. */
function faultOf(endpoint: unknown, issuer: string): string | undefined {
  if (endpoint === undefined) return 'is missing'
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) return 'is no URL'
  const { protocol, hostname } = new URL(endpoint)
  if (protocol === 'https:') return undefined
  const isLocal = protocol === 'http:' && issuer.startsWith('http:') && isLoopbackName(hostname)
  return isLocal ? undefined : 'does not begin with https://'
}

/** To the byte but for a slash at the end, which people add and leave out. */
function isSameIssuer(found: unknown, expected: string | undefined): boolean {
  if (typeof found !== 'string' || expected === undefined || !URL.canParse(found)) return false
  const [one, other] = [found, expected].map((text) => new URL(text).href.replace(/\/$/, ''))
  return one === other
}

function asObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function brief(value: unknown): string {
  return (JSON.stringify(value) ?? 'nobody').slice(0, 200)
}
