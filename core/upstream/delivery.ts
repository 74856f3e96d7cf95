import type { ConsolaInstance } from 'consola'
import { isConnectionError, RpcError, type ConnectionError } from '../errors.ts'
import type { Call, Outcome } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { Instance } from './instance.ts'
import { Unavailable, type Slot } from './slot.ts'

export interface DeliveryOptions {
  /** The server's name, for messages. */
  readonly name: string
  readonly logger: ConsolaInstance
  slotFor(call: Call): Slot
  check(slot: Slot, instance: Instance): void
}

/**
 * Carries calls to the instance that serves them. A call that provably never reached the server, because its session
 * had expired, is tried once more on a new one. Throws `RpcError`: the server's own, or what clients may know of a failure.
 */
export function createDelivery(options: DeliveryOptions): (call: Call) => Promise<Outcome> {
  const { name, logger } = options

  async function attempt(call: Call, slot: Slot, instance: Instance): Promise<Outcome> {
    slot.enter(instance)
    try {
      const lowering = call.logLevel === undefined ? undefined : slot.lowerLevel(call.logLevel)
      if (lowering !== undefined) await lowering
      return await instance.face.call(call)
    } catch (error) {
      if (isConnectionError(error)) {
        if (error.lost) slot.lose(instance, error.message)
        else if (error.status === undefined && !call.signal.aborted) options.check(slot, instance)
      }
      throw error
    } finally {
      slot.leave(instance)
    }
  }

  async function acquire(slot: Slot, call: Call, now = false): Promise<Instance> {
    try {
      return await slot.acquire(call.signal, now)
    } catch (error) {
      throw error instanceof Unavailable ? unavailable(name, call) : error
    }
  }

  function report(error: unknown, call: Call): unknown {
    if (!isConnectionError(error)) return error
    const level = call.signal.aborted ? 'debug' : 'warn'
    logger[level](`${call.method} failed: ${error.message}`, { requestId: call.requestId })
    return failed(name, error, call)
  }

  return async (call) => {
    const slot = options.slotFor(call)
    try {
      return await attempt(call, slot, slot.instance ?? (await acquire(slot, call)))
    } catch (error) {
      const unseen = isConnectionError(error) && error.lost && !error.delivered
      if (!unseen || call.signal.aborted) throw report(error, call)
      logger.debug(`${call.method} is tried again: ${error.message}`, { requestId: call.requestId })
    }
    // Whatever the breaker says: the instance that just ended had been open.
    const again = await acquire(slot, call, true)
    return attempt(call, slot, again).catch((error: unknown) => {
      throw report(error, call)
    })
  }
}

/** What a client may know of a failed connection: addresses and a server's last words are for the operator's log. */
function failed(name: string, { delivered, lost, status, brief }: ConnectionError, { requestId }: Call): RpcError {
  const lack = delivered ? (lost ? 'ended during the call' : 'gave no usable answer') : 'could not be reached'
  const what = brief ?? (status === undefined ? lack : `answered with HTTP status ${status}`)
  return new RpcError(ErrorCode.InternalError, `server "${name}" ${what}`, { requestId })
}

/** A server that cannot be called now. */
export function unavailable(name: string, { requestId }: Call): RpcError {
  const message = `server "${name}" is down; the log of the proxy says why`
  return new RpcError(ErrorCode.InternalError, message, { requestId })
}
