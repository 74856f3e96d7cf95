import { decodeHeaderValue, encodeHeaderValue } from './headers.ts'
import { isObject, type JsonObject, type JsonValue } from './jsonrpc.ts'

/** An argument of a tool that travels as an HTTP header too (2026-07-28 streamable-http#Custom Headers from Tool Parameters). */
export interface ParamHeader {
  /** In lower case, `mcp-param-` included. */
  readonly header: string
  /** Where the argument is: names of properties, outermost first. */
  readonly path: readonly string[]
}

export const PARAM_HEADER_PREFIX = 'mcp-param-'

const ANNOTATION = 'x-mcp-header'
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const TYPES: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean'])
/** Keywords whose value is data, not a schema. */
const DATA: ReadonlySet<string> = new Set(['default', 'const', 'enum', 'examples', 'required', ANNOTATION])
const NONE: readonly ParamHeader[] = []

const known = new WeakMap<JsonObject, readonly ParamHeader[] | 'invalid'>()

/**
 * The arguments of a tool that travel as headers. `undefined` when its declarations break the rules: a name that is no
 * token or is there twice, a type that is not plain, a place that `properties` alone do not lead to.
 */
export function paramHeadersOf(tool: JsonObject): readonly ParamHeader[] | undefined {
  const { inputSchema } = tool
  if (!isObject(inputSchema)) return NONE
  let found = known.get(inputSchema)
  if (found === undefined) known.set(inputSchema, (found = scan(inputSchema) ?? 'invalid'))
  return found === 'invalid' ? undefined : found
}

/** The headers that mirror a call's arguments; those absent or `null` have none. */
export function mirrorParams(headers: readonly ParamHeader[], args: JsonValue | undefined): Record<string, string> {
  const mirrored: Record<string, string> = {}
  for (const { header, path } of headers) {
    const text = textOf(argument(args, path))
    if (text !== undefined) mirrored[header] = encodeHeaderValue(text)
  }
  return mirrored
}

/** Says which header of a request disagrees with the call's arguments, if one does. `get`: a header by its name. */
export function mismatchedParam(
  headers: readonly ParamHeader[],
  args: JsonValue | undefined,
  get: (name: string) => string | null,
): string | undefined {
  for (const { header, path } of headers) {
    const value = argument(args, path)
    const sent = get(header)
    const text = textOf(value)
    if (text === undefined && sent === null) continue
    const name = header.replace(PARAM_HEADER_PREFIX, 'Mcp-Param-')
    if (sent === null) return `${name} header is missing`
    const decoded = decodeHeaderValue(sent)
    if (decoded === undefined) return `${name} header is no valid base64`
    const equal = typeof value === 'number' ? decoded.trim() !== '' && Number(decoded) === value : decoded === text
    if (!equal) return `${name} header and body disagree`
  }
  return undefined
}

function scan(schema: JsonObject): readonly ParamHeader[] | undefined {
  const found: ParamHeader[] = []
  if (!collect(schema, [], found)) return undefined
  const names = new Set(found.map(({ header }) => header))
  return names.size === found.length ? found : undefined
}

/** False when something breaks the rules. */
function collect(schema: JsonObject, path: readonly string[], found: ParamHeader[]): boolean {
  const name = schema[ANNOTATION]
  if (name !== undefined) {
    if (path.length === 0 || typeof name !== 'string' || !TOKEN.test(name) || !TYPES.has(schema.type)) return false
    found.push({ header: PARAM_HEADER_PREFIX + name.toLowerCase(), path })
  }
  return Object.entries(schema).every(([key, value]) => {
    if (DATA.has(key)) return true
    if (key !== 'properties' || !isObject(value)) return !isAnnotated(value)
    return Object.entries(value).every(
      ([property, part]) => !isObject(part) || collect(part, [...path, property], found),
    )
  })
}

/** Whether an annotation is anywhere inside: there it cannot be told which argument it means. */
function isAnnotated(value: JsonValue | undefined): boolean {
  if (Array.isArray(value)) return value.some(isAnnotated)
  if (!isObject(value)) return false
  return Object.entries(value).some(([key, part]) => key === ANNOTATION || (!DATA.has(key) && isAnnotated(part)))
}

function argument(args: JsonValue | undefined, path: readonly string[]): JsonValue | undefined {
  let value = args
  for (const property of path) value = isObject(value) && Object.hasOwn(value, property) ? value[property] : undefined
  return value
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined
}
