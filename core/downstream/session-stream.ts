import { FastResponse } from 'srvx'
import type { Principal } from '../auth.ts'
import type { Peer } from '../gateway/call.ts'
import type { Gateway, GatewayEvent } from '../gateway/gateway.ts'
import type { StandingStreams } from '../standing-streams.ts'
import { notification, type RpcMessage, type RpcNotification } from '../wire/jsonrpc.ts'
import { askClient } from './asks.ts'
import { STREAM_HEADERS, type Channel } from './channel.ts'
import { isAtLeast } from './levels.ts'
import { listChanged } from './requests.ts'
import { USUAL_LEVEL, type Session } from './session.ts'

export interface SessionStreamOptions {
  readonly gateway: Gateway
  readonly standing: StandingStreams
  readonly session: Session
  readonly principal: Principal
}

/** Opens a session's standing stream: what concerns no call. A second one takes over, since the first is often dead without anyone knowing. */
export function openSessionStream(
  { gateway, standing, session, principal }: SessionStreamOptions,
  open: (onclose: () => void) => Channel,
): Response {
  const before = session.stream
  const channel = open(() => {
    subscription.close()
    forget()
    if (session.stream === stream) delete session.stream
  })
  const subscription = gateway.subscribe(peerOf(session, principal), (event) => {
    const message = noticeOf(event)
    if (concerns(session, message)) channel.send(message)
  })
  const forget = standing.add(principal, () => channel.close())
  const stream = { channel, subscription }
  session.stream = stream
  if (session.uris !== undefined) void subscription.set(session.uris)
  // Last: between the two, servers would be unsubscribed and subscribed again.
  before?.channel.close()
  return new FastResponse(channel.body, { headers: STREAM_HEADERS as [string, string][] })
}

/** The client of a session, outside of any call. */
function peerOf(session: Session, principal: Principal): Peer {
  const send = (message: RpcMessage): boolean => session.stream?.channel.send(message) ?? false
  return {
    principal,
    party: session.party,
    client: { capabilities: session.capabilities, info: session.clientInfo },
    notify: (message) => void (concerns(session, message) && send(message)),
    ask: (ask, signal) => askClient(session, ask, { send, signal }),
  }
}

function noticeOf(event: GatewayEvent): RpcNotification {
  if (event.kind === 'message') return event.message
  if (event.kind === 'resource') return notification('notifications/resources/updated', { uri: event.uri })
  return notification(listChanged(event.kind))
}

/** Progress belongs to calls, and of the log a client gets what it has asked for. */
function concerns(session: Session, message: RpcNotification): boolean {
  if (message.method === 'notifications/progress') return false
  return message.method !== 'notifications/message' || isAtLeast(session.level ?? USUAL_LEVEL, message)
}
