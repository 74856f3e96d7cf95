import { ConnectionError } from '../../core/index.ts'
import { describeUrl } from './entry.ts'
import type { Site } from './site.ts'

/** How often one request may be sent on. */
const MOST = 5

/** Whether a status sends a client elsewhere. */
export function isRedirect(status: number): boolean {
  return status >= 300 && status < 400
}

/**
 * The path (with query) that a redirect asks to go on with; `undefined` where it is not followed. Another origin never
 * is: configured headers are meant for this one. What has a body is repeated only where the status says that it must
 * be, and as it was (RFC 9110 15.4).
 */
export function redirectPath(
  site: Site,
  from: { readonly method: string; readonly path: string },
  to: { readonly status: number; readonly location: string | undefined },
): string | undefined {
  const { status } = to
  const followed = status === 307 || status === 308 || (from.method === 'GET' && [301, 302, 303].includes(status))
  const target = followed ? targetOf(site, from.path, to.location) : undefined
  return target?.origin === site.origin ? target.pathname + target.search : undefined
}

/** Where a redirect leads, for messages: without query, which may hold a key. */
export function describeTarget(site: Site, path: string, location: string | undefined): string {
  const target = targetOf(site, path, location)
  return target === undefined ? '' : ` to ${describeUrl(target)}`
}

/** Why a request that was sent on again and again is given up; `undefined` as long as it is not. */
export function redirectLoop(site: Site, trail: readonly string[], status: number): ConnectionError | undefined {
  if (trail.length <= MOST + 1) return undefined
  const paths = trail.map((path) => path.split('?', 1)[0]).join(' → ')
  const message = `${site.who} redirects in a loop (more than ${MOST} times: ${paths}); check "url"`
  return new ConnectionError(message, { delivered: false, lost: false, status })
}

function targetOf(site: Site, path: string, location: string | undefined): URL | undefined {
  // Put together as text: a path that begins with two slashes would be taken for a host.
  const base = site.origin + path
  if (location === undefined || !URL.canParse(location, base)) return undefined
  const target = new URL(location, base)
  return target.protocol === 'http:' || target.protocol === 'https:' ? target : undefined
}
