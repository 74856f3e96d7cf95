import { isLoopback } from '../config/exposure.ts'
import { serveHttp } from '../http/server.ts'
import type { HttpServer } from '../http/server.ts'
import { waitForPort } from '../http/port.ts'
import { reasonOf } from '../errors.ts'
import { createKernel } from '../kernel.ts'
import type { Kernel } from '../kernel.ts'
import type { Evaluate } from '../live-config.ts'
import { killOwnGroups } from '../process-groups.ts'
import { showBanner } from './banner.ts'
import { createEnd } from './end.ts'
import type { End } from './end.ts'
import { EXIT } from './exit.ts'
import type { Settings } from './settings.ts'
import { urlsOf } from './urls.ts'

/** How long (ms) what is under way may go on once nothing new is taken; half of it where others wait for the next worker. */
const FINISH = 2000
/** How long (ms) clients may take to read their answers once everything else is closed. */
const GRACE = 500

export interface ServeOptions {
  /** Whether a supervisor is there to start another worker. */
  readonly supervised: boolean
  /** How the configuration is read anew. */
  readonly evaluate: Evaluate
}

/**
 * Serves until told to end, then closes in order; resolves the exit code. Times: what is under way has 2 s, servers have
 * 4 s (`transport-stdio`), clients half a second; after 7 s the process ends regardless. Throws what `createKernel` throws.
 */
export async function serve(settings: Settings, { supervised, evaluate }: ServeOptions): Promise<number> {
  const { config, logger } = settings
  crashOnce(settings)
  // Whoever ends what a killed worker leaves behind looks there.
  process.send?.({ dataDir: config.dataDir })
  for (const warning of config.warnings) logger.warn(warning)
  const end = createEnd({ logger, supervised })
  const kernel = await createKernel(config, { logger, exit: end.ask, evaluate })
  end.onreload = kernel.reload
  try {
    const server = await listen(settings, kernel, end)
    if (server === undefined) return end.signal.aborted ? await end.asked : EXIT.port
    return await run(settings, kernel, server, end)
  } finally {
    await kernel.close()
  }
}

/** Undefined: the port stayed taken, or the end was asked for while waiting for it. */
async function listen({ config, logger }: Settings, kernel: Kernel, end: End): Promise<HttpServer | undefined> {
  const { host, port } = config
  const onBusy = (): void => logger.warn(`port ${port} on ${host} is taken; trying for 10 s`)
  const free = await waitForPort({ host, port, signal: end.signal, onBusy })
  if (end.signal.aborted) return undefined
  if (!free) return giveUp()
  try {
    return await serveHttp({
      host,
      port,
      fetch: (request) => kernel.fetch(request),
      onerror: (what, error) => logger.error(`${what}: ${reasonOf(error)}`),
    })
  } catch (error) {
    // Taken by another one in the moment between looking and binding.
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return giveUp()
    throw error
  }

  function giveUp(): undefined {
    logger.error(`port ${port} on ${host} is taken; end what uses it, or choose another port with MCP_PORT or --port`)
  }
}

async function run({ config, logger }: Settings, kernel: Kernel, server: HttpServer, end: End): Promise<number> {
  kernel.start()
  const urls = urlsOf(config, server.address, kernel.authenticated)
  logger.info(`listening on ${urls.local}`)
  if (!kernel.authenticated && !isLoopback(config.host)) {
    logger.warn(`nothing authenticates callers: everybody who reaches port ${server.address.port} can use every tool`)
  }
  const banner = showBanner({ kernel, urls, host: config.host, signal: end.signal }).catch((error: unknown) => {
    logger.warn(`the banner: ${reasonOf(error)}`)
  })
  const code = await end.asked
  await banner
  server.refuse()
  kernel.refuse()
  await server.answered(code === EXIT.reload ? FINISH / 2 : FINISH)
  await kernel.close()
  await server.close(GRACE)
  return code
}

/** An error nobody caught leaves the process in a state nobody knows: log it, end, let the supervisor start another. */
function crashOnce({ config, logger }: Settings): void {
  process.once('uncaughtException', (error, origin) => {
    logger.fatal(`${origin}: ${reasonOf(error)}`, { stack: error instanceof Error ? error.stack : undefined })
    process.exit(EXIT.failed)
  })
  // However this process ends short of SIGKILL, nothing it started stays behind.
  process.on('exit', () => killOwnGroups(config.dataDir))
}
