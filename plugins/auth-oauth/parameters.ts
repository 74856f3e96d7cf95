import { BodyTooLarge, readBody } from '../../core/index.ts'
import { OAuthError, type OAuthErrorCode } from './oauth-error.ts'

/** Largest form or JSON body, in bytes. */
const BODY = 16 * 1024

/** Request parameters, each at most once but for those that may come several times (RFC 6749 §3.1, RFC 8707 §2). */
export interface Parameters {
  /** The value; absent and empty are the same (RFC 6749 §3.1). */
  get(name: string): string | undefined
  all(name: string): readonly string[]
}

const REPEATABLE: ReadonlySet<string> = new Set(['resource'])

/** Throws `invalid_request` for a parameter that comes twice. */
export function parametersOf(search: URLSearchParams): Parameters {
  const seen = new Set<string>()
  for (const name of search.keys()) {
    if (seen.has(name) && !REPEATABLE.has(name)) {
      throw new OAuthError('invalid_request', 'A parameter is there more than once.', {
        reason: `twice: ${name.slice(0, 64)}`,
      })
    }
    seen.add(name)
  }
  return {
    get: (name) => search.get(name) || undefined,
    all: (name) => search.getAll(name).filter((value) => value !== ''),
  }
}

/** The body of a form, bounded. Throws `invalid_request`: 400 for another content type or bytes that are no text, 413 for a large one. */
export async function readForm(request: Request): Promise<Parameters> {
  if (!isType(request, 'application/x-www-form-urlencoded')) {
    throw new OAuthError('invalid_request', 'Content-Type must be application/x-www-form-urlencoded.')
  }
  return parametersOf(new URLSearchParams(await readText(request, 'invalid_request')))
}

/** The body of a JSON request, bounded; throws like `readForm`. */
export async function readJson(request: Request): Promise<unknown> {
  if (!isType(request, 'application/json')) {
    throw new OAuthError('invalid_client_metadata', 'Content-Type must be application/json.')
  }
  const text = await readText(request, 'invalid_client_metadata')
  try {
    return JSON.parse(text)
  } catch {
    throw new OAuthError('invalid_client_metadata', 'The body is not JSON.')
  }
}

/** `malformed`: the error for bytes that are no text. */
async function readText(request: Request, malformed: OAuthErrorCode): Promise<string> {
  let text: string
  try {
    text = await readBody(request, BODY)
  } catch (error) {
    if (error instanceof BodyTooLarge) {
      throw new OAuthError('invalid_request', `The body is larger than ${BODY} bytes.`, { status: 413 })
    }
    throw new OAuthError('invalid_request', 'The body could not be read.')
  }
  // What a decoder puts in place of bytes it cannot read.
  if (text.includes('\uFFFD')) throw new OAuthError(malformed, 'The body is not UTF-8.')
  return text
}

function isType(request: Request, type: string): boolean {
  const given = request.headers.get('content-type')?.split(';', 1)[0]
  return given?.trim().toLowerCase() === type
}
