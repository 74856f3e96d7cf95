import { RpcError } from '../errors.ts'
import type { Ask } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'

/** Why a client cannot be asked this, by what it declared (2025-11-25 basic/lifecycle, client/elicitation, client/sampling). */
export function refusalOf(capabilities: JsonObject, ask: Ask): RpcError | undefined {
  const lack = lackOf(capabilities, ask)
  if (lack === undefined) return undefined
  if (lack.part === undefined)
    return new RpcError(ErrorCode.MethodNotFound, `${ask.method}: this client cannot be asked`)
  return new RpcError(ErrorCode.InvalidParams, `${ask.method}: this client does not take "${lack.part}"`)
}

/** The capabilities that a client lacks for these questions, as it would declare them; `undefined`: it lacks none. */
export function missingFor(capabilities: JsonObject, asks: readonly Ask[]): JsonObject | undefined {
  const missing: Record<string, JsonObject> = {}
  for (const ask of asks) {
    const capability = CAPABILITY.get(ask.method)
    if (capability === undefined || lackOf(capabilities, ask) === undefined) continue
    const part = partOf(ask.method, ask.params)
    missing[capability] = { ...missing[capability], ...(part !== undefined && { [part]: {} }) }
  }
  return Object.keys(missing).length > 0 ? missing : undefined
}

/** Whether a question of this kind exists at all. */
export function isQuestion(method: string): boolean {
  return CAPABILITY.has(method)
}

/** What is not declared: a part of a capability, or (without `part`) all of it. */
function lackOf(capabilities: JsonObject, { method, params }: Ask): { readonly part?: string } | undefined {
  const declared = capabilities[CAPABILITY.get(method) ?? '']
  if (!isObject(declared)) return {}
  const part = partOf(method, params)
  if (part === undefined || declared[part] !== undefined) return undefined
  // Forms were all there was before there were modes.
  return part === 'form' && declared.url === undefined ? undefined : { part }
}

const CAPABILITY: ReadonlyMap<string, string> = new Map([
  ['roots/list', 'roots'],
  ['sampling/createMessage', 'sampling'],
  ['elicitation/create', 'elicitation'],
])

/** The part of its capability that a question needs. */
function partOf(method: string, params: JsonObject | undefined): string | undefined {
  if (method === 'sampling/createMessage') return params?.tools === undefined ? undefined : 'tools'
  if (method === 'elicitation/create') return params?.mode === 'url' ? 'url' : 'form'
  return undefined
}
