import { isIP } from 'node:net'
import { ProxyError } from '../errors.ts'
import type { ResolvedConfig } from './resolved.ts'

/** Where to listen when nothing says so: every address with auth and a public origin of more than this machine, else only this machine. */
export function defaultHost({ baseUrl, hasAuth }: { baseUrl: string | undefined; hasAuth: boolean }): string {
  const isPublic = baseUrl !== undefined && !isLoopback(new URL(baseUrl).hostname)
  return isPublic && hasAuth ? '0.0.0.0' : '127.0.0.1'
}

/**
 * Refuses (`ERR_PROXY_CONFIG`) to open the proxy to others while nothing authenticates callers, and to authenticate them
 * where nobody has said under which address they come. The kernel asks once it knows whether a plugin fills `auth`.
 */
export function checkExposure(
  config: Pick<
    ResolvedConfig,
    'host' | 'port' | 'allowUnauthenticated' | 'allowedOrigins' | 'allowedHosts' | 'baseUrl' | 'baseUrlIsDefault'
  >,
  hasAuth: boolean,
): void {
  if (hasAuth) return checkBaseUrl(config)
  if (config.allowedOrigins.includes('*')) {
    const advice = 'name the origins, or load an auth plugin'
    throw new ProxyError('ERR_PROXY_CONFIG', `MCP_ALLOWED_ORIGINS: "*" lets every web page call every tool; ${advice}`)
  }
  if (config.allowUnauthenticated === true || isLoopback(config.host)) return
  if (config.allowUnauthenticated === 'local') return checkNames(config)
  throw new ProxyError(
    'ERR_PROXY_CONFIG',
    `MCP_HOST: "${config.host}" is reachable from other machines and nothing authenticates callers; ` +
      'use 127.0.0.1, load an auth plugin, or set MCP_ALLOW_UNAUTHENTICATED=1 if everybody who can connect may call every tool',
  )
}

/** With `local` the engine of a container decides who connects; a public name says that it is more than this machine. */
function checkNames({ baseUrl, allowedHosts }: Pick<ResolvedConfig, 'baseUrl' | 'allowedHosts'>): void {
  const from = { MCP_BASE_URL: [new URL(baseUrl).hostname], MCP_ALLOWED_HOSTS: allowedHosts }
  for (const [variable, names] of Object.entries(from)) {
    const name = names.find((one) => !isLoopback(one.replace(/:\d*$/, '')))
    if (name === undefined) continue
    throw new ProxyError(
      'ERR_PROXY_CONFIG',
      `${variable}: clients of "${name}" come from other machines and nothing authenticates them; ` +
        'set MCP_AUTH_PROVIDER, or MCP_ALLOW_UNAUTHENTICATED=1 if everybody who can connect may call every tool',
    )
  }
}

function checkBaseUrl({
  host,
  port,
  baseUrlIsDefault,
}: Pick<ResolvedConfig, 'host' | 'port' | 'baseUrlIsDefault'>): void {
  if (!baseUrlIsDefault || (isLoopback(host) && port !== 0)) return
  const why = isLoopback(host)
    ? 'port 0 is a different one each time'
    : `clients reach "${host}" under a public address`
  const what = 'set it to the address that clients use, such as https://mcp.example.com'
  throw new ProxyError('ERR_PROXY_CONFIG', `MCP_BASE_URL: missing; ${why}, and logins are bound to it; ${what}`)
}

/** Whether a host name or address (brackets of IPv6 allowed) can only be reached from this machine. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  if (isIP(name) === 4) return name.startsWith('127.')
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || name.startsWith('::ffff:127.')
}

/**
 * The origin of a public address, without trailing slash; throws `ERR_PROXY_CONFIG` for anything that is no origin.
 * `name` is where the address was set.
 */
export function publicOrigin(text: string, name: string, insecure: boolean): string {
  const fail = (what: string): never => {
    throw new ProxyError('ERR_PROXY_CONFIG', `${name}: ${what}`)
  }
  const url = URL.canParse(text) ? new URL(text) : fail(`"${text}" is no URL; expected "https://mcp.example.com"`)
  // Not repeated: the address holds a password.
  if (url.username !== '' || url.password !== '') fail('must not hold a user or password')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') fail(`"${text}" must begin with https:// or http://`)
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    fail(`"${text}" has a path; give the origin "${url.origin}" alone and put the path into MCP_PATH_PREFIX`)
  }
  if (url.protocol === 'http:' && !insecure && !isLoopback(url.hostname)) {
    fail(`"${text}" sends tokens in the clear; use https, or set MCP_INSECURE=1 on a network you trust`)
  }
  return url.origin
}
