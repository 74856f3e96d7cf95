import type { ConsolaInstance } from 'consola'
import { parseEntry } from '../config/entry.ts'
import type { ResolvedConfig } from '../config/resolved.ts'
import type { ListKind, Sources } from '../gateway/source.ts'
import type { TransportAdapter } from '../transport.ts'
import type { UpstreamStatus } from '../status.ts'
import { createUpstream, type Upstream } from './upstream.ts'

/** Every configured server. */
export interface Upstreams extends Sources {
  readonly all: readonly Upstream[]
  start(): void
  close(): Promise<void>
}

export interface UpstreamsOptions {
  readonly config: ResolvedConfig
  readonly adapters: readonly TransportAdapter[]
  readonly logger: ConsolaInstance
  processGroup(pid: number): () => void
  onlists(kinds: readonly ListKind[]): void
  onstatus(status: UpstreamStatus, before: UpstreamStatus): void
}

/** Parses every server entry; a bad one makes that server `invalid` and harms no other. */
export async function createUpstreams(options: UpstreamsOptions): Promise<Upstreams> {
  const all = await Promise.all(options.config.servers.map((server) => prepare(options, server)))
  let pending = true
  const settledAll = Promise.all(all.map(({ settled }) => settled)).then(() => void (pending = false))
  return {
    all,
    get pending() {
      return pending
    },
    settled: (ms) => (ms === undefined ? settledAll : Promise.race([settledAll, elapsed(ms)])),
    start: () => all.forEach((upstream) => upstream.start()),
    close: async () => void (await Promise.all(all.map((upstream) => upstream.close()))),
  }
}

async function prepare(options: UpstreamsOptions, server: ResolvedConfig['servers'][number]): Promise<Upstream> {
  const logger = options.logger.withTag(server.name)
  const parsed = server.problem === undefined ? await parseEntry(server, options.adapters) : { problem: server.problem }
  if ('problem' in parsed) {
    if (!server.settings.disabled) logger.error(`invalid: ${parsed.problem}`)
  } else for (const warning of parsed.warnings) logger.warn(warning)
  let status: UpstreamStatus | undefined
  const upstream = createUpstream({
    server,
    route: parsed,
    limits: options.config.limits,
    logger,
    processGroup: options.processGroup,
    onlists: options.onlists,
    onstatus(now) {
      const before = status ?? now
      status = now
      options.onstatus(now, before)
    },
  })
  status = upstream.status
  return upstream
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref())
}
