import type { ResolvedConfig } from '../config/resolved.ts'
import { problem } from './errors.ts'

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])
/** Web pages that may talk to the endpoint besides those of this machine: Claude's. */
const KNOWN_ORIGINS = ['https://claude.ai', 'https://claude.com']

const EXPOSED = 'mcp-session-id, www-authenticate, retry-after, x-request-id'

/** Says no to requests that a foreign web page may have caused; `undefined` lets a request pass. */
export interface Guard {
  check(request: Request): Response | undefined
  /** The first half of it: only the name the request was sent to. */
  checkHost(request: Request): Response | undefined
  /** Adds what an allowed web page needs to read the answer (CORS); other answers come back as they are. */
  expose(request: Request, response: Response): Response
  /** Lets any web page read an answer that needs no credentials of a browser's (CORS). */
  open(response: Response): Response
  /** Answers a CORS preflight. */
  preflight(request: Request, methods: string): Response
}

/** Host check against DNS rebinding, Origin check as the transport demands (2026-07-28 streamable-http#security-warning). */
export function createGuard(config: ResolvedConfig): Guard {
  const hosts = new Set([...LOOPBACK, hostnameOf(config.baseUrl), ...config.allowedHosts.map(bareHost)])
  const origins = new Set([
    ...KNOWN_ORIGINS,
    config.baseUrl,
    ...config.allowedOrigins.map((origin) => origin.toLowerCase()),
  ])
  // `null` is what pages without an origin send (sandboxed frames, files): never a known one.
  const allowedOrigin = (origin: string) =>
    origins.has(origin) || LOOPBACK.has(hostnameOf(origin)) || (origins.has('*') && origin !== 'null')

  function checkHost(request: Request): Response | undefined {
    const host = request.headers.get('host')
    if (host === null || hosts.has(bareHost(host))) return undefined
    return problem(421, 'misdirected_request', 'This host name is not served here; add it to MCP_ALLOWED_HOSTS.')
  }

  return {
    checkHost,
    check(request) {
      const misdirected = checkHost(request)
      if (misdirected !== undefined) return misdirected
      const origin = request.headers.get('origin')
      if (origin !== null && !allowedOrigin(origin.toLowerCase())) {
        return problem(
          403,
          'forbidden_origin',
          'Web pages of this origin may not connect; add it to MCP_ALLOWED_ORIGINS.',
        )
      }
      return undefined
    },
    expose(request, response) {
      const origin = request.headers.get('origin')
      if (origin === null) return response
      return withHeaders(response, (headers) => {
        headers.set('access-control-allow-origin', origin)
        headers.set('access-control-expose-headers', EXPOSED)
        headers.append('vary', 'Origin')
      })
    },
    open(response) {
      return withHeaders(response, (headers) => {
        headers.set('access-control-allow-origin', '*')
        headers.set('access-control-expose-headers', EXPOSED)
      })
    },
    preflight(request, methods) {
      const wanted = request.headers.get('access-control-request-headers')
      return new Response(null, {
        status: 204,
        headers: {
          allow: methods,
          'access-control-allow-methods': methods,
          'access-control-allow-headers': wanted ?? 'content-type, authorization',
          'access-control-max-age': '600',
        },
      })
    },
  }
}

function withHeaders(response: Response, change: (headers: Headers) => void): Response {
  const headers = new Headers(response.headers)
  change(headers)
  return new Response(response.body, { status: response.status, headers })
}

function bareHost(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '')
}

function hostnameOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : ''
}
