/** Starts and ends the processes of a run; whatever was started here is ended here, by pid. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

import { type Process, tree } from './measure.ts'

/** A started process and what it wrote to stderr last, for messages. */
export interface Started {
  readonly pid: number
  readonly child: ChildProcess
  /** The URL behind its line `ready <url>`; rejects when the process ends first or after 30 s. */
  readonly ready: Promise<string>
  readonly lastWords: () => string
}

const READY_WITHIN = 30_000
const GRACE = 5_000

const alive = new Set<ChildProcess>()
let over = false
let scratch: string | undefined

/** A new empty folder; all of them are removed when this process exits. */
export function newFolder(): string {
  scratch ??= mkdtempSync(join(tmpdir(), 'mcp-bench-'))
  return mkdtempSync(join(scratch, 'x'))
}

process.once('exit', () => {
  if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true })
})

/** The environment of every process of the run: ours, without settings meant for another proxy. */
function environment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([key]) => !/^(MCP_|AUTH0_|OIDC_|NODE_OPTIONS$)/.test(key))
  return { ...Object.fromEntries(kept), ...extra }
}

/** Starts `node …args` on the Node of this run; `ipc` gives a message channel instead of a `ready` line. */
export function startNode(
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string; readonly ipc?: boolean } = {},
): Started {
  if (over) throw new Error('bench: the run is ending, nothing more is started')
  const child = spawn(process.execPath, args, {
    cwd: options.cwd,
    env: environment(options.env ?? {}),
    stdio: ['pipe', 'pipe', 'pipe', ...(options.ipc === true ? (['ipc'] as const) : [])],
  })
  // Without a pid nothing runs, and signalling pid 0 would end this whole process group.
  if (child.pid === undefined) throw new Error(`bench: ${process.execPath} could not be started`)
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  let words = ''
  child.stderr?.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-2_000)))
  const ready = readyLine(child, args[0] ?? '', () => words)
  ready.catch(() => {}) // only some look at it
  return { pid: child.pid, child, ready, lastWords: () => words }
}

function readyLine(child: ChildProcess, script: string, words: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`bench: ${script} ${why}; it said: ${words() || 'nothing'}`))
    const timer = setTimeout(() => fail(`was not ready within ${READY_WITHIN} ms`), READY_WITHIN)
    timer.unref()
    child.once('error', (error) => fail(error.message))
    child.once('exit', (code) => fail(`ended with ${code ?? 'a signal'}`))
    let text = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-4_000)
      const url = /^ready (\S+)$/m.exec(text)?.[1]
      if (url === undefined) return
      clearTimeout(timer)
      resolve(url)
    })
  })
}

/** Polls `url` every `every` ms until it answers with one of `statuses`; rejects when `started` ends first or after `within` ms. */
export async function answers(
  started: Started,
  url: string,
  statuses: readonly number[],
  { every = 100, within = READY_WITHIN }: { readonly every?: number; readonly within?: number } = {},
): Promise<void> {
  const deadline = Date.now() + within
  while (Date.now() < deadline) {
    if (started.child.exitCode !== null) break
    const status = await fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
      async (response) => (await response.body?.cancel(), response.status),
      () => 0,
    )
    if (statuses.includes(status)) return
    await wait(every)
  }
  throw new Error(`bench: ${url} does not answer; the process said: ${started.lastWords() || 'nothing'}`)
}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // already gone
  }
}

/** Those of `family` that still run: the same pid, started at the same moment. */
function survivors(family: readonly Process[]): Process[] {
  return tree(family.map(({ pid }) => pid)).filter(({ pid, started }) =>
    family.some((member) => member.pid === pid && member.started === started),
  )
}

/** Ends the processes with all their descendants: SIGTERM to the roots, SIGKILL to whatever is left after 5 s. */
export async function endAll(roots: readonly number[]): Promise<void> {
  const children = [...alive].filter(({ pid }) => pid !== undefined && roots.includes(pid)) // another's may have the pid by now
  if (children.length === 0) return
  const family = tree(children.flatMap(({ pid }) => pid ?? []))
  for (const child of children) child.kill('SIGTERM')
  const deadline = Date.now() + GRACE
  while (Date.now() < deadline && survivors(family).length > 0) await wait(50)
  for (const { pid } of survivors(family)) signal(pid, 'SIGKILL')
}

/** Ends everything this run has started and not yet ended; after this `startNode` throws. */
export function endEverything(): Promise<void> {
  over = true
  return endAll([...alive].flatMap(({ pid }) => pid ?? []))
}
