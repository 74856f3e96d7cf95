import { randomBytes } from 'node:crypto'
import { RpcError } from '../errors.ts'
import type { Ask, Method } from '../gateway/call.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { JsonObject } from '../wire/jsonrpc.ts'

const METHODS: ReadonlySet<string> = new Set<Method>([
  'tools/list',
  'tools/call',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
  'prompts/get',
  'completion/complete',
])

/** Whether a request goes to the gateway. */
export function isMethod(method: string): method is Method {
  return METHODS.has(method)
}

const run = randomBytes(4).toString('hex')
let count = 0

/** An id for the log that errors to clients carry too: unique in this machine's logs, cheap to make. */
export function nextRequestId(): string {
  return `${run}-${(++count).toString(36)}`
}

/** Refuses a server's question: no capability was declared to the server, so it should not have asked. */
export async function refuseAsk(ask: Ask): Promise<JsonObject> {
  throw new RpcError(ErrorCode.MethodNotFound, `${ask.method}: this client cannot be asked`)
}

/** What the endpoint says of itself: the same whatever servers are behind it, so that no client waits for one. */
export const CAPABILITIES: JsonObject = {
  tools: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  prompts: { listChanged: true },
  completions: {},
  logging: {},
}

/** The notification that tells a client of a changed list. */
export function listChanged(kind: 'tools' | 'prompts' | 'resources'): string {
  return `notifications/${kind}/list_changed`
}
