import type { ConsolaInstance } from 'consola'
import type { Permissions } from './auth.ts'
import { snapshotOf } from './config/change.ts'
import { checkExposure, isLoopback } from './config/exposure.ts'
import type { ResolvedConfig } from './config/resolved.ts'
import { legacyDownstream } from './downstream/legacy.ts'
import { modernDownstream } from './downstream/modern.ts'
import { createSessions } from './downstream/sessions.ts'
import { createCallLog } from './call-log.ts'
import { createGateway } from './gateway/gateway.ts'
import { keepNames } from './gateway/kept-names.ts'
import { createHookRunner } from './hooks.ts'
import { createApp } from './http/app.ts'
import { createAuthenticator } from './http/authenticate.ts'
import { createEndpoint } from './http/endpoint.ts'
import { proveKeys } from './key-proof.ts'
import { createKeys } from './keys.ts'
import { createLiveConfig, whenSetUp, type Evaluate, type LiveConfig } from './live-config.ts'
import { createLogger } from './logger.ts'
import type { Command, Plugin, PluginContext } from './plugin.ts'
import { createProcessGroups } from './process-groups.ts'
import { resolvePlugins } from './resolve.ts'
import { createReview } from './review.ts'
import { createScope, type Scope } from './scope.ts'
import { loadSecrets } from './secret.ts'
import { setUp } from './set-up.ts'
import { createStandingStreams, type StandingStreams } from './standing-streams.ts'
import { createStore } from './store.ts'
import { laterStore } from './store/later.ts'
import { sweepRegularly } from './store/sweep.ts'
import { unchanging } from './store/unchanging.ts'
import type { UpstreamStatus } from './status.ts'
import { createUpstreams, type Upstreams } from './upstream/upstreams.ts'
import { createUserLabel } from './user-label.ts'
import { watchPath } from './watch.ts'

/** A running proxy without a port: plugins set up, servers known, requests answered by `fetch`. */
export interface Kernel {
  readonly config: ResolvedConfig
  /** Whether callers are asked who they are. */
  readonly authenticated: boolean
  /** Where every server stands, now. */
  readonly upstreams: readonly UpstreamStatus[]
  readonly commands: readonly Command[]
  /** Resolves once every server that is not lazy has settled. Never rejects. */
  readonly ready: Promise<void>
  /** Answers one HTTP request. Never rejects. */
  fetch(request: Request): Promise<Response>
  /** Begins to connect the servers, in the background. */
  start(): void
  /** Asks for the configuration to be read anew; false where no plugin sees to that. */
  reload(): boolean
  /** Hears of every change of a server's status; call the result to stop. */
  on(listener: (status: UpstreamStatus) => void): () => void
  /** Takes no new request from now on (503) and ends the standing streams; what is under way goes on. Idempotent. */
  refuse(): void
  /** Ends streams and calls, closes servers and plugins, last opened first. Idempotent. */
  close(): Promise<void>
}

export interface KernelOptions {
  /** Absent: one as the configuration says, on stderr. */
  readonly logger?: ConsolaInstance
  /** False: it is only made for a command of a plugin. Default: true. */
  readonly serving?: boolean
  /** True: it is only looked whether it could be started; nothing is written to the store, but a new data folder gets its secret. */
  readonly trial?: boolean
  /** How a plugin may end the process; absent: it is logged and ignored. */
  readonly exit?: (code: number, reason: string) => void
  /** How the configuration is read anew; absent: it cannot be. */
  readonly evaluate?: Evaluate
}

/** How long (ms) one part may take to close. A connection has 5 s of its own. */
const CLOSE_PATIENCE = 6000

/** What anybody may do who is recognised, where nothing fills the slot `access`. */
const EVERYTHING: Permissions = Object.freeze({ allowedTools: Object.freeze(['*']) })

/** Sets everything up without network or port. Throws `ProxyError`; what was set up by then is disposed in reverse. */
export async function createKernel(config: ResolvedConfig, options: KernelOptions = {}): Promise<Kernel> {
  const logger = options.logger ?? createLogger(config.log)
  const scope = createScope((message) => logger.warn(message), CLOSE_PATIENCE)
  try {
    return await assemble(config, { ...options, logger }, scope)
  } catch (error) {
    await scope.close()
    throw error
  }
}

