import { ConnectionError, isConnectionError, isRpcError, reasonOf } from '../errors.ts'
import type { Connection, TransportAdapter, TransportContext } from '../transport.ts'
import { isRefusal, probe, type Finding } from './era.ts'
import type { About, UpstreamFace } from './face.ts'
import { legacyFace, type LegacyOptions } from './legacy.ts'
import { modernFace, type ModernOptions } from './modern.ts'
import type { Era, Eras } from './verdict.ts'

export interface IntroductionOptions
  extends Omit<LegacyOptions, 'connection'>, Omit<ModernOptions, 'connection' | 'discovered' | 'onera'> {
  readonly adapter: TransportAdapter
  readonly entry: unknown
  readonly context: Omit<TransportContext, 'signal'>
  readonly eras: Eras
}

/** A connection, the face that speaks over it, and what the server said of itself. */
export interface Introduction {
  readonly connection: Connection
  readonly face: UpstreamFace
  readonly about: About
}

/** A face that has been started. */
type Started = Omit<Introduction, 'connection'>

/**
 * Connects, finds out which era the server speaks where that is not known, and starts the face of it. On any failure
 * everything it opened is closed again.
 */
export async function introduce(options: IntroductionOptions, signal: AbortSignal): Promise<Introduction> {
  const { eras, logger } = options
  const { known } = eras
  if (known === undefined) return findOut(options, signal)
  const connection = await connect(options, signal)
  try {
    return { connection, ...(await start(options, connection, known, signal)) }
  } catch (error) {
    await close(options, connection)
    if (eras.isFixed) throw known === 'modern' && isRpcError(error) ? notModern(error) : error
    const isOdd = isRpcError(error) || isRefusal(error)
    // A program that ends, or says nothing, may be another than it was; a server elsewhere is merely not there.
    if (isOdd || !connection.perRequestStream) eras.doubt()
    if (!isOdd) throw error
    logger.debug(`no longer speaks the ${known} era: ${reasonOf(error)}`)
  }
  return findOut(options, signal)
}

function notModern(error: Error): Error {
  return new Error(`it does not speak 2026-07-28 (${error.message}); check "protocol"`, { cause: error })
}

async function findOut(options: IntroductionOptions, signal: AbortSignal): Promise<Introduction> {
  const connection = await connect(options, signal)
  let found: Finding<Started> | undefined
  try {
    const begin = (until: AbortSignal) => start(options, connection, 'legacy', until)
    found = await probe({ connection, name: options.name, signal, begin })
    if (found.isSpoilt !== true) return await finish(options, connection, found, signal)
  } catch (error) {
    await close(options, connection)
    const hasEnded = found?.era !== 'modern' && !connection.perRequestStream && isLost(error)
    if (!hasEnded || signal.aborted) throw found === undefined ? probeFailed(error) : error
    options.logger.debug(`is started again, for the legacy era: ${reasonOf(error)}`)
    // There are programs that end on any request but `initialize`, some with an answer: they are not asked again.
    return startOver(options, { era: 'legacy', why: 'it ends when it is asked', lasts: true }, signal)
  }
  options.logger.debug(`is connected anew for the modern era: ${found.why}, but was asked for a session too`)
  await close(options, connection)
  return startOver(options, found, signal)
}

async function finish(
  options: IntroductionOptions,
  connection: Connection,
  { era, why, lasts, begun, discovered }: Finding<Started>,
  signal: AbortSignal,
): Promise<Introduction> {
  const started = begun ?? (await start(options, connection, era, signal, discovered))
  options.eras.found(era, why, lasts)
  return { connection, ...started }
}

/** On a new connection, whose time may be up before it stands: what was found out is remembered first. */
async function startOver(
  options: IntroductionOptions,
  { era, why, lasts }: Finding<Started>,
  signal: AbortSignal,
): Promise<Introduction> {
  options.eras.found(era, why, lasts)
  const connection = await connect(options, signal)
  try {
    return { connection, ...(await start(options, connection, era, signal)) }
  } catch (error) {
    await close(options, connection)
    // It ends whatever it is told, which says nothing about its era.
    if (isLost(error) && !signal.aborted) options.eras.doubt()
    throw error
  }
}

function isLost(error: unknown): boolean {
  return isConnectionError(error) && error.lost
}

/** Of an answer that says nothing about the era: the question may be what it does not like. */
function probeFailed(error: unknown): unknown {
  if (!isConnectionError(error) || error.status === undefined) return error
  const hint = 'if that is its answer to server/discover alone, set "protocol"'
  return new ConnectionError(`${error.message}; ${hint}`, error, { cause: error })
}

async function start(
  options: IntroductionOptions,
  connection: Connection,
  era: Era,
  signal: AbortSignal,
  discovered?: ModernOptions['discovered'],
): Promise<Started> {
  const { eras } = options
  const face =
    era === 'legacy'
      ? legacyFace({ ...options, connection })
      : modernFace({ ...options, connection, discovered, onera: () => eras.doubt() })
  return { face, about: await face.start(signal) }
}

async function connect({ adapter, entry, context }: IntroductionOptions, signal: AbortSignal): Promise<Connection> {
  return adapter.connect(entry, { ...context, signal })
}

/** Closes a connection; a failure is logged, not thrown. */
async function close({ logger }: IntroductionOptions, connection: Connection): Promise<void> {
  await connection.close().catch((error) => logger.debug(`close failed: ${reasonOf(error)}`))
}
