import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { PluginSpec } from '../plugin.ts'
import type { ResolvedConfig, ServerConfig } from './resolved.ts'

/** What of a configuration can be told to another process, and compared there. Holds secrets: never log it. */
export interface ConfigSnapshot {
  readonly servers: readonly ServerConfig[]
  /** A digest of everything else, by key; variables of the environment are `env.<NAME>`. */
  readonly rest: Readonly<Record<string, string>>
  readonly files: readonly string[]
  readonly watchFiles: readonly string[]
  readonly warnings: readonly string[]
}

/** How two configurations differ. */
export interface ConfigChange {
  /** Servers, by name. */
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
  /** What else differs (`port`, `plugins`, `env.OIDC_ISSUER`): no running process can take it over. */
  readonly beyond: readonly string[]
}

/** Where a server differs: in how its tools are shown, or in what runs. */
export type ServerDifference = 'none' | 'exposure' | 'server'

/** Takes down everything that matters of a configuration. */
export function snapshotOf(config: ResolvedConfig): ConfigSnapshot {
  const { servers, files, watchFiles, warnings, env, plugins, ...others } = config
  const rest: Record<string, unknown> = { ...others, plugins: plugins.map(traitsOf) }
  for (const [name, value] of Object.entries(env)) rest[`env.${name}`] = value
  const digests = Object.entries(rest).flatMap(([key, value]) => (value === undefined ? [] : [[key, digest(value)]]))
  return { servers, rest: Object.fromEntries(digests), files, watchFiles, warnings }
}

/** What is different in `next`. */
export function changeOf(before: ConfigSnapshot, next: ConfigSnapshot): ConfigChange {
  const known = new Map(before.servers.map((server) => [server.name, server]))
  const names = new Set(next.servers.map(({ name }) => name))
  const keys = new Set([...Object.keys(before.rest), ...Object.keys(next.rest)])
  return {
    added: [...names].filter((name) => !known.has(name)),
    removed: [...known.keys()].filter((name) => !names.has(name)),
    changed: next.servers.filter((server) => isChanged(known.get(server.name), server)).map(({ name }) => name),
    beyond: [...keys].filter((key) => before.rest[key] !== next.rest[key]),
  }
}

/** Compares two entries of one name; where they stand in their file does not matter. */
export function differenceOf(before: ServerConfig, next: ServerConfig): ServerDifference {
  if (!isSame(whatRuns(before), whatRuns(next))) return 'server'
  return isSame(whatShows(before), whatShows(next)) ? 'none' : 'exposure'
}

/** As JSON, in any order of keys: what comes from another process has lost its prototypes. */
function isSame(one: object, other: object): boolean {
  return isDeepStrictEqual(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(other)))
}

function isChanged(before: ServerConfig | undefined, next: ServerConfig): boolean {
  return before !== undefined && differenceOf(before, next) !== 'none'
}

function whatRuns({ entry, settings, strict, problem }: ServerConfig) {
  const { prefix: _, tools: __, ...rest } = settings
  // Only whether there is a problem: its words hold the line, which moves with every edit above it.
  return { entry, rest, strict, isInvalid: problem !== undefined }
}

function whatShows({ settings }: ServerConfig) {
  return { prefix: settings.prefix, tools: settings.tools }
}

/** Of a plugin by value: what it was made with, and the text of its functions. What these use from elsewhere cannot be seen. */
function traitsOf(plugin: PluginSpec): unknown {
  if (typeof plugin === 'string' || !('setup' in plugin)) return plugin
  const { name, options, setup, supervise } = plugin
  const functions = Object.entries(plugin).filter(([, value]) => typeof value === 'function')
  return { ...Object.fromEntries(functions), name, options, setup, supervise }
}

function digest(value: unknown): string {
  return createHash('sha256').update(textOf(value)).digest('base64url')
}

/** As JSON, and what is none (options of a plugin by value) as something like it. */
function textOf(value: unknown): string {
  const seen = new Set<unknown>()
  const plain = (_: string, one: unknown): unknown => {
    if (['function', 'bigint'].includes(typeof one) || one instanceof RegExp) return String(one)
    if (typeof one !== 'object' || one === null) return one
    if (seen.has(one)) return null // it has been told already; it may be in a circle
    seen.add(one)
    return one instanceof Map || one instanceof Set ? [...one] : one
  }
  return JSON.stringify(value, plain) ?? ''
}
