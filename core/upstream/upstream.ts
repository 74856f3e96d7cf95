import type { ConsolaInstance } from 'consola'
import { backoff, sleep } from '../backoff.ts'
import type { ResolvedConfig, ServerConfig } from '../config/resolved.ts'
import { isConnectionError, reasonOf, RpcError, type ConnectionError } from '../errors.ts'
import type { Call, Outcome } from '../gateway/call.ts'
import { matchNames } from '../gateway/glob.ts'
import { EMPTY_LISTS, type ListKind, type Lists, type Source } from '../gateway/source.ts'
import type { TransportAdapter } from '../transport.ts'
import { ErrorCode } from '../wire/codes.ts'
import { openInstance, type Instance } from './instance.ts'
import { LIST_KINDS, readLists } from './lists.ts'
import type { UpstreamStatus } from '../status.ts'

export interface UpstreamOptions {
  readonly server: ServerConfig
  /** The transport and its parsed entry, or why there is none. */
  readonly route: { readonly adapter: TransportAdapter; readonly entry: unknown } | { readonly problem: string }
  readonly limits: ResolvedConfig['limits']
  readonly logger: ConsolaInstance
  processGroup(pid: number): () => void
  /** Lists of these kinds are new. */
  onlists(kinds: readonly ListKind[]): void
  onstatus(status: UpstreamStatus): void
}

/** One configured server: kept connected for as long as the kernel runs, whatever it does. */
export interface Upstream extends Source {
  readonly status: UpstreamStatus
  /** Connects in the background and stays at it. */
  start(): void
  /** Resolves when the first connect has ended, well or not; at once for servers that are never connected. */
  readonly settled: Promise<void>
  close(): Promise<void>
}

/** Waits between attempts to connect, in ms; half of each is random, so that many proxies do not knock at once. */
const RECONNECT = { delays: [1000, 2000, 4000, 8000, 16_000, 30_000, 60_000], jitter: 0.5 }
/** A connection that lasted this long (ms) is taken as healthy: the next failure starts with the shortest wait. */
const HEALTHY = 60_000

