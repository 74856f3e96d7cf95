import type { ConsolaInstance } from 'consola'
import type { Principal } from '../auth.ts'
import type { Awaitable } from '../plugin.ts'
import { isAuthError, isProxyError, reasonOf } from '../errors.ts'
import type { DownstreamFace } from '../downstream/face.ts'
import { eraOf } from '../downstream/era.ts'
import { ErrorCode } from '../wire/codes.ts'
import { BodyTooLarge, readBody } from './body.ts'
import { problem, rpcProblem } from './errors.ts'

export interface EndpointOptions {
  readonly authenticate: (request: Request) => Awaitable<Principal>
  readonly legacy: DownstreamFace
  readonly modern: DownstreamFace
  /** Largest request body, in bytes. */
  readonly bodyBytes: number
  readonly logger: ConsolaInstance
}

/** What a refusal is called in its body. */
const AUTH_ERRORS = { 401: 'invalid_token', 403: 'access_denied', 503: 'temporarily_unavailable' } as const

/** Methods the endpoint knows; the modern era has POST only. */
export const ENDPOINT_METHODS = 'POST, GET, DELETE, OPTIONS'

/** The one MCP endpoint: finds out who asks and which era they speak, and hands the message to that face. */
export function createEndpoint(options: EndpointOptions): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      const principal = await options.authenticate(request)
      if (request.method === 'POST') return await post(options, request, principal)
      if (request.method !== 'GET' && request.method !== 'DELETE') return wrongMethod(ENDPOINT_METHODS)
      return await options[eraOf(request.headers, undefined)].handle(request, undefined, principal)
    } catch (error) {
      if (isAuthError(error)) return problem(error.status, AUTH_ERRORS[error.status], error.message, error.headers)
      options.logger.error(`${request.method} failed: ${reasonOf(error)}`, error)
      // May be over soon: not 500, and never 404, at which clients throw their sessions away.
      if (isProxyError(error, 'ERR_PROXY_STORAGE')) {
        return problem(503, AUTH_ERRORS[503], 'This is not possible for now; try again later.', { 'retry-after': '5' })
      }
      return rpcProblem(500, ErrorCode.InternalError, 'Internal error')
    }
  }
}

export function wrongMethod(allow: string): Response {
  return problem(405, 'method_not_allowed', `This endpoint answers ${allow}.`, { allow })
}

async function post(options: EndpointOptions, request: Request, principal: Principal): Promise<Response> {
  if (!isJson(request.headers.get('content-type'))) {
    return rpcProblem(415, ErrorCode.InvalidRequest, 'Content-Type must be application/json')
  }
  let text: string
  try {
    text = await readBody(request, options.bodyBytes)
  } catch (error) {
    if (error instanceof BodyTooLarge) {
      return rpcProblem(413, ErrorCode.InvalidRequest, `The body is larger than ${options.bodyBytes} bytes`)
    }
    return rpcProblem(400, ErrorCode.ParseError, 'The body could not be read')
  }
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    return rpcProblem(400, ErrorCode.ParseError, 'Parse error: the body is not JSON')
  }
  return options[eraOf(request.headers, message)].handle(request, message, principal)
}

function isJson(contentType: string | null): boolean {
  return contentType !== null && /^application\/json\s*(;|$)/i.test(contentType)
}
