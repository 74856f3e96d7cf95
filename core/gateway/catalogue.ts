import type { JsonObject } from '../wire/jsonrpc.ts'
import type { Names } from './names.ts'
import type { ListKind, Source } from './source.ts'
import { matchTemplate } from './template.ts'

/** Where an exposed name leads. */
export interface Target {
  readonly source: Source
  /** The server's own name. */
  readonly name: string
  /** As clients see it, under its exposed name. */
  readonly item: JsonObject
}

interface Item {
  readonly exposed: string
  readonly source: Source
  readonly item: JsonObject
}

/** Everything every server offers, merged. Immutable: a change makes a new one. */
export interface Catalogue {
  readonly items: Readonly<Record<ListKind, readonly Item[]>>
  tool(exposed: string): Target | undefined
  prompt(exposed: string): Target | undefined
  /** The owner of a URI: listed, or matched by a template. */
  resource(uri: string): Source | undefined
  /** The owner of a URI template, for completion. */
  template(uriTemplate: string): Source | undefined
}

export type CatalogueItem = Item

/** Merges what servers list; `warn` hears of URIs that two servers claim. */
export function buildCatalogue(
  sources: readonly Source[],
  names: { readonly tools: Names; readonly prompts: Names },
  warn: (message: string) => void,
): Catalogue {
  const tools = exposeNamed(sources, 'tools', names.tools)
  const prompts = exposeNamed(sources, 'prompts', names.prompts)
  const resources = ownByUri(sources, 'resources', 'uri', warn)
  const templates = ownByUri(sources, 'templates', 'uriTemplate', warn)
  const patterns = [...templates.values()].map(({ exposed, source }) => ({ source, matches: matchTemplate(exposed) }))
  const only = soleOwner(sources)
  return {
    items: {
      tools: tools.items,
      prompts: prompts.items,
      resources: [...resources.values()],
      templates: [...templates.values()],
    },
    tool: (exposed) => tools.targets.get(exposed),
    prompt: (exposed) => prompts.targets.get(exposed),
    resource: (uri) => resources.get(uri)?.source ?? patterns.find(({ matches }) => matches(uri))?.source ?? only,
    template: (uriTemplate) => templates.get(uriTemplate)?.source,
  }
}

function exposeNamed(sources: readonly Source[], kind: 'tools' | 'prompts', names: Names) {
  const items: Item[] = []
  const targets = new Map<string, Target>()
  for (const source of sources) {
    for (const item of source.lists[kind]) {
      const name = item.name as string
      if (kind === 'tools' && !source.offers(name)) continue
      const exposed = names.assign(source.name, source.prefix, name)
      const shown = exposed === name ? item : { ...item, name: exposed }
      items.push({ exposed, source, item: shown })
      targets.set(exposed, { source, name, item: shown })
    }
  }
  return { items, targets }
}

function ownByUri(
  sources: readonly Source[],
  kind: 'resources' | 'templates',
  key: 'uri' | 'uriTemplate',
  warn: (message: string) => void,
): Map<string, Item> {
  const owned = new Map<string, Item>()
  for (const source of sources) {
    for (const item of source.lists[kind]) {
      const uri = item[key] as string
      const owner = owned.get(uri)
      if (owner === undefined) owned.set(uri, { exposed: uri, source, item })
      else warn(`server "${source.name}" also lists ${uri}, which server "${owner.source.name}" owns: it stays there`)
    }
  }
  return owned
}

/** A server may serve URIs it never lists; while it is the only one with resources, they can only be its own. */
function soleOwner(sources: readonly Source[]): Source | undefined {
  const owners = sources.filter(({ lists }) => lists.resources.length > 0 || lists.templates.length > 0)
  return owners.length === 1 ? owners[0] : undefined
}
