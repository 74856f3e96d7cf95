import type { ConsolaInstance } from 'consola'
import { reasonOf, type Remote, type Route } from '../../core/index.ts'
import { errorPage } from './pages/error-page.ts'
import { jsonError, OAuthError, wrongMethod } from './oauth-error.ts'

export interface EndpointOptions {
  readonly path: string
  /** What it answers; HEAD goes with GET. */
  readonly methods: readonly ('GET' | 'POST')[]
  /** `api`: programs, of any web page too. `page`: a person in front of a browser, and nobody else. */
  readonly audience: 'api' | 'page'
  readonly logger: ConsolaInstance
  /** Throws when this address asks too often. */
  readonly limit: (remote: Remote) => void
  handle(request: Request, remote: Remote): Promise<Response>
}

/** An endpoint of the authorization server: whatever goes wrong in it is answered in the form its audience reads. */
export function endpoint({ path, methods, audience, logger, limit, handle }: EndpointOptions): Route {
  const refuse = (error: OAuthError, request: Request): Response =>
    audience === 'api' || wantsJson(request) ? jsonError(error) : pageOf(error)

  return {
    path,
    cors: audience === 'api' ? 'any' : 'none',
    async handler(request, remote) {
      const method = request.method === 'HEAD' ? 'GET' : request.method
      if (!methods.some((known) => known === method)) return wrongMethod(methods.join(', '))
      try {
        limit(remote)
        return await handle(request, remote)
      } catch (error) {
        if (error instanceof OAuthError) {
          const { error: code, message, reason } = error
          logger.debug(`${method} ${path} refused: ${code}: ${message}${reason === undefined ? '' : ` (${reason})`}`)
          return refuse(error, request)
        }
        // Whatever it is, it is ours, and may be over soon. `server_error` would have clients throw their tokens away.
        logger.error(`${method} ${path} failed: ${reasonOf(error)}`, error)
        return refuse(
          new OAuthError('temporarily_unavailable', 'This is not possible for now; try again later.'),
          request,
        )
      }
    },
  }
}

function wantsJson(request: Request): boolean {
  const accept = request.headers.get('accept') ?? ''
  return accept.includes('application/json') && !accept.includes('text/html')
}

function pageOf({ status, message, headers }: OAuthError): Response {
  const title = status === 503 || status === 429 ? 'Not possible for now' : 'This request cannot go on'
  return errorPage(status, title, message, headers)
}