async function assemble(
  config: ResolvedConfig,
  { logger, exit, evaluate, serving = true, trial = false }: KernelOptions & { logger: ConsolaInstance },
  scope: Scope,
): Promise<Kernel> {
  // Before plugins may add to the environment: so it is where it is compared with.
  const running = snapshotOf(config)
  const keys = createKeys(await loadSecrets({ secret: config.secret, dataDir: config.dataDir, logger }))
  const end = new AbortController()
  scope.defer('signal', () => end.abort())
  const storage = laterStore()
  /** What plugins may want before there is anything to look at. */
  let standing: StandingStreams | undefined
  let review: (() => Promise<void>) | undefined
  let assembled: (live: LiveConfig) => void = () => {}
  const live = new Promise<LiveConfig>((resolve) => (assembled = resolve))
  const userLabel = createUserLabel(config.log, keys)
  const contextOf = (plugin: Plugin): PluginContext => ({
    config,
    keys,
    logger: logger.withTag(plugin.name),
    storage: storage.of(plugin.name),
    signal: end.signal,
    serving,
    exit: exit ?? ((code, reason) => logger.error(`plugin "${plugin.name}" asked to exit with ${code}: ${reason}`)),
    evaluate: async () => (await whenSetUp(live)).evaluate(),
    apply: async (next) => (await whenSetUp(live)).apply(next),
    watch: (path, on) => serving && scope.defer(`watch ${path}`, watchPath(path, on)),
    permissions: (principal) => (slots.access ? slots.access.permissions(principal) : EVERYTHING),
    recheck: () => void standing?.recheck(),
    permissionsChanged() {
      void standing?.recheck()
      void review?.()
    },
    userLabel,
  })

  const { slots, driver: found } = await setUp(await resolvePlugins(config), config, contextOf, scope)
  const driver = trial ? unchanging(found) : found
  checkExposure(config, slots.auth.length > 0)
  // Before anybody may write: what another key ring has sealed stays as it is.
  await proveKeys(createStore(driver, { namespace: 'ring', logger }), keys, logger)
  storage.fill(driver, keys, logger)
  const store = createStore(driver, { keys, namespace: 'core', logger })
  scope.defer('sweep', sweepRegularly([store, storage], logger))
  const hooks = createHookRunner(slots.hooks, logger)

  const listeners = new Set<(status: UpstreamStatus) => void>()
  const groups = createProcessGroups(config.dataDir, logger)
  const upstreams: Upstreams = await createUpstreams({
    limits: config.limits,
    servers: config.servers,
    adapters: slots.transports,
    logger,
    store,
    listener: {
      onlists: (kinds) => gateway.refresh(kinds),
      onevent: (source, event) => gateway.heard(source, event),
      peerOf: (party) => gateway.peerOf(party),
    },
    processGroup: (pid) => groups.record(pid),
    onstatus(status, before) {
      for (const listener of listeners) listener(status)
      if (status.state === before.state) return
      if (status.state === 'up') hooks.run('upstream:up', { name: status.name, tools: status.tools })
      if (status.state === 'down') hooks.run('upstream:down', { name: status.name, reason: status.reason ?? '' })
    },
  })
  // Not sealed: names must stay when a secret leaves the key ring, and there is nothing secret about them.
  const names = await keepNames(createStore(driver, { namespace: 'names', logger }), config.nameLimit, logger)
  scope.defer('names', names.close)
  const gateway = createGateway({
    sources: upstreams,
    names,
    middleware: slots.middleware,
    oncall: createCallLog({ logger, userLabel, authenticated: slots.auth.length > 0 }),
    logger,
    firstListWait: config.limits.firstListWait,
  })
  const liveConfig = createLiveConfig({ running, evaluate, hooks, logger, exchange: upstreams.apply })
  const sessions = createSessions({ keys, store, life: config.limits.sessionLife })
  const authenticator = createAuthenticator(slots.auth, slots.access)
  const streams = (standing = createStandingStreams(authenticator.isCurrent))
  review = createReview(slots.auth, logger)
  scope.defer('standing streams', streams.stop)
  const legacy = legacyDownstream({ gateway, sessions, hooks, standing: streams, logger })
  const oneParty = slots.auth.length > 0 || isLoopback(config.host) || config.allowUnauthenticated === 'local'
  const modern = modernDownstream({ gateway, keys, standing: streams, oneParty, logger })
  scope.defer('upstreams', () => upstreams.close())
  scope.defer('gateway', () => gateway.close())
  scope.defer('sessions', () => legacy.close())
  scope.defer('streams', () => modern.close())
  scope.defer('live configuration', liveConfig.close)
  assembled(liveConfig)

  let isReady = false
  let closing = false
  const ready = upstreams.connected.then(() => void (isReady = true))
  const statuses = () => upstreams.all.map(({ status }) => status)
  const endpoint = createEndpoint({
    authenticate: authenticator.authenticate,
    legacy,
    modern,
    bodyBytes: config.limits.bodyBytes,
    logger,
  })
  const answer = createApp({ config, endpoint, routes: slots.routes, statuses, isReady: () => isReady, logger })

  /** Also ends what reads the configuration anew: servers that an edit starts now would only have to be ended. */
  function beginToClose(): void {
    if (closing) return
    closing = true
    hooks.run('close')
    liveConfig.close()
  }

  return {
    config,
    authenticated: slots.auth.length > 0,
    commands: slots.commands,
    ready,
    get upstreams() {
      return statuses()
    },
    fetch: (request) => (closing ? Promise.resolve(new Response(null, { status: 503 })) : answer(request)),
    start() {
      // Whom the list has lost while nobody was there to see it.
      void review?.()
      upstreams.start()
      void ready.then(() => closing || hooks.run('ready'))
    },
    reload() {
      if (!hooks.has('reload')) return false
      hooks.run('reload')
      return true
    },
    on(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    refuse() {
      beginToClose()
      streams.closeAll()
    },
    close() {
      beginToClose()
      return scope.close()
    },
  }
}
