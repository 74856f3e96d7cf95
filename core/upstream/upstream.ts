import type { ConsolaInstance } from 'consola'
import type { ResolvedConfig, ServerConfig, ServerSettings } from '../config/resolved.ts'
import { isRpcError, RpcError } from '../errors.ts'
import type { Source, SourceListener } from '../gateway/source.ts'
import type { UpstreamState, UpstreamStatus } from '../status.ts'
import type { TransportAdapter } from '../transport.ts'
import { ErrorCode } from '../wire/codes.ts'
import { createBreaker } from './breaker.ts'
import { createDelivery } from './delivery.ts'
import { countShown, exposureOf, type Exposure } from './exposure.ts'
import type { UpstreamEvent } from './face.ts'
import { createInstances } from './instances.ts'
import { createIsolation, isolationOf } from './isolation.ts'
import type { KeptLists, Known } from './kept-lists.ts'
import { createLauncher } from './launcher.ts'
import { createOffer, type Offer } from './offer.ts'
import { createSlot, type Slot } from './slot.ts'
import { countCalls } from './call-count.ts'
import { createEras, type Era } from './verdict.ts'

export interface UpstreamOptions {
  readonly server: ServerConfig
  readonly route: { readonly adapter: TransportAdapter; readonly entry: unknown }
  readonly limits: ResolvedConfig['limits']
  readonly logger: ConsolaInstance
  readonly kept: KeptLists
  /** What is known from an earlier run. */
  readonly known: Known | undefined
  readonly listener: SourceListener
  processGroup(pid: number): () => void
  onstatus(status: UpstreamStatus): void
}

