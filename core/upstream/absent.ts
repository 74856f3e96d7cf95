import type { ServerConfig } from '../config/resolved.ts'
import { EMPTY_LISTS } from '../gateway/source.ts'
import type { UpstreamState } from '../status.ts'
import { unavailable } from './delivery.ts'
import type { Upstream } from './upstream.ts'

/** A configured server that is never connected: its entry is wrong, or it is disabled. */
export function absentUpstream(
  server: ServerConfig,
  transport: string,
  state: UpstreamState,
  reason: string,
): Upstream {
  return {
    name: server.name,
    prefix: server.settings.prefix,
    lists: EMPTY_LISTS,
    status: { name: server.name, transport, tools: 0, state, reason },
    settled: Promise.resolve(),
    listed: Promise.resolve(),
    offers: () => false,
    call: async (call) => {
      throw unavailable(server.name, call)
    },
    watch: async () => {},
    release: () => {},
    start: () => {},
    known: undefined,
    expose: () => {},
    retire: async () => {},
    close: async () => {},
  }
}
