import { reasonOf } from '../errors.ts'
import type { SchemaIssue, StandardSchemaV1 } from '../schema.ts'
import type { TransportAdapter } from '../transport.ts'
import { isObject } from '../wire/jsonrpc.ts'
import { plain } from './issues.ts'
import { didYouMean } from './nearest.ts'
import type { ServerConfig } from './resolved.ts'
import { SETTINGS } from './schema.ts'
import { say } from './source.ts'
import type { Path } from './source.ts'

/** A server entry as its transport wants it, or why it cannot be used. */
export type ParsedEntry =
  | { readonly adapter: TransportAdapter; readonly entry: unknown; readonly warnings: readonly string[] }
  | { readonly problem: string }

/**
 * Finds the transport of a server entry and lets it check the entry. Keys the transport does not know are a problem in
 * the main file and a warning elsewhere. Never rejects.
 */
export async function parseEntry(server: ServerConfig, adapters: readonly TransportAdapter[]): Promise<ParsedEntry> {
  if (server.problem !== undefined) return { problem: server.problem }
  const adapter = chooseAdapter(server, adapters)
  if ('problem' in adapter) return adapter
  const checked = await check(server, adapter)
  if ('problem' in checked) return checked
  const unknown = unknownKeys(server, adapter.schema, checked.entry)
  if (server.strict && unknown.length > 0) return { problem: unknown.join('; ') }
  return { adapter, entry: checked.entry, warnings: unknown.map((warning) => `${warning} (ignored)`) }
}

function chooseAdapter(
  server: ServerConfig,
  adapters: readonly TransportAdapter[],
): TransportAdapter | { readonly problem: string } {
  const { type, command, url } = server.entry
  const find = (name: string) => adapters.find((one) => one.type === name || one.aliases?.includes(name) === true)
  if (type !== undefined) {
    if (typeof type !== 'string') return { problem: at(server, ['type'], 'expected a text') }
    const loaded = adapters.map((one) => one.type)
    const known = adapters.flatMap((one) => [one.type, ...(one.aliases ?? [])])
    const what = `no plugin for transport "${type}"; loaded: ${loaded.join(', ') || 'none'}`
    return find(type) ?? { problem: at(server, ['type'], what + didYouMean(type, known)) }
  }
  if (command !== undefined && url !== undefined) {
    return { problem: at(server, [], 'has "command" and "url"; keep one, or add "type"') }
  }
  if (command !== undefined) {
    return (
      find('stdio') ?? { problem: at(server, ['command'], 'needs the plugin "transport-stdio"; add it to "plugins"') }
    )
  }
  if (url !== undefined) {
    const what = 'needs the plugin "transport-streamable"; add it to "plugins"'
    return find('streamable-http') ?? { problem: at(server, ['url'], what) }
  }
  return { problem: neither(server) }
}

/** Without `command` and `url` one of the two is most likely misspelt. */
function neither(server: ServerConfig): string {
  for (const key of Object.keys(server.entry)) {
    const hint = didYouMean(key, ['command', 'url', 'type'])
    if (hint !== '') return at(server, [key], `unknown key${hint}`)
  }
  return at(server, [], 'needs "command" (a program) or "url" (a server elsewhere)')
}

async function check(
  server: ServerConfig,
  adapter: TransportAdapter,
): Promise<{ readonly entry: unknown } | { readonly problem: string }> {
  try {
    const result = await adapter.schema['~standard'].validate(server.entry)
    if (result.issues === undefined) return { entry: result.value }
    return { problem: result.issues.map((issue) => at(server, pathOf(issue), plain(issue.message))).join('; ') }
  } catch (error) {
    return { problem: at(server, [], `transport "${adapter.type}" failed to check the entry: ${reasonOf(error)}`) }
  }
}

function pathOf(issue: SchemaIssue): Path {
  return (issue.path ?? []).map((part) => {
    const key = typeof part === 'object' ? part.key : part
    return typeof key === 'symbol' ? String(key) : key
  })
}

function unknownKeys(server: ServerConfig, schema: StandardSchemaV1, entry: unknown): string[] {
  if (!isObject(entry)) return []
  const known = new Set([...SETTINGS, 'type', ...Object.keys(entry), ...shapeOf(schema)])
  const unknown = Object.keys(server.entry).filter((key) => !known.has(key))
  return unknown.map((key) => at(server, [key], `unknown key${didYouMean(key, known)}`))
}

/** The keys of a zod object, whichever copy of zod made it, also before a transform: optional keys are in no output. */
function shapeOf(schema: object): string[] {
  if ('shape' in schema && typeof schema.shape === 'object' && schema.shape !== null) return Object.keys(schema.shape)
  return 'in' in schema && typeof schema.in === 'object' && schema.in !== null ? shapeOf(schema.in) : []
}

/** `file:line mcpServers.time.comand: what` */
function at(server: ServerConfig, path: Path, what: string): string {
  const line = server.lines?.[String(path[0])]
  const place = line === undefined ? server.source : server.source.replace(/(?::\d+)?$/, `:${line}`)
  return say(place, [server.root ?? 'mcpServers', server.name, ...path], what)
}
