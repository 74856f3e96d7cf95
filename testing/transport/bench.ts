import assert from 'node:assert/strict'
import type { Awaitable, Connection, ConnectionError, RpcResponse, TransportContext } from '../../core/index.ts'
import { isConnectionError } from '../../core/index.ts'
import type { Made } from '../contract.ts'
import { captureLog } from '../log.ts'
import { initialize, recorder, textOf, toolCall } from './exchange.ts'

/** The scripted server, reachable through the transport under test: as its own process, or with `answerScript`. */
export interface MadeTransport extends Made {
  connect(context: TransportContext): Promise<Connection>
}

/** Connections to the scripted server. */
export interface Bench extends Made {
  /** Opens one, up to the point from which everything can be heard on it. */
  connect(overrides?: Partial<TransportContext>): Promise<Connection>
}

export async function openBench(make: () => Awaitable<MadeTransport>): Promise<Bench> {
  const made = await make()
  const connections: Connection[] = []
  return {
    async connect(overrides = {}) {
      const connection = await made.connect(contextOf(overrides))
      connections.push(connection)
      await initialize(connection)
      // What belongs to no request can be heard only once the transport listens for it.
      await connection.request(toolCall('listening'), recorder('').exchange)
      return connection
    },
    async dispose() {
      try {
        await Promise.all(connections.map((connection) => connection.close()))
      } finally {
        await made.dispose?.()
      }
    },
  }
}

/** What the kernel would hand to an adapter. */
function contextOf(overrides: Partial<TransportContext>): TransportContext {
  return {
    name: 'contract',
    logger: captureLog().logger,
    signal: new AbortController().signal,
    maxMessageBytes: 32 * 1024 * 1024,
    processGroup: () => () => undefined,
    ...overrides,
  }
}

/** The text of a tool's answer. */
export async function ask(connection: Connection, name: string, args?: Parameters<typeof toolCall>[1]) {
  return textOf(await connection.request(toolCall(name, args), recorder().exchange))
}

/** What a request was refused with; it has to be refused, and with a `ConnectionError`. */
export async function failureOf(request: Promise<RpcResponse | void>): Promise<ConnectionError> {
  const failure: unknown = await request.then(
    () => assert.fail('should have been rejected'),
    (error: unknown) => error,
  )
  assert.ok(isConnectionError(failure), `not a ConnectionError: ${String(failure)}`)
  return failure
}

/** For what a test awaits later: should it fail before, nobody is left to hear how this ended. */
export function begun<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined)
  return work
}

/** Whether the message may have arrived, and whether the connection is gone. */
export function fateOf({ delivered, lost }: ConnectionError) {
  return { delivered, lost }
}
