import { isObject, type JsonObject } from '../wire/jsonrpc.ts'
import { paramHeadersOf, type ParamHeader } from '../wire/param-headers.ts'

/** Which arguments of one server's tools travel as headers, as its lists say (2026-07-28 streamable-http). */
export interface Declared {
  /** Of a tool by the server's own name. */
  of(tool: string): readonly ParamHeader[]
  /** Learns from an answer to `tools/list`. */
  learn(params: JsonObject, result: JsonObject): void
}

const NONE: readonly ParamHeader[] = []

export function createDeclared(): Declared {
  let known = new Map<string, readonly ParamHeader[]>()
  /** Of the list that is being read, page by page: what it lacks is forgotten with its last page. */
  let reading = new Map<string, readonly ParamHeader[]>()
  return {
    of: (tool) => known.get(tool) ?? NONE,
    learn(params, { tools, nextCursor }) {
      if (params.cursor === undefined) reading = new Map()
      for (const tool of Array.isArray(tools) ? tools : []) {
        if (!isObject(tool) || typeof tool.name !== 'string') continue
        const headers = paramHeadersOf(tool) ?? NONE
        reading.set(tool.name, headers)
        known.set(tool.name, headers)
      }
      if (typeof nextCursor !== 'string') known = reading
    },
  }
}