/** One configured server: kept connected, or connected when needed, for as long as the kernel runs. */
export interface Upstream extends Source {
  readonly status: UpstreamStatus
  /** Connects in the background and stays at it. */
  start(): void
  /** Resolves when the first connect has ended, well or not; at the start for a server that is lazy. */
  readonly settled: Promise<void>
  /** Resolves when what it offers is known: from an earlier run, or because its first connect has ended. */
  readonly listed: Promise<void>
  /** What it last offered, for the entry that takes its place; `undefined` before it has. */
  readonly known: Known | undefined
  /** Shows its tools otherwise from now on; what runs goes on. */
  expose(settings: Pick<ServerSettings, 'prefix' | 'tools'>): void
  /** It has left the configuration: closes once the calls under way have ended, after `limit` ms at the latest, or as `signal` aborts. */
  retire(limit: number, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

export function createUpstream(options: UpstreamOptions): Upstream {
  const { server, logger, listener } = options
  const { settings, name } = server
  const end = new AbortController()
  let exposure = exposureOf(settings)
  const mode = isolationOf(server)
  let isSplit = options.known?.split ?? false
  /** Whether what is known was said by the server of another entry. */
  let isBorrowed = options.known?.borrowed !== undefined
  /** The era it speaks, or is likely to: most entries change in little. */
  const eraOf = () => eras.last ?? options.known?.borrowed?.era
  const isStateless = () => eraOf() === 'modern'
  const rule = createIsolation(mode, { isSplit, isCheap: 'url' in server.entry, isStateless })
  const breaker = createBreaker()
  const settled = createSettled()
  const listed = createSettled()
  let began = 0
  let status = firstStatus(options, exposure)

  const eras = createEras({
    fixed: fixedEra(options),
    kept: options.known?.era,
    logger,
    onverdict: keep,
  })
  const offer: Offer = createOffer({
    known: options.known,
    kept: options.kept,
    logger,
    signal: end.signal,
    isSplit: () => isSplit,
    verdict: () => eras.verdict,
    onlists(kinds) {
      listener.onlists(kinds)
      become({})
    },
  })
  const launcher = createLauncher({
    ...options,
    rule,
    offer,
    eras,
    signal: end.signal,
    peerOf: (party) => listener.peerOf(party),
    onstate: () => instances.split(),
    onevent: hear,
  })

  // Nobody's state is in the first instance of a `session` server: it is there for the lists, and rests after that.
  const stays = !settings.lazy && mode !== 'session'
  const primary = createSlot({
    open(signal) {
      began = performance.now()
      return launcher.launch(primary, undefined, signal)
    },
    breaker,
    ...(!stays && { idleStop: settings.idleStop }),
    onopen() {
      isBorrowed = false
      become({ state: 'up', took: performance.now() - began })
      settle()
    },
    ongone(reason) {
      if (reason === undefined) return become({ state: 'idle' })
      const again = stays ? `; next attempt in ${(breaker.wait() / 1000).toFixed(1)} s` : ''
      logger[reason === status.reason ? 'debug' : 'warn'](`down: ${reason}${again}`)
      become({ state: 'down', reason })
      settle()
    },
  })
  const instances = createInstances({
    rule,
    primary,
    isStateless,
    create(peer) {
      const slot: Slot = createSlot({
        open: (signal) => launcher.launch(slot, peer, signal),
        breaker,
        idleStop: settings.idleStop,
        onopen: () => logger.debug(`one more instance, for ${rule.keyOf(peer)}`),
        ongone: (reason) => reason !== undefined && logger.warn(`an instance of one client ended: ${reason}`),
      })
      return slot
    },
    onsplit() {
      isSplit = true
      keep()
      logger.info('it keeps state per client: from now on each client has an instance of its own ("isolate": "auto")')
    },
  })

  const calls = countCalls(createDelivery({ name, logger, slotFor: instances.slotFor, check: launcher.check }))

  /** What was never read is kept with its first reading. */
  function keep(): void {
    if (offer.known && !isBorrowed) offer.keep()
  }

  function settle(): void {
    settled.resolve()
    listed.resolve()
  }

  function become(change: { state?: UpstreamState; reason?: string; took?: number }): void {
    const { reason, ...kept } = status
    const still = change.state === undefined && reason !== undefined
    status = { ...kept, ...(still && { reason }), tools: countShown(offer.lists.tools, exposure), ...change }
    options.onstatus(status)
  }

  function hear(slot: Slot, event: UpstreamEvent): void {
    if (event.kind === 'resource') {
      for (const party of instances.watchersOf(slot)) listener.onevent(upstream, { ...event, party })
    } else if (event.kind === 'message') {
      const { party, message } = event
      if (party === undefined) logger.debug(`it says: ${JSON.stringify(message.params?.data ?? null)}`)
      else listener.onevent(upstream, { kind: 'message', party, message })
    }
  }

  const upstream: Upstream = {
    name,
    settled: settled.promise,
    listed: offer.known ? Promise.resolve() : listed.promise,
    call: calls.carry,
    get prefix() {
      return exposure.prefix
    },
    offers: (tool) => exposure.offers(tool),
    get lists() {
      return offer.lists
    },
    get known() {
      const { lists, instructions } = offer
      if (!offer.known) return undefined
      return { lists, split: isSplit, borrowed: { era: eraOf() }, ...(instructions !== undefined && { instructions }) }
    },
    get instructions() {
      return offer.instructions
    },
    get caching() {
      return offer.caching
    },
    get status() {
      return status
    },
    start() {
      if (settings.lazy) settled.resolve()
      if (settings.lazy && offer.known) become({ state: 'idle' })
      else primary.open()
    },
    async watch(peer, uris) {
      try {
        await instances.watch(peer, uris)
      } catch (error) {
        if (isRpcError(error)) throw error
        throw new RpcError(ErrorCode.InternalError, `server "${name}" could not be subscribed to`)
      }
    },
    release: instances.release,
    expose(shown) {
      exposure = exposureOf(shown)
      become({})
    },
    async retire(limit, signal) {
      settle()
      // The entry that takes its place keeps its own lists under the same name.
      await options.kept.leave()
      const cut = await calls.untilNone(limit, signal)
      if (cut > 0) logger.warn(`its entry has changed, and ${cut} call(s) are still under way: they are cut`)
      await upstream.close()
    },
    async close() {
      end.abort()
      settle()
      await instances.close()
      await options.kept.close()
    },
  }
  return upstream
}

/** The era to speak whatever the server says: the only one that the transport has, or the configured one. */
function fixedEra({ server, route }: UpstreamOptions): Era | undefined {
  const { protocol } = server.settings
  return route.adapter.era ?? (protocol === 'auto' ? undefined : protocol)
}

function firstStatus({ server, route, known }: UpstreamOptions, exposure: Exposure): UpstreamStatus {
  const tools = countShown(known?.lists.tools ?? [], exposure)
  return { name: server.name, transport: route.adapter.type, tools, state: 'connecting' }
}

function createSettled(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve: () => resolve() }
}
