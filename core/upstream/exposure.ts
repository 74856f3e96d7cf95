import type { ServerSettings } from '../config/resolved.ts'
import { matchNames, type NameMatcher } from '../gateway/glob.ts'

/** How a server's tools are shown: under which prefix, and which of them. */
export interface Exposure {
  readonly prefix: string | false
  /** Whether a tool, by its own name, is offered at all. */
  readonly offers: NameMatcher
}

/** Reads `prefix` and `tools` of a server entry. */
export function exposureOf({ prefix, tools }: Pick<ServerSettings, 'prefix' | 'tools'>): Exposure {
  const included = tools.include.length > 0 ? matchNames(tools.include) : () => true
  const excluded = matchNames(tools.exclude)
  return { prefix, offers: (tool) => included(tool) && !excluded(tool) }
}

/** How many of a server's tools are shown. */
export function countShown(tools: readonly { readonly name?: unknown }[], { offers }: Exposure): number {
  return tools.filter(({ name }) => offers(String(name))).length
}
