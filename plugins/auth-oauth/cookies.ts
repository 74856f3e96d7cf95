import { createHash } from 'node:crypto'
import type { Site } from './site.ts'

/** Longest Cookie header that is read. */
const LONGEST = 16 * 1024

/** Cookies of one flow each, so that flows in several tabs do not meet. */
export interface FlowCookie {
  /** The value a browser sent. */
  read(request: Request, flow: string): string | undefined
  /** A Set-Cookie header. `life` in ms. */
  set(flow: string, value: string, life: number): readonly [string, string]
  clear(flow: string): readonly [string, string]
}

/**
 * A cookie per flow. `__Host-` keeps sub-domains from setting it; without https (this machine only) there is no such prefix.
 * `sameSite`: `Lax` where the browser comes back from another site.
 */
export function createFlowCookie({ secure }: Site, name: string, sameSite: 'Strict' | 'Lax'): FlowCookie {
  const nameOf = (flow: string): string => {
    const hash = createHash('sha256').update(flow).digest('base64url').slice(0, 12)
    return `${secure ? '__Host-' : ''}${name}_${hash}`
  }
  const header = (flow: string, value: string, seconds: number): readonly [string, string] => [
    'set-cookie',
    `${nameOf(flow)}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=${sameSite}${secure ? '; Secure' : ''}`,
  ]
  return {
    read: (request, flow) => valueIn(request.headers.get('cookie') ?? '', nameOf(flow)),
    set: (flow, value, life) => header(flow, value, Math.floor(life / 1000)),
    clear: (flow) => header(flow, '', 0),
  }
}

/** The value of the one cookie of this name; twice there is none: somebody has planted one. */
function valueIn(text: string, name: string): string | undefined {
  if (text.length > LONGEST) return undefined
  const values = text.split(';').flatMap((pair) => {
    const [key, value = ''] = pair.split(/=(.*)/s)
    return key?.trim() === name ? [value.trim()] : []
  })
  return values.length === 1 && values[0] !== '' ? values[0] : undefined
}
