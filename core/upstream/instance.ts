import { reasonOf } from '../errors.ts'
import type { Connection, TransportAdapter, TransportContext } from '../transport.ts'
import { startDeadline } from './deadline.ts'
import type { About, UpstreamFace } from './face.ts'
import { legacyFace, type LegacyOptions } from './legacy.ts'

/** One running instance of a server: a connection and the face that speaks over it. */
export interface Instance {
  readonly face: UpstreamFace
  readonly about: About
  /** Resolves once it is gone, with the reason unless it was closed on purpose. */
  readonly closed: Promise<Error | undefined>
  /** Closes it. Idempotent; never rejects. */
  close(): Promise<void>
}

export interface InstanceOptions extends Omit<LegacyOptions, 'connection'> {
  readonly adapter: TransportAdapter
  readonly entry: unknown
  readonly context: Omit<TransportContext, 'signal'>
  /** For connecting and initializing together, in ms. */
  readonly connectTimeout: number
  readonly signal: AbortSignal
}

/** Connects and initializes. On any failure, and after `connectTimeout`, everything it opened is closed again. */
export async function openInstance(options: InstanceOptions): Promise<Instance> {
  const deadline = startDeadline(options.connectTimeout, options.signal)
  const { signal } = deadline
  let connection: Connection | undefined
  const close = async (): Promise<void> => {
    await connection?.close().catch((error) => options.logger.debug(`close failed: ${reasonOf(error)}`))
  }
  try {
    connection = await options.adapter.connect(options.entry, { ...options.context, signal })
    const face = legacyFace({ ...options, connection })
    const about = await face.start(signal)
    const closeFace = () => face.close().catch((error) => options.logger.debug(`close failed: ${reasonOf(error)}`))
    return { face, about, closed: connection.closed, close: closeFace }
  } catch (error) {
    await close()
    if (deadline.passed)
      throw new Error(`no answer within ${options.connectTimeout / 1000} s of connecting`, { cause: error })
    throw error
  } finally {
    deadline.clear()
  }
}
