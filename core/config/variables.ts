import type { JsonValue } from '../wire/jsonrpc.ts'

/** Where `${…}` in a server entry gets its values. */
export interface Scope {
  readonly env: NodeJS.ProcessEnv
  /** What `${workspaceFolder}` stands for. */
  readonly rootDir: string
  /** What VS Code's `inputs` say about themselves, by id. */
  readonly inputs: ReadonlyMap<string, string>
}

/** A variable without a value. */
export interface Missing {
  /** Keys that lead to the text it stands in. */
  readonly path: readonly (string | number)[]
  /** What is missing and where to set it. */
  readonly reason: string
}

/** `$${` is the way to write a literal `${`. */
const REFERENCE = /\$\$\{|\$\{(?:input:([^}:]+)|(?:env:)?([A-Za-z_]\w*))(?::-([^}]*))?\}/g

/**
 * Replaces `${VAR}`, `${env:VAR}`, `${VAR:-default}`, `${input:id}` and `${workspaceFolder}` in every string of `value`.
 * What has no value is left as it is and reported; other uses of `$` are not touched.
 */
export function expand(value: JsonValue, scope: Scope): { readonly value: JsonValue; readonly missing: Missing[] } {
  const missing: Missing[] = []
  return { value: walk(value, [], scope, missing), missing }
}

function walk(value: JsonValue, path: readonly (string | number)[], scope: Scope, missing: Missing[]): JsonValue {
  if (typeof value === 'string') return replace(value, path, scope, missing)
  if (isList(value)) return value.map((item, index) => walk(item, [...path, index], scope, missing))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      item === undefined ? undefined : walk(item, [...path, key], scope, missing),
    ]),
  )
}

function replace(text: string, path: readonly (string | number)[], scope: Scope, missing: Missing[]): string {
  return text.replace(REFERENCE, (whole: string, input?: string, name?: string, fallback?: string) => {
    if (whole === '$${') return '${'
    if (name === 'workspaceFolder') return scope.rootDir
    const variable = input === undefined ? (name ?? '') : inputVariable(input)
    const found = scope.env[variable]
    // As in a shell, `:-` also stands in for a variable that is set but empty.
    if (found !== undefined && (found !== '' || fallback === undefined)) return found
    if (fallback !== undefined) return fallback
    missing.push({ path, reason: describe(whole, variable, scope.inputs.get(input ?? '')) })
    return whole
  })
}

function describe(reference: string, variable: string, about: string | undefined): string {
  return `${reference} has no value; set ${variable}${about === undefined ? '' : ` (${about})`}`
}

/** The variable that holds a VS Code input: `api-key` → `MCP_INPUT_API_KEY`. */
function inputVariable(id: string): string {
  return `MCP_INPUT_${id.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}
