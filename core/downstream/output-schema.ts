import type { JsonObject, JsonValue } from '../wire/jsonrpc.ts'

/** Whether older clients can read structured content of this schema: to them only objects are structured (2025-11-25 server/tools#Output Schema). */
export function describesObject(schema: JsonObject): boolean {
  return schema.type === 'object'
}

const WRAPPED = '#/properties/result'
/** Parts of a schema that are found from its root and stay there. */
const HOISTED = ['$schema', '$defs', 'definitions'] as const
const HOISTED_POINTER = /^#\/(?:\$defs|definitions)\//
/** Keywords whose value is data, not a schema. */
const DATA: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples'])
/** Keywords whose value maps names to schemas. */
const MAPS: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
  'dependencies',
])
/** Levels that are looked into: beyond, a schema is somebody's attempt at our stack. */
const DEEPEST = 200

/**
 * The schema of `{result: value}` for a schema of `value`. Definitions and dialect move to the new root, so that
 * references to them go on working as they are; references to other places of the old root are led to where it went.
 * A schema with an `$id` is a document of its own: its references start from there, and it is left as it is.
 */
export function wrapSchema(schema: JsonObject): JsonObject {
  const wrapped = { type: 'object', required: ['result'] }
  if (isDocument(schema)) {
    const { $schema } = schema
    return { ...($schema !== undefined && { $schema }), ...wrapped, properties: { result: schema } }
  }
  const { $schema, $defs, definitions, ...result } = relocate(schema, false, 0) as JsonObject
  const hoisted = { $schema, $defs, definitions }
  const present = HOISTED.flatMap((key) => (hoisted[key] === undefined ? [] : [[key, hoisted[key]]]))
  return { ...Object.fromEntries(present), ...wrapped, properties: { result } }
}

function relocate(value: JsonValue | undefined, isMap: boolean, depth: number): JsonValue | undefined {
  if (typeof value !== 'object' || value === null || depth > DEEPEST) return value
  if (Array.isArray(value)) return value.map((part: JsonValue) => relocate(part, false, depth + 1) ?? null)
  const schema = value as JsonObject
  if (!isMap && depth > 0 && isDocument(schema)) return schema
  const parts = Object.entries(schema).map(([key, part]) => {
    if (isMap) return [key, relocate(part, false, depth + 1)]
    if ((key === '$ref' || key === '$dynamicRef') && typeof part === 'string') return [key, relocateReference(part)]
    return [key, DATA.has(key) ? part : relocate(part, MAPS.has(key), depth + 1)]
  })
  return Object.fromEntries(parts)
}

/** Pointers from the root; names (`#name`) and other documents are found wherever they are. */
function relocateReference(reference: string): string {
  if (reference === '#') return WRAPPED
  return reference.startsWith('#/') && !HOISTED_POINTER.test(reference) ? WRAPPED + reference.slice(1) : reference
}

/** A bare fragment is an older dialect's word for a name. */
function isDocument({ $id }: JsonObject): boolean {
  return typeof $id === 'string' && !$id.startsWith('#')
}
