import type { ConsolaInstance } from 'consola'
import { parseEntry, type ParsedEntry } from '../config/entry.ts'
import type { ResolvedConfig, ServerConfig } from '../config/resolved.ts'
import type { SourceListener } from '../gateway/source.ts'
import type { UpstreamStatus } from '../status.ts'
import type { Store } from '../storage.ts'
import type { TransportAdapter } from '../transport.ts'
import { absentUpstream } from './absent.ts'
import { createKeptLists, type Known } from './kept-lists.ts'
import { createUpstream, type Upstream } from './upstream.ts'

export interface PrepareOptions {
  readonly limits: ResolvedConfig['limits']
  readonly adapters: readonly TransportAdapter[]
  readonly logger: ConsolaInstance
  /** Where lists are kept for the next start. */
  readonly store: Store
  readonly listener: SourceListener
  processGroup(pid: number): () => void
  onstatus(status: UpstreamStatus, before: UpstreamStatus): void
}

/** A server and the entry it was made from. */
export interface Prepared {
  readonly server: ServerConfig
  readonly upstream: Upstream
  /** It is no longer in the configuration: nothing more is told of it. */
  leave(): void
}

/**
 * Makes a server of an entry, without starting it. A bad entry makes one that is `invalid`. `joining`: the proxy runs already; `known`
 * is what the server of that name offered under another entry, and stays listed until this one has said what it offers.
 */
export async function prepareUpstream(
  options: PrepareOptions,
  server: ServerConfig,
  joining?: { readonly known: Known | undefined },
): Promise<Prepared> {
  const logger = options.logger.withTag(server.name)
  const route = server.problem === undefined ? await parseEntry(server, options.adapters) : { problem: server.problem }
  if (server.settings.disabled) return absent(server, typeOf(route), 'disabled', 'disabled in the configuration')
  if ('problem' in route) {
    logger.error(`invalid: ${route.problem}`)
    return absent(server, '?', 'invalid', route.problem)
  }
  for (const warning of route.warnings) logger.warn(warning)
  const kept = createKeptLists(options.store, server, logger)
  const { listener } = options
  let status: UpstreamStatus | undefined
  let left = false
  let isNew = joining !== undefined
  const upstream = createUpstream({
    server,
    route,
    limits: options.limits,
    logger,
    kept,
    // A lazy one would not be asked what it offers.
    known: (await kept.read()) ?? (server.settings.lazy ? undefined : joining?.known),
    listener: { ...listener, onlists: (kinds) => left || listener.onlists(kinds) },
    processGroup: options.processGroup,
    onstatus(now) {
      const was = status ?? now
      status = now
      if (left) return
      options.onstatus(now, was)
      if (!isNew || now.state !== 'up') return
      isNew = false
      // What it could not be subscribed to before it was up.
      listener.onlists([])
    },
  })
  status = upstream.status
  return { server, upstream, leave: () => void (left = true) }
}

function absent(server: ServerConfig, type: string, state: 'disabled' | 'invalid', reason: string): Prepared {
  return { server, upstream: absentUpstream(server, type, state, reason), leave: () => {} }
}

function typeOf(route: ParsedEntry): string {
  return 'adapter' in route ? route.adapter.type : '?'
}
