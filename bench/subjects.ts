/** What is compared: each subject is a way from the driver to the same upstream server. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { type Cell, toolOf } from './cells.ts'
import { addBenchUser, logIn } from './login.ts'
import { launch, type Launched, type OwnName, SCRIPTS, upstreamArgs } from './ours.ts'
import { answers, endAll, freePort, newFolder, type Started, startNode } from './processes.ts'

/** A subject that is up and can be called. */
export interface Running {
  readonly url: string
  /** The tool to call, as this subject names it. */
  readonly tool: string
  /** Tools a full listing must have. */
  readonly tools: number
  /** Access token of somebody who has logged in, where the subject asks for one. */
  readonly token?: string
  /** Processes whose trees are measured. */
  readonly roots: readonly number[]
  close(): Promise<void>
}

export interface Subject {
  readonly name: string
  /** One line for the report. */
  readonly about: string
  fits(cell: Cell): boolean
  start(cell: Cell): Promise<Running>
}

const here = import.meta.dirname

/** Arguments of Node for the upstream server that the cell wants. */
function serverArgs(cell: Cell): string[] {
  return upstreamArgs(cell.wire, '--tools', String(cell.tools), ...(cell.sse ? ['--sse'] : []))
}

function running(cell: Cell, url: string, started: readonly Started[]): Running {
  const roots = started.map(({ pid }) => pid)
  return { url, tool: toolOf(cell), tools: cell.tools, roots, close: () => endAll(roots) }
}

/** Runs `start` and ends what it had started when it fails. */
async function allOrNothing<T>(start: (started: Started[]) => Promise<T>): Promise<T> {
  const started: Started[] = []
  try {
    return await start(started)
  } catch (error) {
    await endAll(started.map(({ pid }) => pid))
    throw error
  }
}

const direct: Subject = {
  name: 'direct',
  about: 'no proxy: the driver calls the upstream server over HTTP (in the stdio table too, as the yardstick)',
  fits: (cell) => cell.upstreams === 1 && (cell.wire === 'http' || cell.name === 'stdio/base'),
  start: (cell) =>
    allOrNothing(async (started) => {
      started.push(startNode(serverArgs({ ...cell, wire: 'http' })))
      return running(cell, (await started[0]?.ready) ?? '', started)
    }),
}

const reverse: Subject = {
  name: 'reverse',
  about: 'a bare `node:http` reverse proxy with a keep-alive agent that pipes both ways and reads nothing',
  fits: (cell) => cell.wire === 'http' && cell.upstreams === 1,
  start: (cell) =>
    allOrNothing(async (started) => {
      const target = startNode(serverArgs(cell))
      started.push(target)
      const proxy = startNode([join(here, 'reverse.ts'), await target.ready])
      started.push(proxy)
      return running(cell, await proxy.ready, started)
    }),
}

const bridge: Subject = {
  name: 'bridge',
  about: 'the floor for stdio: bare `node:http`, one child, ids swapped, no checks, sessions or limits',
  fits: (cell) => cell.wire === 'stdio' && cell.upstreams === 1,
  start: (cell) =>
    allOrNothing(async (started) => {
      const proxy = startNode([join(here, 'bridge.ts'), process.execPath, ...serverArgs(cell)])
      started.push(proxy)
      return running(cell, await proxy.ready, started)
    }),
}

function startMcpProxy(cell: Cell, flags: readonly string[]): Promise<Running> {
  return allOrNothing(async (started) => {
    const port = String(await freePort())
    const script = join(here, 'node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs')
    const where = ['--host', '127.0.0.1', '--port', port, '--server', 'stream', ...flags]
    const proxy = startNode([script, ...where, '--', process.execPath, ...serverArgs(cell)])
    started.push(proxy)
    const url = `http://127.0.0.1:${port}/mcp`
    await answers(proxy, url, [400, 404, 405, 406])
    return running(cell, url, started)
  })
}

const mcpProxy: Subject = {
  name: 'mcp-proxy',
  about: 'npm `mcp-proxy` 6.7.19 as its README starts it (stdio upstreams only)',
  fits: (cell) => cell.wire === 'stdio' && cell.upstreams === 1,
  start: (cell) => startMcpProxy(cell, []),
}

