import type { JsonObject, JsonValue } from '../wire/jsonrpc.ts'
import { isObject } from '../wire/jsonrpc.ts'
import { faultsOf } from './issues.ts'
import type { ServerConfig, ServerSettings } from './resolved.ts'
import { SETTINGS, settingsSchema } from './schema.ts'
import type { Path, Source } from './source.ts'
import { complain, placeOf } from './source.ts'
import { expand } from './variables.ts'
import type { Scope } from './variables.ts'

/** The entries of one `mcpServers`, as written. */
export interface ServerList {
  /** The key they stand under: VS Code says `servers`. */
  readonly root: 'mcpServers' | 'servers'
  readonly entries: readonly (readonly [name: string, entry: unknown])[]
  readonly strict: boolean
  readonly source: Source
  readonly inputs: ReadonlyMap<string, string>
}

/** What an entry is read with. */
export interface EntryScope extends Omit<Scope, 'inputs'> {
  /** `false`: bare names unless the entry says otherwise. */
  readonly prefix: boolean
}

/** Reads every entry; a bad one gets a `problem` and harms no other. */
export function readServers(list: ServerList, scope: EntryScope): ServerConfig[] {
  return list.entries.map(([name, entry]) => readServer(name, entry, list, scope))
}

function readServer(name: string, raw: unknown, list: ServerList, scope: EntryScope): ServerConfig {
  const at: Path = [list.root, name]
  const base = {
    name,
    root: list.root,
    strict: list.strict,
    source: placeOf(list.source, at),
    settings: settingsOf({}, name, scope),
    entry: {},
    lines: {},
  }
  const bad = (path: Path, what: string) => complain(list.source, [...at, ...path], what)
  if (name === '') return { ...base, problem: bad([], 'the name of a server must not be empty') }
  if (!isObject(raw)) return { ...base, problem: bad([], 'expected an object') }
  const { value, missing } = expand(raw, { ...scope, inputs: list.inputs })
  const whole = isObject(value) ? value : {}
  const server = { ...base, entry: withoutSettings(whole), lines: linesOf(Object.keys(whole), at, list.source) }
  const settings = settingsSchema.safeParse(whole)
  // A disabled server may lack its variables: that is often why it is disabled.
  if (settings.success && settings.data.disabled) return { ...server, settings: settingsOf(whole, name, scope) }
  const problems = missing.map(({ path, reason }) => bad(path, reason))
  if (!settings.success) problems.push(...faultsOf(settings.error).map(({ path, what }) => bad(path, what)))
  else if (problems.length === 0) return { ...server, settings: settingsOf(whole, name, scope) }
  return { ...server, problem: problems.join('; ') }
}

function settingsOf(entry: JsonObject, name: string, scope: EntryScope): ServerSettings {
  const { prefix: own, isolate, ...rest } = settingsSchema.parse(entry)
  const prefix = own ?? scope.prefix
  return {
    ...rest,
    ...(isolate === undefined ? {} : { isolate }),
    prefix: prefix === true ? name : prefix === '' ? false : prefix,
  }
}

function withoutSettings(entry: JsonObject): JsonObject {
  const rest: Record<string, JsonValue | undefined> = {}
  for (const [key, value] of Object.entries(entry)) {
    if (!SETTINGS.includes(key) && value !== undefined) rest[key] = value
  }
  return rest
}

function linesOf(keys: readonly string[], at: Path, source: Source): Record<string, number> {
  const lines = keys.map((key) => [key, source.line([...at, key])] as const)
  return Object.fromEntries(lines.filter((pair): pair is readonly [string, number] => pair[1] !== undefined))
}
