import type { RpcNotification } from '../wire/jsonrpc.ts'
import type { UpstreamEvent } from './face.ts'

/** A Map, since the names come from the server: an object would also know `constructor`. */
const CHANGES: ReadonlyMap<string, 'tools' | 'prompts' | 'resources'> = new Map([
  ['notifications/tools/list_changed', 'tools'],
  ['notifications/prompts/list_changed', 'prompts'],
  ['notifications/resources/list_changed', 'resources'],
])
const UPDATED = 'notifications/resources/updated'

/** Whether a notification concerns every client, whichever call it came with. */
export function concernsAll(method: string): boolean {
  return CHANGES.has(method) || method === UPDATED
}

/** What a notification outside of any call says; `party`: the only one that the connection has served, if there is one. */
export function eventOf(message: RpcNotification, party: string | undefined): UpstreamEvent | undefined {
  const { method, params } = message
  const kind = CHANGES.get(method)
  if (kind !== undefined) return { kind }
  if (method === UPDATED) return typeof params?.uri === 'string' ? { kind: 'resource', uri: params.uri } : undefined
  if (method !== 'notifications/message') return undefined
  return party === undefined ? { kind: 'message', message } : { kind: 'message', message, party }
}
