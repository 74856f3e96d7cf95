import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { connectV1 } from '../../e2e/support/v1.ts'
import { connectV2 } from '../../e2e/support/v2.ts'
import { openWire } from '../../e2e/support/wire.ts'
import { messagesOf, openLegacy, postModern } from '../../harness.ts'

/** A client that calls tools. */
export interface Caller {
  readonly name: string
  /** Absent: it is of 2026-07-28, where there are none. */
  readonly sessionId?: string
  /** Whether it has a GET stream. */
  readonly listens: boolean
  /** Resolves with the text of the result; rejects with what went wrong, `isError` included. */
  call(tool: string, args: Record<string, unknown>): Promise<string>
  readonly tally: Tally
  close(): Promise<unknown>
}

/** Opens a caller under a name. */
export type Kind = (url: string, name: string) => Promise<Caller>

/** What a caller counts. */
interface Tally {
  /** How often its session was said to be unknown. */
  losses: number
  /** How often it was told that the tools have changed. */
  changes: number
}

/** A bare client with sockets of its own and a GET stream. */
export const listeningWire: Kind = async (url, name) => {
  const wire = await openWire(url, { name })
  await wire.listen()
  const tally: Tally = {
    losses: 0,
    get changes() {
      return wire.heard.filter(({ on, message }) => on === 'get' && message.method === LIST_CHANGED).length
    },
  }
  return {
    name,
    sessionId: wire.sessionId,
    listens: true,
    tally,
    async call(tool, args) {
      try {
        return textOf(await wire.send('tools/call', { name: tool, arguments: args }).response)
      } catch (error) {
        // The wire tells of a status in words only.
        if (/session not found|HTTP status 404/i.test(String(error))) tally.losses++
        throw error
      }
    },
    close: wire.vanish,
  }
}

/** A bare client without a stream. */
export const bareWire: Kind = async (url, name) => {
  const tally: Tally = { losses: 0, changes: 0 }
  const wire = await openLegacy(url, '2025-06-18', counting(tally))
  return {
    name,
    tally,
    sessionId: wire.sessionId,
    listens: false,
    call: async (tool, args) => textOf(await wire.request('tools/call', { name: tool, arguments: args })),
    close: async () => {},
  }
}

/** The SDK's v1 line, which opens a GET stream by itself. */
export const sdkV1: Kind = async (url, name) => {
  const tally: Tally = { losses: 0, changes: 0 }
  const { client, close } = await connectV1(url, counting(tally))
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void tally.changes++)
  const { sessionId } = client.transport as { readonly sessionId?: string }
  return {
    name,
    tally,
    ...(sessionId !== undefined && { sessionId }),
    listens: true,
    call: async (tool, args) => textOf({ result: await client.callTool({ name: tool, arguments: args }) }),
    close,
  }
}

/** The SDK's 2.x line with a session. */
export const sdkV2Legacy: Kind = (url, name) => sdkV2(url, name, 'legacy')

/** The SDK's 2.x line, which finds out that it needs none. */
export const sdkV2Auto: Kind = (url, name) => sdkV2(url, name, 'auto')

/** A bare client of 2026-07-28. */
export const modernWire: Kind = async (url, name) => {
  let lastId = 0
  return {
    name,
    listens: false,
    tally: { losses: 0, changes: 0 },
    async call(tool, args) {
      const id = ++lastId
      const messages = await messagesOf(await postModern(url, 'tools/call', { name: tool, arguments: args }, {}, id))
      return textOf(messages.find((message) => message.id === id))
    },
    close: async () => {},
  }
}

async function sdkV2(url: string, name: string, mode: 'legacy' | 'auto'): Promise<Caller> {
  const tally: Tally = { losses: 0, changes: 0 }
  const client = await connectV2(url, mode, { fetch: counting(tally) })
  client.setNotificationHandler(LIST_CHANGED, () => void tally.changes++)
  const { sessionId } = client.transport as { readonly sessionId?: string }
  if ((client.getProtocolEra() ?? 'legacy') !== (mode === 'legacy' ? 'legacy' : 'modern')) {
    throw new Error(`${name} speaks another era than it should`)
  }
  return {
    name,
    tally,
    ...(mode === 'legacy' && sessionId !== undefined && { sessionId }),
    listens: mode === 'legacy',
    call: async (tool, args) => textOf({ result: await client.callTool({ name: tool, arguments: args }) }),
    close: () => client.close(),
  }
}

const LIST_CHANGED = 'notifications/tools/list_changed'

/** `fetch` that counts answers which say that the session is unknown. */
function counting(tally: Tally): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init)
    const isOfSession = new Headers(init?.headers).has('mcp-session-id')
    if (response.status === 404 && isOfSession) tally.losses++
    return response
  }
}

function textOf(answer: any): string {
  if (answer === undefined) throw new Error('no answer')
  const { result, error } = answer
  if (error !== undefined) throw new Error(String(error.message))
  const text = String(result?.content?.[0]?.text)
  if (result?.isError === true) throw new Error(text)
  return text
}
