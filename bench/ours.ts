/** Starts this proxy, each time in a folder of its own, so that only the defaults and the given servers count. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { freePort, type Started, startNode } from './processes.ts'
import { toolNames } from './tools.ts'

/** A proxy that was just started and may not listen yet. */
export interface Launched {
  readonly started: Started
  readonly origin: string
  /** When its process was started, by the clock of `performance.now()`, in ms. */
  readonly spawned: number
}

/** `mcpServers` of a configuration file. */
export type Servers = Readonly<Record<string, object>>

const here = import.meta.dirname

/** The scripts that start this proxy: from its sources, and as it is published. */
export const SCRIPTS = {
  ours: join(here, '../core/cli.ts'),
  'ours-built': join(here, '../dist/core/cli.js'),
} as const

export type OwnName = keyof typeof SCRIPTS

/** Whether a subject is this proxy in a form that can be started here. */
export function isOurs(name: string): name is OwnName {
  return name in SCRIPTS && existsSync(SCRIPTS[name as OwnName])
}

/** Arguments of Node for the upstream server of this folder. */
export function upstreamArgs(...args: readonly string[]): string[] {
  return [join(here, 'upstream.ts'), ...args]
}

/** An entry that runs the upstream server over stdio; `delay`: ms until it answers `initialize`. */
export function stdioServer(tools: number, delay = 0): object {
  return { command: process.execPath, args: upstreamArgs('stdio', '--tools', String(tools), '--delay', String(delay)) }
}

/** The names under which clients must see the tools of servers that have `tools` tools each. */
export function exposedNames(servers: Servers, tools: number): readonly string[] {
  return Object.keys(servers).flatMap((server) => toolNames(tools).map((tool) => `${server}_${tool}`))
}

/** Starts the proxy with these servers; what it writes goes below `folder`, which may hold the data of an earlier start. */
export async function launch(
  name: OwnName,
  servers: Servers,
  folder: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Launched> {
  const config = join(folder, 'servers.json')
  await writeFile(config, JSON.stringify({ mcpServers: servers }))
  const port = String(await freePort())
  const data = join(folder, 'data')
  const env = { MCP_CONFIG_PATH: config, MCP_PORT: port, MCP_DATA_DIR: data, MCP_LOG_LEVEL: 'warn', ...more }
  const spawned = performance.now()
  const started = startNode([SCRIPTS[name]], { env, cwd: folder })
  return { started, origin: `http://127.0.0.1:${port}`, spawned }
}
