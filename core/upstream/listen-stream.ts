import { reasonOf } from '../errors.ts'
import type { Exchange } from '../transport.ts'
import {
  isFailure,
  isObject,
  isRequest,
  type JsonObject,
  type RpcId,
  type RpcNotification,
  type RpcResponse,
} from '../wire/jsonrpc.ts'
import { rpcError } from './requests.ts'

/** One open `subscriptions/listen` (2026-07-28 basic/patterns/subscriptions). */
export interface ListenStream {
  readonly id: RpcId
  /** The resources that were asked for. */
  readonly uris: ReadonlySet<string>
  /** Those that the server watches; rejects with why it does not listen. */
  readonly granted: Promise<ReadonlySet<string>>
  /** Resolves with how it ended. Never rejects. */
  readonly over: Promise<Error>
  /** When it was opened, in ms since the epoch. */
  readonly since: number
  /** Ends it. */
  stop(): void
  /** The server has ended it, in so many words. */
  cancelled(): void
}

/** Sends a request of the proxy's own. */
export type OwnRequest = (
  method: string,
  params: JsonObject,
  signal: AbortSignal,
  onmessage: Exchange['onmessage'],
  id: RpcId,
) => Promise<RpcResponse>

export interface ListenStreamOptions {
  readonly id: RpcId
  /** Which lists to hear of: the flags of the request. */
  readonly flags: readonly string[]
  readonly uris: ReadonlySet<string>
  readonly request: OwnRequest
  /** The server has agreed: from now on it says what happens. Runs before anything of that is heard. */
  onacknowledged(stream: ListenStream): void
  onmessage(message: RpcNotification, stream: ListenStream): void
  /** It was ended by `stop`: the server may not know yet. */
  onstop(): void
}

const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'

export function openListenStream(options: ListenStreamOptions): ListenStream {
  const { flags, uris } = options
  const stop = new AbortController()
  let isOver = false
  let settle: { resolve(granted: ReadonlySet<string>): void; reject(error: Error): void }
  const granted = new Promise<ReadonlySet<string>>((resolve, reject) => (settle = { resolve, reject }))
  granted.catch(() => {})
  const notifications = {
    ...Object.fromEntries(flags.map((flag) => [flag, true])),
    ...(uris.size > 0 && { resourceSubscriptions: [...uris] }),
  }

  const onmessage: Exchange['onmessage'] = (message) => {
    if (stop.signal.aborted || isRequest(message)) return
    if (message.method !== ACKNOWLEDGED) return options.onmessage(message, stream)
    options.onacknowledged(stream)
    settle.resolve(grantedIn(message.params))
  }
  const over = options.request('subscriptions/listen', { notifications }, stop.signal, onmessage, options.id).then(
    (response) => (isFailure(response) ? rpcError(response.error) : new Error('the server ended the stream')),
    (error: unknown) => (error instanceof Error ? error : new Error(reasonOf(error))),
  )
  void over.then((reason) => {
    isOver = true
    settle.reject(reason)
  })

  const stream: ListenStream = {
    id: options.id,
    uris,
    granted,
    over,
    since: Date.now(),
    stop() {
      if (isOver || stop.signal.aborted) return
      stop.abort()
      options.onstop()
    },
    cancelled: () => stop.abort(),
  }
  return stream
}

function grantedIn(params: JsonObject | undefined): ReadonlySet<string> {
  const granted = isObject(params?.notifications) ? params.notifications.resourceSubscriptions : undefined
  return new Set(Array.isArray(granted) ? granted.filter((uri) => typeof uri === 'string') : [])
}
