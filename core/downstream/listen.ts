import { FastResponse } from 'srvx'
import type { Gateway } from '../gateway/gateway.ts'
import { Meta, withMeta } from '../wire/envelope.ts'
import { isObject, notification, success, type JsonObject, type RpcRequest } from '../wire/jsonrpc.ts'
import { openChannel, STREAM_HEADERS, type Channel } from './channel.ts'
import { listChanged } from './requests.ts'

const FLAGS = {
  toolsListChanged: 'tools',
  promptsListChanged: 'prompts',
  resourcesListChanged: 'resources',
} as const

/** Open `subscriptions/listen` streams (2026-07-28 basic/patterns/subscriptions). */
export interface Listeners {
  listen(request: Request, message: RpcRequest): Response
  /** Ends every stream with its empty result. */
  close(): void
}

export function createListeners(gateway: Gateway): Listeners {
  const open = new Set<() => void>()

  return {
    listen(request, message) {
      const honoured = honour(message.params?.notifications)
      const kinds = new Set(Object.keys(honoured).map((flag) => FLAGS[flag as keyof typeof FLAGS]))
      const tag = (params: JsonObject) => withMeta(params, Meta.subscriptionId, message.id)
      const unsubscribe = gateway.subscribe(({ kind }) => {
        if (kinds.has(kind)) channel.send(notification(listChanged(kind), tag({})))
      })
      const end = () => {
        channel.send(success(message.id, { resultType: 'complete', ...tag({}) }))
        channel.close()
      }
      const channel: Channel = openChannel(() => {
        unsubscribe()
        open.delete(end)
        request.signal.removeEventListener('abort', leave)
      })
      const leave = () => channel.close()
      request.signal.addEventListener('abort', leave, { once: true })
      open.add(end)
      channel.send(notification('notifications/subscriptions/acknowledged', tag({ notifications: honoured })))
      return new FastResponse(channel.body, { headers: STREAM_HEADERS as [string, string][] })
    },
    close() {
      for (const end of open) end()
    },
  }
}

/** The part of a wish that is granted; resource subscriptions are not served. */
function honour(wish: unknown): JsonObject {
  if (!isObject(wish)) return {}
  return Object.fromEntries(Object.keys(FLAGS).flatMap((flag) => (wish[flag] === true ? [[flag, true]] : [])))
}
