import type { Permissions, Principal } from '../auth.ts'
import type { CatalogueItem } from './catalogue.ts'
import { matchNames, type NameMatcher } from './glob.ts'
import type { ListKind, Source } from './source.ts'

const compiled = new WeakMap<Permissions, NameMatcher>()
const everything: NameMatcher = () => true

/** Which exposed names a principal may see and use. */
export function allowedNames(principal: Principal): NameMatcher {
  const { permissions } = principal
  if (permissions === undefined) return everything
  let matcher = compiled.get(permissions)
  if (matcher === undefined) {
    matcher = matchNames(permissions.allowedTools)
    compiled.set(permissions, matcher)
  }
  return matcher
}

/** The items of a list that a principal may see: named ones by name, resources where any tool of their server is allowed. */
export function visibleItems(
  items: Readonly<Record<ListKind, readonly CatalogueItem[]>>,
  kind: ListKind,
  principal: Principal,
): readonly CatalogueItem[] {
  if (principal.permissions === undefined) return items[kind]
  const allowed = allowedNames(principal)
  if (kind === 'tools' || kind === 'prompts') return items[kind].filter(({ exposed }) => allowed(exposed))
  const open = openSources(items.tools, allowed)
  return items[kind].filter(({ source }) => open.has(source))
}

/** Servers at least one of whose tools is allowed: their resources may be read. */
export function openSources(tools: readonly CatalogueItem[], allowed: NameMatcher): ReadonlySet<Source> {
  const open = new Set<Source>()
  for (const { exposed, source } of tools) if (!open.has(source) && allowed(exposed)) open.add(source)
  return open
}