export function createUpstream(options: UpstreamOptions): Upstream {
  const { server, route, logger } = options
  const { settings, name } = server
  const end = new AbortController()
  const included = settings.tools.include.length > 0 ? matchNames(settings.tools.include) : () => true
  const excluded = matchNames(settings.tools.exclude)
  let lists: Lists = EMPTY_LISTS
  let instance: Instance | undefined
  let upSince = Number.POSITIVE_INFINITY
  let running: Promise<void> = Promise.resolve()
  let settle = (): void => {}
  const settled = new Promise<void>((resolve) => (settle = resolve))
  let status = firstStatus(options)
  if (status.state !== 'connecting') settle()

  function become(change: Partial<UpstreamStatus>): void {
    const { reason: _, ...kept } = status
    status = { ...kept, tools: countTools(), ...change }
    options.onstatus(status)
  }

  const countTools = (): number => lists.tools.filter((tool) => offers(tool.name as string)).length
  const offers = (tool: string): boolean => included(tool) && !excluded(tool)

  /** Reads lists anew and says which of them differ from before. */
  async function load(from: Instance, kinds: readonly ListKind[], signal: AbortSignal): Promise<void> {
    const warn = (message: string) => logger.warn(message)
    const fresh = await readLists({ face: from.face, about: from.about, signal, warn }, kinds)
    const changed = kinds.filter((kind) => JSON.stringify(fresh[kind]) !== JSON.stringify(lists[kind]))
    lists = { ...lists, ...fresh }
    if (changed.length > 0) options.onlists(changed)
  }

  /** One life of the connection: from connecting to its end. Throws why it could not begin; resolves why it ended. */
  async function live(to: { adapter: TransportAdapter; entry: unknown }): Promise<Error | undefined> {
    const began = performance.now()
    const stop = new AbortController()
    const signal = AbortSignal.any([end.signal, stop.signal])
    // What changes while the lists are first read would else be missed for good.
    const early = new Set<ListKind>()
    let reload = (kinds: readonly ListKind[]): void => kinds.forEach((kind) => early.add(kind))
    const opened = await openInstance({
      ...to,
      name,
      logger,
      signal: end.signal,
      connectTimeout: settings.connectTimeout,
      requestTimeout: settings.requestTimeout,
      requestCeiling: options.limits.requestCeiling,
      onevent: (event) => {
        if (event.kind !== 'resource') reload(event.kind === 'resources' ? ['resources', 'templates'] : [event.kind])
      },
      context: {
        name,
        logger,
        maxMessageBytes: options.limits.messageBytes,
        processGroup: options.processGroup,
      },
    })
    try {
      await firstLoad(opened, signal)
      instance = opened
      upSince = Date.now()
      become({ state: 'up', took: performance.now() - began })
      settle()
      reload = oneAtATime((kinds) => load(opened, kinds, signal).then(() => become({}), logReloadFailure))
      if (early.size > 0) reload([...early])
      return await opened.closed
    } finally {
      instance = undefined
      stop.abort()
      await opened.face.close()
    }
  }

  /** A server that initializes but never lists is as good as one that never answers. */
  async function firstLoad(from: Instance, signal: AbortSignal): Promise<void> {
    const expiry = AbortSignal.timeout(settings.connectTimeout)
    try {
      await load(from, LIST_KINDS, AbortSignal.any([signal, expiry]))
    } catch (error) {
      if (!expiry.aborted) throw error
      throw new Error(`its lists did not come within ${settings.connectTimeout / 1000} s`, { cause: error })
    }
  }

  function logReloadFailure(error: unknown): void {
    if (!end.signal.aborted) logger.warn(`the changed list could not be read: ${reasonOf(error)}`)
  }

  async function keepAlive(to: { adapter: TransportAdapter; entry: unknown }): Promise<void> {
    const delay = backoff(RECONNECT)
    let lastReason: string | undefined
    for (let attempt = 0; !end.signal.aborted; attempt++) {
      upSince = Number.POSITIVE_INFINITY
      const reason = await live(to).then(
        (error) => error?.message ?? 'the server closed the connection',
        (error: unknown) => reasonOf(error),
      )
      if (end.signal.aborted) break
      if (Date.now() - upSince > HEALTHY) attempt = 0
      const wait = delay(attempt)
      become({ state: 'down', reason })
      settle()
      logger[reason === lastReason ? 'debug' : 'warn'](`down: ${reason}; next attempt in ${(wait / 1000).toFixed(1)} s`)
      lastReason = reason
      await sleep(wait, end.signal)
    }
  }

  return {
    name,
    prefix: settings.prefix,
    settled,
    offers,
    get lists() {
      return lists
    },
    get status() {
      return status
    },
    start() {
      if ('adapter' in route && status.state === 'connecting') running = keepAlive(route)
    },
    async call(call: Call): Promise<Outcome> {
      if (instance === undefined) throw unavailable(name, status, call)
      try {
        return await instance.face.call(call)
      } catch (error) {
        if (!isConnectionError(error)) throw error
        logger.warn(`${call.method} failed: ${error.message}`, { requestId: call.requestId })
        throw new RpcError(ErrorCode.InternalError, `server "${name}" ${describe(error)}`, {
          requestId: call.requestId,
        })
      }
    },
    async close() {
      end.abort()
      settle()
      await instance?.face.close()
      await running
    },
  }
}

function firstStatus({ server, route }: UpstreamOptions): UpstreamStatus {
  const transport = 'adapter' in route ? route.adapter.type : '?'
  const base = { name: server.name, transport, tools: 0 }
  if (server.settings.disabled) return { ...base, state: 'disabled', reason: 'disabled in the configuration' }
  if ('problem' in route) return { ...base, state: 'invalid', reason: route.problem }
  return { ...base, state: 'connecting' }
}

/** What a client may know of a failed connection: addresses and a server's last words are for the operator's log. */
function describe({ delivered, lost, status, brief }: ConnectionError): string {
  if (brief !== undefined) return brief
  if (status !== undefined) return `answered with HTTP status ${status}`
  if (!delivered) return 'could not be reached'
  return lost ? 'ended during the call' : 'gave no usable answer'
}

function unavailable(name: string, { state }: UpstreamStatus, { requestId }: Call): RpcError {
  const where = state === 'connecting' ? 'still connecting' : `${state}; the log of the proxy says why`
  return new RpcError(ErrorCode.InternalError, `server "${name}" is ${where}`, { requestId })
}

/** Runs `work` for what is asked; what is asked meanwhile is gathered and done after. */
function oneAtATime(work: (kinds: readonly ListKind[]) => Promise<void>): (kinds: readonly ListKind[]) => void {
  const waiting = new Set<ListKind>()
  let busy = false
  const run = async (): Promise<void> => {
    busy = true
    while (waiting.size > 0) {
      const kinds = [...waiting]
      waiting.clear()
      await work(kinds)
    }
    busy = false
  }
  return (kinds) => {
    for (const kind of kinds) waiting.add(kind)
    if (!busy) void run()
  }
}
