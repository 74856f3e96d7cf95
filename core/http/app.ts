import { H3, HTTPError, type HTTPMethod } from 'h3'
import type { ConsolaInstance } from 'consola'
import type { ResolvedConfig } from '../config/resolved.ts'
import { reasonOf } from '../errors.ts'
import type { Remote, Route } from '../plugin.ts'
import type { UpstreamStatus } from '../status.ts'
import { ENDPOINT_METHODS, wrongMethod } from './endpoint.ts'
import { createRemotes } from './remote.ts'
import { problem } from './errors.ts'
import { createGuard, type Guard } from './guard.ts'
import { health, readiness } from './health.ts'

export interface AppOptions {
  readonly config: ResolvedConfig
  readonly endpoint: (request: Request) => Promise<Response>
  readonly routes: readonly Route[]
  readonly statuses: () => readonly UpstreamStatus[]
  readonly isReady: () => boolean
  readonly logger: ConsolaInstance
}

const OPEN_METHODS = 'GET, HEAD, POST, OPTIONS'

/** Every HTTP route of the proxy, behind one guard. */
export function createApp(options: AppOptions): (request: Request) => Promise<Response> {
  const { config, logger } = options
  const guard = createGuard(config)
  const app = new H3({ silent: true, onError: (error) => failed(logger, error) })

  const guarded = (handler: (request: Request) => Response | Promise<Response>) => async (event: { req: Request }) =>
    guard.check(event.req) ?? guard.expose(event.req, await handler(event.req))

  const endpoint = guarded((request) =>
    request.method === 'OPTIONS' ? guard.preflight(request, ENDPOINT_METHODS) : options.endpoint(request),
  )
  app.all(config.mcpPath, endpoint)
  app.all(`${config.mcpPath}/`, endpoint)
  // Orchestrators probe by address: these two say nothing worth guarding and check no host.
  app.all('/healthz', ({ req }) => (isRead(req) ? health(options.statuses()) : wrongMethod('GET, HEAD')))
  app.all('/readyz', ({ req }) =>
    isRead(req) ? readiness(options.statuses(), options.isReady()) : wrongMethod('GET, HEAD'),
  )
  const remotes = createRemotes(config.trustedProxies, (message) => logger.warn(message))
  for (const route of options.routes) mount(app, route, guard, remotes)
  // HEAD goes with GET (RFC 9110 §9.1), unless a plugin has a route of its own for it: the first one counts.
  for (const route of options.routes) if (isGet(route)) mount(app, route, guard, remotes, 'HEAD')
  // Not the default 404: its body repeats the URL, query and all.
  app.all(
    '/**',
    guarded(() => problem(404, 'not_found', 'Nothing is served at this path.')),
  )
  return async (request) => app.fetch(request)
}

/** A plugin's route, open to the web pages it says. */
function mount(
  app: H3,
  route: Route,
  guard: Guard,
  remotes: (request: Request) => Remote,
  method = route.method,
): void {
  const { path, cors = 'known' } = route
  const handler = async ({ req }: { req: Request }): Promise<Response> => {
    const refused = cors === 'known' ? guard.check(req) : guard.checkHost(req)
    if (refused !== undefined) return refused
    if (cors === 'any' && req.method === 'OPTIONS') return guard.open(guard.preflight(req, OPEN_METHODS))
    const response = await route.handler(req, remotes(req))
    if (cors === 'none') return response
    return cors === 'any' ? guard.open(response) : guard.expose(req, response)
  }
  if (method === undefined) return void app.all(path, handler)
  app.on(method.toUpperCase() as HTTPMethod, path, handler)
  if (cors === 'any') app.on('OPTIONS', path, handler)
}

function isGet({ method }: Route): boolean {
  return method?.toUpperCase() === 'GET'
}

function isRead({ method }: Request): boolean {
  return method === 'GET' || method === 'HEAD'
}

function failed(logger: ConsolaInstance, error: unknown): Response {
  // h3 itself refuses paths that cannot be decoded (`/%zz`): the client's mistake, nothing for the log.
  if (HTTPError.isError(error) && error.status === 400) return problem(400, 'invalid_request', 'Malformed request')
  logger.error(`request failed: ${reasonOf(error)}`, error)
  return problem(500, 'server_error', 'Internal error')
}
