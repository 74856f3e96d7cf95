import { isIP } from 'node:net'

const LONGEST = 1024

/** Whether a client id has the form of a URL: its metadata is a document there. */
export function isDocumentId(id: string): boolean {
  return /^https?:\/\//i.test(id)
}

/**
 * The URL of a client id metadata document (draft-ietf-oauth-client-id-metadata-document §3), or why it may not be
 * fetched: https, a public name, the default port, a path, and written just as it would be fetched. `own`: this proxy's
 * host, which serves none; `hosts`: the only ones that count, where given.
 */
export function documentUrl(id: string, own: string, hosts?: readonly string[]): URL | string {
  if (id.length > LONGEST || !/^https:\/\/[\x21-\x7e]+$/.test(id) || /[#\\]/.test(id)) return 'it is no https URL'
  if (!URL.canParse(id)) return 'it is no URL'
  const url = new URL(id)
  if (url.href !== id) return 'it is not written in its normal form'
  if (url.username !== '' || url.password !== '') return 'it holds a user'
  if (url.port !== '') return 'it names a port'
  if (url.pathname === '/') return 'it has no path'
  if (!isPublicName(url.hostname)) return 'its host is not on the public Internet'
  if (url.hostname === own) return 'it is at this very server'
  if (hosts !== undefined && !hosts.includes(url.hostname)) return 'its host is not one of cimdHosts'
  return url
}

function isPublicName(name: string): boolean {
  if (isIP(name) !== 0 || name.startsWith('[') || name.endsWith('.') || !name.includes('.')) return false
  return !/\.(?:localhost|local|internal|intranet|lan|home|corp|test|invalid|example|onion|home\.arpa)$/.test(name)
}
