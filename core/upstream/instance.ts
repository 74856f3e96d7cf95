import { reasonOf } from '../errors.ts'
import { startDeadline } from './deadline.ts'
import type { About, UpstreamFace } from './face.ts'
import { introduce, type IntroductionOptions } from './introduction.ts'

/** One running instance of a server: a connection and the face that speaks over it. */
export interface Instance {
  readonly face: UpstreamFace
  readonly about: About
  /** Resolves once it is gone, with the reason unless it was closed on purpose. */
  readonly closed: Promise<Error | undefined>
  /** Closes it. Idempotent; never rejects. */
  close(): Promise<void>
}

export interface InstanceOptions extends IntroductionOptions {
  /** For connecting, finding out the era, and starting together, in ms. */
  readonly connectTimeout: number
  readonly signal: AbortSignal
}

/** Connects and starts. On any failure, and after `connectTimeout`, everything it opened is closed again. */
export async function openInstance(options: InstanceOptions): Promise<Instance> {
  const deadline = startDeadline(options.connectTimeout, options.signal)
  try {
    const { connection, face, about } = await introduce(options, deadline.signal)
    const close = () => face.close().catch((error) => options.logger.debug(`close failed: ${reasonOf(error)}`))
    return { face, about, closed: connection.closed, close }
  } catch (error) {
    if (deadline.passed)
      throw new Error(`no answer within ${options.connectTimeout / 1000} s of connecting`, { cause: error })
    throw error
  } finally {
    deadline.clear()
  }
}
