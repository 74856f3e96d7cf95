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
  return items[kind].filter(({ source }) => isOpen(items.tools, principal, source))
}

const openOf = new WeakMap<readonly CatalogueItem[], WeakMap<Permissions, ReadonlySet<Source>>>()

/** Whether a principal may see what a server says besides its tools and prompts. */
export function isOpen(tools: readonly CatalogueItem[], principal: Principal, source: Source): boolean {
  const { permissions } = principal
  if (permissions === undefined) return true
  let open = openOf.get(tools)
  if (open === undefined) openOf.set(tools, (open = new WeakMap()))
  let sources = open.get(permissions)
  if (sources === undefined) open.set(permissions, (sources = openSources(tools, allowedNames(principal))))
  return sources.has(source)
}

/** Servers at least one of whose tools is allowed: their resources may be read. */
function openSources(tools: readonly CatalogueItem[], allowed: NameMatcher): ReadonlySet<Source> {
  const open = new Set<Source>()
  for (const { exposed, source } of tools) if (!open.has(source) && allowed(exposed)) open.add(source)
  return open
}
