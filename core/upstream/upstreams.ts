import { differenceOf, type ServerDifference } from '../config/change.ts'
import type { ServerConfig } from '../config/resolved.ts'
import type { ListKind, Sources } from '../gateway/source.ts'
import { LIST_KINDS } from './lists.ts'
import { prepareUpstream, type Prepared, type PrepareOptions } from './prepare.ts'
import type { Upstream } from './upstream.ts'

/** Every configured server. */
export interface Upstreams extends Sources {
  readonly all: readonly Upstream[]
  start(): void
  /** Resolves once every server's first connect has ended, well or not. */
  readonly connected: Promise<void>
  /**
   * Takes over other entries: servers that are new or different are started, those that are gone or different finish their calls and
   * are closed, all others are left alone. Resolves as soon as clients see the new ones.
   */
  apply(servers: readonly ServerConfig[]): Promise<void>
  close(): Promise<void>
}

/** How long (ms) calls may go on at a server whose entry has changed: as long as a request may take that makes no progress. */
const LEAVE = 60_000

/** Parses every server entry; a bad one makes that server `invalid` and harms no other. */
export async function createUpstreams(options: PrepareOptions & { readonly servers: readonly ServerConfig[] }) {
  let prepared = await Promise.all(options.servers.map((server) => prepareUpstream(options, server)))
  let all: readonly Upstream[] = prepared.map(({ upstream }) => upstream)
  const end = new AbortController()
  const leaving = new Set<Promise<void>>()
  let started = false
  let pending = true
  const listed = Promise.all(all.map((upstream) => upstream.listed)).then(() => void (pending = false))
  const connected = Promise.all(all.map(({ settled }) => settled)).then(() => {})

  async function apply(servers: readonly ServerConfig[]): Promise<void> {
    const plan = servers.map((server) => planFor(server, prepared))
    const next = await Promise.all(plan.map(({ server, before, difference }) => take(server, before, difference)))
    if (end.signal.aborted) return void (await Promise.all(next.map(({ upstream }) => upstream.close())))
    const gone = prepared.filter((one) => !next.some(({ upstream }) => upstream === one.upstream))
    const fresh = next.filter((one) => !prepared.some(({ upstream }) => upstream === one.upstream))
    const changed = changedKinds(prepared, next)
    prepared = next
    all = next.map(({ upstream }) => upstream)
    for (const { server, before, difference } of plan) {
      if (difference === 'exposure') before?.upstream.expose(server.settings)
    }
    options.listener.onlists(changed)
    for (const one of gone) retire(one)
    if (started) for (const { upstream } of fresh) upstream.start()
  }

  /** What is only shown otherwise, and what has not changed, stays. */
  async function take(server: ServerConfig, before: Prepared | undefined, difference: ServerDifference) {
    if (before !== undefined && difference !== 'server') return { ...before, server }
    return prepareUpstream(options, server, { known: before?.upstream.known })
  }

  function retire({ upstream, leave }: Prepared): void {
    leave()
    const left = upstream.retire(LEAVE, end.signal).finally(() => leaving.delete(left))
    leaving.add(left)
  }

  const upstreams: Upstreams = {
    get all() {
      return all
    },
    get pending() {
      return pending
    },
    settled: (ms) => (ms === undefined ? listed : Promise.race([listed, elapsed(ms)])),
    connected,
    start() {
      started = true
      for (const upstream of all) upstream.start()
    },
    apply,
    async close() {
      end.abort()
      await Promise.all([...all.map((upstream) => upstream.close()), ...leaving])
    },
  }
  return upstreams
}

interface Plan {
  readonly server: ServerConfig
  readonly before: Prepared | undefined
  readonly difference: ServerDifference
}

function planFor(server: ServerConfig, prepared: readonly Prepared[]): Plan {
  const before = prepared.find((one) => one.server.name === server.name)
  return { server, before, difference: before === undefined ? 'server' : differenceOf(before.server, server) }
}

/** The lists in which some server shows something else than the one of its name did before. */
function changedKinds(before: readonly Prepared[], next: readonly Prepared[]): readonly ListKind[] {
  const names = new Set([...before, ...next].map(({ server }) => server.name))
  const differs = (kind: ListKind) => (name: string) => shownBy(before, name, kind) !== shownBy(next, name, kind)
  return LIST_KINDS.filter((kind) => [...names].some(differs(kind)))
}

/** What clients see of a list of a server, as a text that can be compared. */
function shownBy(prepared: readonly Prepared[], name: string, kind: ListKind): string {
  const one = prepared.find(({ server }) => server.name === name)
  if (one === undefined || one.upstream.lists[kind].length === 0) return ''
  const { prefix, tools } = one.server.settings
  const exposure = { tools: { prefix, tools }, prompts: { prefix }, resources: {}, templates: {} }
  return JSON.stringify([exposure[kind], one.upstream.lists[kind]])
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref())
}
