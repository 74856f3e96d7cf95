import { FastResponse } from 'srvx'
import { ErrorCode } from '../wire/codes.ts'
import { failure, type RpcId } from '../wire/jsonrpc.ts'
import { eventOf, openChannel, openStandingChannel, primingEvent, STREAM_HEADERS, type Channel } from './channel.ts'
import type { EventLog } from './event-log.ts'
import { EventStore, type Place } from './event-store.ts'
import { openSessionStream, type SessionStreamOptions } from './session-stream.ts'
import type { Session } from './session.ts'
import type { Shelf } from './shelf.ts'

/** Since this revision clients take an event without data (SEP-1699); those of earlier ones try to parse it. */
const PRIMED_SINCE = '2025-11-25'

/** Opens the answer to a POST of a session, with one `request` or several: it goes on, and is kept, while the client is not there. */
export function openCallStream(session: Session, shelf: Shelf, request?: RpcId): Channel {
  session.events ??= new EventStore(shelf, session.party)
  const log = session.events.open(request)
  if (log === undefined) return openChannel(goOn)
  const channel: Channel = openChannel(() => void log.detach(channel), isPrimed(session) ? log.priming() : undefined)
  log.attach(channel)
  return { ...channel, send: (message) => log.send(message), close: () => log.finish() }
}

/** A GET of a session. */
export interface Get extends SessionStreamOptions {
  readonly shelf: Shelf
  readonly lastEventId: string | undefined
}

/**
 * Answers a GET with the stream that the last event id is of, from there on; without one, and with one that leads
 * nowhere, with the standing stream (2025-11-25 basic/transports#Resumability and Redelivery).
 */
export function openGetStream(get: Get): Response {
  const { shelf, session, lastEventId } = get
  const events = (session.events ??= new EventStore(shelf, session.party))
  const place = lastEventId === undefined ? undefined : events.find(lastEventId)
  if (place === undefined || place.isStanding) {
    return openSessionStream(get, (onclose) => openStanding(session, events, place, onclose))
  }
  if (place.log !== undefined) return resume(session, place.log, place.after)
  if (place.request !== undefined) return lost(place.request, events.strayId())
  // A client that has its standing stream, or one that has just got this one in its place, wants nothing else. If the
  // two took over from each other, either would come back for ever.
  if (session.stream !== undefined) return nothingMore()
  return openSessionStream(get, (onclose) => {
    return openStandingChannel(onclose, isPrimed(session) ? primingEvent(events.strayId()) : undefined)
  })
}

function openStanding(session: Session, events: EventStore, place: Place | undefined, onclose: () => void): Channel {
  const log = events.standing()
  const after = place?.log === log ? Math.min(place.after, log.last) : log.last
  const channel: Channel = openStandingChannel(
    () => {
      if (log.detach(channel)) log.finish()
      onclose()
    },
    isPrimed(session) ? log.priming(after) : undefined,
  )
  log.attach(channel, after)
  return { ...channel, send: (message) => log.send(message) }
}

/** Goes on with the answer to a POST until its responses have come. */
function resume(session: Session, log: EventLog, eventNumber: number): Response {
  const after = Math.min(eventNumber, log.last)
  if (log.isFinished && after === log.last) return nothingMore()
  const channel: Channel = openStandingChannel(
    () => void log.detach(channel),
    isPrimed(session) ? log.priming(after) : undefined,
  )
  log.attach(channel, after)?.close()
  return new FastResponse(channel.body, { headers: STREAM_HEADERS as [string, string][] })
}

/**
 * Ends a request of whose answer nothing is left: this process was started after the one that had it, or it is long over. Whoever waits for
 * a response must not wait for ever; who has got one ignores a second.
 */
function lost(request: RpcId, eventId: string): Response {
  const message = 'The connection was lost, and with it the answer: the request may have been carried out or not'
  const event = eventOf(failure(request, { code: ErrorCode.InternalError, message }), eventId)
  return event === undefined
    ? nothingMore()
    : new FastResponse(event, { headers: STREAM_HEADERS as [string, string][] })
}

/** How an event stream says that coming back is of no use (HTML standard, server-sent events): an empty stream would be resumed for ever. */
function nothingMore(): Response {
  return new FastResponse(null, { status: 204 })
}

function isPrimed({ protocolVersion }: Session): boolean {
  return protocolVersion >= PRIMED_SINCE
}

const goOn = (): void => {}
