import type { ConsolaInstance } from 'consola'
import type { Call, Outcome } from '../gateway/call.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'
import { paramHeadersOf, type ParamHeader } from '../wire/param-headers.ts'
import { abortable } from './abortable.ts'
import { startDeadline } from './deadline.ts'
import { readPages } from './lists.ts'

/** Which arguments of one server's tools travel as headers, as its lists say (2026-07-28 streamable-http). */
export interface Declared {
  /** Of a tool by the server's own name. */
  of(tool: string): readonly ParamHeader[]
  /** Learns from an answer to `tools/list`; over HTTP without the tools whose headers cannot be told (streamable-http). */
  learn(params: JsonObject, result: JsonObject): JsonObject
  /** Reads the list of tools anew, once for all who need it. Fails silently: the call says what is wrong. */
  relist(signal: AbortSignal): Promise<void>
}

export interface DeclaredOptions {
  /** As they are known from another connection or run. */
  readonly tools: readonly JsonObject[]
  /** Whether requests have headers at all. */
  readonly isHttp: boolean
  readonly logger: ConsolaInstance
  /** Carries a call of the proxy's own; its answer comes to `learn`. */
  call(call: Call): Promise<Outcome>
}

const NONE: readonly ParamHeader[] = []
/** Longest that a call waits for a new list of tools, in ms. */
const RELIST = 10_000

export function createDeclared({ tools, isHttp, logger, call }: DeclaredOptions): Declared {
  let known = new Map<string, readonly ParamHeader[]>()
  /** Of the list that is being read, page by page: what it lacks is forgotten with its last page. */
  let reading = new Map<string, readonly ParamHeader[]>()
  /** Tools that were left out, by name: one warning each. */
  const dropped = new Set<string>()
  let relisting: Promise<void> | undefined

  function learn(params: JsonObject, result: JsonObject): JsonObject {
    const { tools, nextCursor } = result
    if (params.cursor === undefined) reading = new Map()
    for (const tool of Array.isArray(tools) ? tools : []) {
      if (!isObject(tool) || typeof tool.name !== 'string') continue
      const headers = paramHeadersOf(tool) ?? NONE
      reading.set(tool.name, headers)
      known.set(tool.name, headers)
    }
    if (typeof nextCursor !== 'string') known = reading
    if (!isHttp || !Array.isArray(tools)) return result
    const usable = tools.filter((tool) => !isObject(tool) || paramHeadersOf(tool) !== undefined || drop(tool))
    return usable.length === tools.length ? result : { ...result, tools: usable }
  }

  function drop({ name }: JsonObject): false {
    if (typeof name !== 'string' || dropped.has(name)) return false
    dropped.add(name)
    logger.warn(`tool "${name}" is left out: its "x-mcp-header" declarations break the rules`)
    return false
  }

  async function startRelisting(): Promise<void> {
    const deadline = startDeadline(RELIST)
    try {
      // Whoever carries the calls hands every page to `learn`.
      for await (const _ of readPages(call, 'tools/list', deadline.signal));
    } catch {
      // What is known stays.
    } finally {
      deadline.clear()
      relisting = undefined
    }
  }

  learn({}, { tools })
  return {
    of: (tool) => known.get(tool) ?? NONE,
    learn,
    relist: (signal) => abortable((relisting ??= startRelisting()), signal),
  }
}