const mcpProxyLean: Subject = {
  name: 'mcp-proxy-lean',
  about: 'the same with `--no-eventStore --no-modern`: its cheapest setting that keeps sessions',
  fits: (cell) => mcpProxy.fits(cell) && ['stdio/base', 'stdio/10kB', 'stdio/1MB'].includes(cell.name),
  start: (cell) => startMcpProxy(cell, ['--no-eventStore', '--no-modern']),
}

/** The entries of `mcpServers`: `up`, which is called, and the rest, which only has to be there. */
async function entries(cell: Cell, started: Started[]): Promise<Record<string, object>> {
  const names = Array.from({ length: cell.upstreams }, (_, n) => (n === 0 ? 'up' : `up${n}`))
  const list = names.map(async (name) => {
    if (cell.wire === 'stdio') return [name, { command: process.execPath, args: serverArgs(cell) }] as const
    const server = startNode(serverArgs(cell))
    started.push(server)
    return [name, { type: 'http', url: await server.ready }] as const
  })
  return Object.fromEntries(await Promise.all(list))
}

/** Starts this proxy with the cell's servers and waits until they have settled. */
function startOurs(cell: Cell, name: OwnName): Promise<Running> {
  return allOrNothing(async (started) => {
    const proxy = await launch(name, await entries(cell, started), newFolder())
    return settled(cell, proxy, started)
  })
}

async function settled(cell: Cell, proxy: Launched, started: Started[]): Promise<Running> {
  started.push(proxy.started)
  await proxy.started.ready
  await answers(proxy.started, `${proxy.origin}/readyz`, [200])
  const up = running(cell, `${proxy.origin}/mcp`, started)
  return { ...up, tool: `up_${up.tool}`, tools: cell.tools * cell.upstreams }
}

/** The same with login: one user, whose access token every call carries. */
function startWithLogin(cell: Cell, logLevel: string): Promise<Running> {
  return allOrNothing(async (started) => {
    const folder = newFolder()
    await addBenchUser(folder)
    const env = { MCP_AUTH_PROVIDER: 'local', MCP_LOG_LEVEL: logLevel }
    const proxy = await launch('ours', await entries(cell, started), folder, env)
    const up = await settled(cell, proxy, started)
    return { ...up, token: await logIn(proxy.origin.replace('127.0.0.1', 'localhost')) }
  })
}

const ours: Subject = {
  name: 'ours',
  about: 'this proxy, unbuilt (`node core/cli.ts`), without auth: supervisor and worker counted together',
  fits: () => true,
  start: (cell) => startOurs(cell, 'ours'),
}

const oursBuilt: Subject = {
  name: 'ours-built',
  about: 'the same as it is published (`dist/`), where a build is there: without what stripping types costs in memory',
  fits: (cell) => cell.name.endsWith('/base') && existsSync(SCRIPTS['ours-built']),
  start: (cell) => startOurs(cell, 'ours-built'),
}

const AUTH_CELLS = new Set(['stdio/base', 'stdio/10kB', 'http/base', 'http/sessions-256', 'http/10kB'])

const oursAuth: Subject = {
  name: 'ours-auth',
  about: 'this proxy with login (`auth-local`, `access-users`): every call carries an access token; log as in `ours`',
  fits: (cell) => AUTH_CELLS.has(cell.name),
  start: (cell) => startWithLogin(cell, 'warn'),
}

const oursAuthLog: Subject = {
  name: 'ours-auth-log',
  about: 'the same with its default log: a line for each call, with the user in it',
  fits: (cell) => AUTH_CELLS.has(cell.name),
  start: (cell) => startWithLogin(cell, 'info'),
}

export const SUBJECTS: readonly Subject[] = [
  direct,
  reverse,
  bridge,
  mcpProxy,
  mcpProxyLean,
  ours,
  oursBuilt,
  oursAuth,
  oursAuthLog,
]

/** The subjects with the given names; all of them without names. */
export function selectSubjects(names: readonly string[]): readonly Subject[] {
  if (names.length === 0) return SUBJECTS
  const unknown = names.filter((name) => !SUBJECTS.some((subject) => subject.name === name))
  if (unknown.length === 0) return SUBJECTS.filter(({ name }) => names.includes(name))
  const known = SUBJECTS.map(({ name }) => name).join(' ')
  throw new Error(`--subjects: unknown "${unknown.join(',')}"; known: ${known}`)
}
