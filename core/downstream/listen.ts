import { FastResponse } from 'srvx'
import type { Peer } from '../gateway/call.ts'
import type { Gateway, GatewayEvent, Subscription } from '../gateway/gateway.ts'
import type { StandingStreams } from '../standing-streams.ts'
import { Meta, withMeta } from '../wire/envelope.ts'
import {
  isObject,
  notification,
  success,
  type JsonObject,
  type RpcNotification,
  type RpcRequest,
} from '../wire/jsonrpc.ts'
import { openChannel, STREAM_HEADERS, type Channel } from './channel.ts'
import { listChanged } from './requests.ts'

const FLAGS = {
  toolsListChanged: 'tools',
  promptsListChanged: 'prompts',
  resourcesListChanged: 'resources',
} as const

/** Resources that one stream may be about; of a longer wish the first ones are granted. */
const MOST = 1000

/** Open `subscriptions/listen` streams (2026-07-28 basic/patterns/subscriptions). */
export interface Listeners {
  /** Resolves with the stream once the servers know what to watch for it. `onend` runs once, whoever ended it. */
  listen(request: Request, message: RpcRequest, peer: Peer, onend: () => void): Promise<Response>
  /** Ends every stream with its empty result. */
  close(): void
}

export function createListeners(
  gateway: Pick<Gateway, 'subscribe'>,
  standing: Pick<StandingStreams, 'add'>,
): Listeners {
  const open = new Set<() => void>()

  return {
    async listen(request, message, peer, onend) {
      const wish = readWish(message.params?.notifications)
      const tag = (params: JsonObject) => withMeta(params, Meta.subscriptionId, message.id)
      /** What happens before the acknowledgement, which comes first. */
      let early: Map<string, RpcNotification> | undefined = new Map()
      const subscription = gateway.subscribe(peer, (event) => {
        const notice = noticeOf(event, wish.lists, tag)
        if (notice === undefined) return
        if (early === undefined) channel.send(notice)
        else early.set(event.kind === 'resource' ? `resource ${event.uri}` : event.kind, notice)
      })
      const acknowledge = (granted: JsonObject): void => {
        if (early === undefined) return
        channel.send(notification('notifications/subscriptions/acknowledged', tag({ notifications: granted })))
        for (const notice of early.values()) channel.send(notice)
        early = undefined
      }
      const end = (): void => {
        acknowledge({})
        channel.send(success(message.id, { resultType: 'complete', ...tag({}) }))
        channel.close()
      }
      const leave = (): void => channel.close()
      const channel: Channel = openChannel(() => {
        subscription.close()
        open.delete(end)
        forget()
        request.signal.removeEventListener('abort', leave)
        onend()
      })
      const forget = standing.add(peer.principal, end)
      request.signal.addEventListener('abort', leave, { once: true })
      if (request.signal.aborted) leave()
      else open.add(end)
      const uris = wish.uris.size > 0 ? await watch(subscription, wish.uris) : []
      acknowledge({ ...wish.flags, ...(uris.length > 0 && { resourceSubscriptions: uris }) })
      return new FastResponse(channel.body, { headers: STREAM_HEADERS as [string, string][] })
    },
    close() {
      for (const end of open) end()
    },
  }
}

interface ListenWish {
  /** The flags that are granted. */
  readonly flags: JsonObject
  readonly lists: ReadonlySet<string>
  readonly uris: ReadonlySet<string>
}

function readWish(wish: unknown): ListenWish {
  if (!isObject(wish)) return { flags: {}, lists: new Set(), uris: new Set() }
  const flags = Object.keys(FLAGS).filter((flag) => wish[flag] === true)
  const uris = Array.isArray(wish.resourceSubscriptions) ? wish.resourceSubscriptions : []
  return {
    flags: Object.fromEntries(flags.map((flag) => [flag, true])),
    lists: new Set(flags.map((flag) => FLAGS[flag as keyof typeof FLAGS])),
    uris: new Set(uris.filter((uri) => typeof uri === 'string').slice(0, MOST)),
  }
}

/** Has resources watched; resolves those that are. The others are let go: nothing may come that was not granted. */
async function watch(subscription: Subscription, uris: ReadonlySet<string>): Promise<readonly string[]> {
  const refused = await subscription.set(uris)
  const granted = [...uris].filter((uri) => !refused.has(uri))
  if (refused.size > 0) void subscription.set(new Set(granted))
  return granted
}

/** Logs never come on these streams. */
function noticeOf(
  event: GatewayEvent,
  lists: ReadonlySet<string>,
  tag: (params: JsonObject) => JsonObject,
): RpcNotification | undefined {
  if (event.kind === 'message') return undefined
  if (event.kind === 'resource') return notification('notifications/resources/updated', tag({ uri: event.uri }))
  return lists.has(event.kind) ? notification(listChanged(event.kind), tag({})) : undefined
}
