import { ProxyError, variableOf, type ResolvedConfig } from '../../core/index.ts'

/** A setting that a provider needs: the variable it comes from, and where people find its value. */
export interface Wanted {
  readonly variable: string
  /** The plugin's option of the same meaning. */
  readonly option: string | undefined
  readonly hint: string
}

/** The values of settings that have to be there; throws one `ERR_PROXY_CONFIG` that names every missing one and where to find it. */
export function requireSettings<K extends string>(
  config: ResolvedConfig,
  wanted: Readonly<Record<K, Wanted>>,
): Record<K, string> {
  const found = {} as Record<K, string>
  const missing: string[] = []
  for (const [key, { variable, option, hint }] of Object.entries<Wanted>(wanted)) {
    const value = variableOf(config, variable) ?? option
    if (value === undefined) missing.push(`${variable} is missing; ${hint}`)
    else found[key as K] = value
  }
  if (missing.length > 0) throw new ProxyError('ERR_PROXY_CONFIG', missing.join('\n'))
  return found
}

/** An address of the provider's: https, or http on this machine. `name`: where it was set. Throws `ERR_PROXY_CONFIG`. */
export function readAddress(text: string, name: string): URL {
  const fail = (what: string): never => {
    throw new ProxyError('ERR_PROXY_CONFIG', `${name}: ${what}`)
  }
  const url = URL.canParse(text)
    ? new URL(text)
    : fail(`"${text}" is no URL; expected one such as https://login.example.com`)
  // Not repeated: the address holds a password.
  if (url.username !== '' || url.password !== '') fail('must not hold a user or password')
  if (/[${}]/.test(url.hostname)) fail(`"${text}" has a placeholder in it that stands for nothing`)
  const isLocal = url.protocol === 'http:' && isLoopbackName(url.hostname)
  if (url.protocol !== 'https:' && !isLocal) fail(`"${text}" must begin with https:// (http:// for this machine only)`)
  return url
}

/** The issuer as a URL without query and fragment (OpenID Connect Discovery 1.0 §3). Throws `ERR_PROXY_CONFIG`. */
export function readIssuer(text: string, name: string): string {
  const { href } = readAddress(text, name)
  if (!/[?#]/.test(href)) return href
  throw new ProxyError('ERR_PROXY_CONFIG', `${name}: "${text}" must have no query and no fragment`)
}

/** Whether a URL's host is this machine. */
export function isLoopbackName(host: string): boolean {
  return /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(host)
}
