import type { ConsolaInstance } from 'consola'
import { parseEntry, type ParsedEntry } from '../config/entry.ts'
import type { ResolvedConfig, ServerConfig } from '../config/resolved.ts'
import type { SourceListener, Sources } from '../gateway/source.ts'
import type { UpstreamStatus } from '../status.ts'
import type { Store } from '../storage.ts'
import type { TransportAdapter } from '../transport.ts'
import { absentUpstream } from './absent.ts'
import { createKeptLists } from './kept-lists.ts'
import { createUpstream, type Upstream } from './upstream.ts'

/** Every configured server. */
export interface Upstreams extends Sources {
  readonly all: readonly Upstream[]
  start(): void
  /** Resolves once every server's first connect has ended, well or not. */
  readonly connected: Promise<void>
  close(): Promise<void>
}

export interface UpstreamsOptions {
  readonly config: ResolvedConfig
  readonly adapters: readonly TransportAdapter[]
  readonly logger: ConsolaInstance
  /** Where lists are kept for the next start. */
  readonly store: Store
  readonly listener: SourceListener
  processGroup(pid: number): () => void
  onstatus(status: UpstreamStatus, before: UpstreamStatus): void
}

/** Parses every server entry; a bad one makes that server `invalid` and harms no other. */
export async function createUpstreams(options: UpstreamsOptions): Promise<Upstreams> {
  const all = await Promise.all(options.config.servers.map((server) => prepare(options, server)))
  let pending = true
  const listed = Promise.all(all.map((upstream) => upstream.listed)).then(() => void (pending = false))
  return {
    all,
    get pending() {
      return pending
    },
    settled: (ms) => (ms === undefined ? listed : Promise.race([listed, elapsed(ms)])),
    connected: Promise.all(all.map(({ settled }) => settled)).then(() => {}),
    start: () => all.forEach((upstream) => upstream.start()),
    close: async () => void (await Promise.all(all.map((upstream) => upstream.close()))),
  }
}

async function prepare(options: UpstreamsOptions, server: ServerConfig): Promise<Upstream> {
  const logger = options.logger.withTag(server.name)
  const route = server.problem === undefined ? await parseEntry(server, options.adapters) : { problem: server.problem }
  if (server.settings.disabled)
    return absentUpstream(server, typeOf(route), 'disabled', 'disabled in the configuration')
  if ('problem' in route) {
    logger.error(`invalid: ${route.problem}`)
    return absentUpstream(server, '?', 'invalid', route.problem)
  }
  for (const warning of route.warnings) logger.warn(warning)
  const kept = createKeptLists(options.store, server, logger)
  let status: UpstreamStatus | undefined
  const upstream = createUpstream({
    server,
    route,
    limits: options.config.limits,
    logger,
    kept,
    known: await kept.read(),
    listener: options.listener,
    processGroup: options.processGroup,
    onstatus(now) {
      const before = status ?? now
      status = now
      options.onstatus(now, before)
    },
  })
  status = upstream.status
  return upstream
}

function typeOf(route: ParsedEntry): string {
  return 'adapter' in route ? route.adapter.type : '?'
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref())
}
