import type { ConsolaInstance } from 'consola'
import type { Principal } from '../auth.ts'
import { reasonOf, RpcError } from '../errors.ts'
import { LOG_LEVELS } from '../gateway/call.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { inTurn } from '../store/turn.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { JsonObject } from '../wire/jsonrpc.ts'
import { readLevel } from './levels.ts'
import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'

/** Resources that one session may be subscribed to. */
const MOST = 1000

/** Answers the requests that change what a session is told; rejects `RpcError`. */
export type Setting = (session: Session, principal: Principal, params: JsonObject) => Promise<JsonObject>

/** What a client sets in its session: log level and subscriptions (2025-11-25 server/utilities/logging, server/resources#subscriptions). */
export function createSettings(options: {
  readonly gateway: Gateway
  readonly sessions: Sessions
  readonly logger: ConsolaInstance
}): ReadonlyMap<string, Setting> {
  const { gateway, sessions, logger } = options

  /** What could not be written is forgotten with the process; the session goes on. */
  async function save(session: Session): Promise<void> {
    try {
      await sessions.save(session)
    } catch (error) {
      logger.warn(`the settings of a session could not be kept: ${reasonOf(error)}`)
    }
  }

  async function setLevel(session: Session, { level }: JsonObject): Promise<void> {
    const known = readLevel(level)
    if (known === undefined) throw invalid(`"level" must be one of ${LOG_LEVELS.join(', ')}`)
    session.level = known
    await save(session)
  }

  async function subscribe(session: Session, principal: Principal, { uri }: JsonObject): Promise<void> {
    if (typeof uri !== 'string') throw invalid('"uri" must be the URI of a resource')
    if (session.uris?.has(uri)) return
    if ((session.uris?.size ?? 0) >= MOST) throw invalid(`a session may be subscribed to ${MOST} resources at most`)
    await gateway.checkResource(principal, uri)
    const before = session.uris ?? new Set()
    const failure = await wish(session, new Set([...before, uri]), uri)
    if (failure !== undefined) {
      await wish(session, before, uri)
      throw failure
    }
    await save(session)
  }

  /** Resolves why a resource cannot be heard of. Without a stream nobody hears of anything: the next one takes up the wish. */
  async function wish(session: Session, uris: ReadonlySet<string>, uri: string): Promise<RpcError | undefined> {
    session.uris = uris
    return (await session.stream?.subscription.set(uris))?.get(uri)
  }

  async function unsubscribe(session: Session, { uri }: JsonObject): Promise<void> {
    if (typeof uri !== 'string') throw invalid('"uri" must be the URI of a resource')
    if (!session.uris?.has(uri)) return
    const left = new Set(session.uris)
    left.delete(uri)
    await wish(session, left, uri)
    await save(session)
  }

  /** One after another: each builds on what the one before has left. */
  const each = (change: (session: Session, principal: Principal, params: JsonObject) => Promise<void>): Setting => {
    return async (session, principal, params) => {
      await inTurn(session, 'settings', () => change(session, principal, params))
      return {}
    }
  }
  return new Map([
    ['logging/setLevel', each((session, _, params) => setLevel(session, params))],
    ['resources/subscribe', each(subscribe)],
    ['resources/unsubscribe', each((session, _, params) => unsubscribe(session, params))],
  ])
}

function invalid(message: string): RpcError {
  return new RpcError(ErrorCode.InvalidParams, message)
}
