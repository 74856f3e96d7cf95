import { isIP } from 'node:net'

/** Always allowed: where the clients in common use come back to. `*` at the end stands for one plain path segment. */
const KNOWN: readonly string[] = [
  'https://claude.ai/api/mcp/auth_callback',
  'https://claude.com/api/mcp/auth_callback',
  'https://chatgpt.com/connector_platform_oauth_redirect',
  'https://chatgpt.com/connector/oauth/*',
  'https://vscode.dev/redirect',
  'https://insiders.vscode.dev/redirect',
  'https://www.cursor.com/agents/mcp/oauth/callback',
  'cursor://anysphere.cursor-mcp/oauth/callback',
]
/** Schemes of programs that have no dot in them, as RFC 8252 §7.1 would have it. */
const PRIVATE_SCHEMES: ReadonlySet<string> = new Set(['cursor', 'vscode', 'vscode-insiders', 'claude', 'zed'])
/** Schemes that run something, open something of this device, or go nowhere: never, whoever asks (RFC 9700 §4.11). */
const FORBIDDEN_SCHEMES: ReadonlySet<string> = new Set(
  'about blob data file ftp intent javascript vbscript view-source ws wss'.split(' '),
)
const LONGEST = 2048

/** A redirect URI that may be redirected to, taken apart. */
interface Parts {
  readonly scheme: string
  readonly host: string
  readonly port: string
  /** From the path on. */
  readonly rest: string
  readonly isLoopback: boolean
}

/**
 * Takes a redirect URI apart; `undefined` for one that nobody may be redirected to. What a browser would make of it has to
 * be what is written: anything that it would normalise is refused (RFC 9700 §2.1, RFC 8252).
 */
function parse(text: string): Parts | undefined {
  // No fragment, backslash, white space, control or foreign character, wildcard; nothing a browser drops or turns around.
  if (text.length > LONGEST || !/^[\x21-\x7e]+$/.test(text) || /[#\\*<>"^`{|}]/.test(text)) return undefined
  const written = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?]*))?(\/.*|\?.*|)$/.exec(text)
  if (written === null || !URL.canParse(text)) return undefined
  const [, scheme = '', authority = '', rest = ''] = written
  if (FORBIDDEN_SCHEMES.has(scheme) || /[@%]/.test(authority)) return undefined
  const url = new URL(text)
  // Default and odd ports, other forms of an address, dot segments, quotes: a browser would write them differently.
  const spelt = isWeb(scheme) && !rest.startsWith('/') ? `${scheme}://${authority}/${rest}` : text
  if (url.href !== spelt) return undefined
  const isLoopback = scheme === 'http' && isLoopbackHost(url.hostname)
  return { scheme, host: url.hostname, port: url.port, rest: rest === '' ? '/' : rest, isLoopback }
}

function isWeb(scheme: string): boolean {
  return scheme === 'http' || scheme === 'https'
}

/** This machine itself: literals and `localhost` as written, nothing that a resolver could make of a name. */
function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** Tells which redirect URIs clients may register. */
export interface RedirectPolicy {
  allows(uri: string): boolean
}

/** Whether a text may stand in `MCP_ALLOWED_REDIRECT_URIS`: one that could never be redirected to is a mistake. */
export function isRedirectPattern(pattern: string): boolean {
  if (pattern === '*' || !pattern.endsWith('/*')) return pattern === '*' || isRedirectUri(pattern)
  const uri = `${pattern.slice(0, -1)}x`
  // In a path only: `https://*` would be any host.
  return isRedirectUri(uri) && /^\/[^?]*x$/.test(parse(uri)?.rest ?? '')
}

/** Whether somebody may be redirected there at all, once the operator has said so. */
export function isRedirectUri(uri: string): boolean {
  const parts = parse(uri)
  return parts !== undefined && (parts.scheme !== 'http' || parts.isLoopback)
}

/** `added`: allowed besides the known ones; `*` alone: any https. */
export function createRedirectPolicy(added: readonly string[]): RedirectPolicy {
  const patterns = [...KNOWN, ...added]
  const anyHttps = added.includes('*')
  return {
    allows(uri) {
      const parts = parse(uri)
      if (parts === undefined) return false
      if (parts.scheme === 'http') return parts.isLoopback
      if (patterns.some((pattern) => fits(pattern, uri))) return true
      if (parts.scheme === 'https') return anyHttps && isPublicName(parts.host)
      return isPrivateUse(parts.scheme)
    },
  }
}

/** The exact text, or with `*` at the end one more path segment, of characters that mean nothing to anybody (RFC 3986 §2.3). */
function fits(pattern: string, uri: string): boolean {
  if (!pattern.endsWith('/*')) return uri === pattern
  const start = pattern.slice(0, -1)
  return uri.startsWith(start) && /^[\w.~-]+$/.test(uri.slice(start.length))
}

function isPublicName(host: string): boolean {
  // `localhost.` is `localhost`, and so on.
  if (host.endsWith('.')) return false
  const last = host.slice(host.lastIndexOf('.') + 1)
  return isIP(host) === 0 && !host.startsWith('[') && host.includes('.') && !/^(?:localhost|local|internal)$/.test(last)
}

/** A program's own scheme: named after a domain (RFC 8252 §7.1), or one of those in common use. */
function isPrivateUse(scheme: string): boolean {
  if (PRIVATE_SCHEMES.has(scheme)) return true
  return /^[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+$/.test(scheme)
}

/**
 * Whether `uri`, as a client asks for it, is the `registered` one: to the letter, but for the port of a loopback address, which
 * programs only know once they listen (RFC 8252 §7.3).
 */
export function isRegistered(registered: string, uri: string): boolean {
  if (registered === uri) return true
  const [known, asked] = [parse(registered), parse(uri)]
  if (known === undefined || asked === undefined) return false
  return known.isLoopback && asked.isLoopback && known.host === asked.host && known.rest === asked.rest
}

/** Parameters of a redirect to a client that only the answer may set. */
const OWNED: ReadonlySet<string> = new Set(['code', 'state', 'iss', 'error', 'error_description', 'error_uri'])

/** A redirect to a client with these parameters; those of the same name that were there before are gone (RFC 9207 §2). */
export function withParameters(uri: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const [base = '', query = ''] = uri.split(/\?(.*)/s)
  const kept = query.split('&').filter((pair) => pair !== '' && !OWNED.has(nameIn(pair)))
  const added = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  )
  return `${base}?${[...kept, ...added].join('&')}`
}

function nameIn(pair: string): string {
  // With a `?` of its own, since one at the beginning would be dropped.
  return new URLSearchParams(`?${pair}`).keys().next().value ?? ''
}

/** What a person is told of where the answer goes. */
export function destinationOf(uri: string): {
  readonly host: string
  readonly isLoopback: boolean
  readonly isWeb: boolean
} {
  const parts = parse(uri)
  if (parts === undefined) return { host: '', isLoopback: false, isWeb: false }
  const web = isWeb(parts.scheme)
  return { host: web ? parts.host : `${parts.scheme}://`, isLoopback: parts.isLoopback, isWeb: web }
}
