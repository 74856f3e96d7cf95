import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client'
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResultSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, fetch as undiciFetch } from 'undici'
import { jsonOf } from '../wire.ts'
import {
  callParams,
  CAPABILITIES,
  PATIENCE,
  questionOf,
  Replies,
  type Done,
  type Plan,
  type Player,
  type Said,
  type Step,
} from './player.ts'

interface Who {
  readonly name: string
  readonly user: string
  readonly plan: Plan
}

interface Options {
  readonly signal?: AbortSignal
  readonly onprogress?: (progress: any) => void
  readonly timeout?: number
}

const LATE = 25

/** What both SDKs' clients share. */
class SdkPlayer {
  readonly said: Said[] = []
  readonly replies: Replies
  readonly agent = new Agent({ bodyTimeout: 0, headersTimeout: 0 })
  readonly who: Who

  constructor(who: Who) {
    this.who = who
    this.replies = new Replies(who.name, who.plan)
  }

  /** `fetch` with sockets of its own. */
  readonly fetch = ((url: any, init: any) => {
    const headers = new Headers(init?.headers)
    headers.set('x-user', this.who.user)
    return undiciFetch(url, { ...init, headers: Object.fromEntries(headers), dispatcher: this.agent })
  }) as unknown as typeof fetch

  readonly hearLog = (message: any): void => void this.said.push({ on: 'sdk', message })

  /** Answers a question; throws where the answer is an error. */
  readonly answer = async (message: any): Promise<any> => {
    this.said.push({ on: 'sdk', message: { ...message, id: 'sdk' } })
    const question = questionOf(message)
    const style = this.replies.styleOf(question)
    if (style === 'late') await sleep(LATE)
    if (style === 'error' && this.canRefuse) throw new Error(this.replies.error(question))
    return this.replies.result(question, message.method)
  }

  /** A client of 2026-07-28 that cannot answer fails its call by itself. */
  canRefuse = true

  async play(
    player: Player,
    step: Step,
    nonce: string,
    request: (params: object, options: Options) => Promise<any>,
  ): Promise<Done> {
    const stop = new AbortController()
    const timer = step.cancel === undefined ? undefined : setTimeout(() => stop.abort(), step.cancel)
    const onprogress = (params: any): void => {
      // The client of 2026-07-28 reports its own rounds in between.
      if (String(params.message).startsWith('Fulfilling input required')) return
      this.said.push({ on: nonce, message: { method: 'notifications/progress', params } })
    }
    let response: any
    let failure: string | undefined
    try {
      const options = { signal: stop.signal, onprogress, timeout: PATIENCE, maxTotalTimeout: PATIENCE }
      response = { result: await request(callParams(step, nonce), options) }
    } catch (error) {
      const { code, message } = error as { code?: number; message: string }
      if (typeof code === 'number' && code !== -32001) response = { error: { code, message } }
      else if (!stop.signal.aborted) failure = message
    }
    clearTimeout(timer)
    this.said.push({ on: nonce, message: { id: 'sdk', ...response } })
    return { step, nonce, player, response, failure }
  }
}

/** A client of the SDK's v1 line, with a session. */
export async function sdkLegacyPlayer(url: string, who: Who): Promise<Player> {
  const sdk = new SdkPlayer(who)
  const client = new LegacyClient({ name: who.name, version: '1' }, { capabilities: CAPABILITIES })
  client.setRequestHandler(ElicitRequestSchema, sdk.answer)
  client.setRequestHandler(CreateMessageRequestSchema, sdk.answer)
  client.setRequestHandler(ListRootsRequestSchema, sdk.answer)
  client.setNotificationHandler(LoggingMessageNotificationSchema, sdk.hearLog)
  const transport = new LegacyTransport(new URL(url), { fetch: sdk.fetch })
  await client.connect(transport)
  const call = (params: object, options: Options = {}) =>
    client.request({ method: 'tools/call', params } as never, ResultSchema, options)
  const player: Player = {
    name: who.name,
    party: who.name,
    era: 'legacy',
    isRaw: false,
    listens: true,
    said: sdk.said,
    given: sdk.replies.given,
    play(step, nonce) {
      return sdk.play(player, step, nonce, call)
    },
    census: async (server) => jsonOf({ result: await call({ name: `${server}_census`, arguments: {} }) }),
    async leave() {
      await transport.terminateSession()
      await client.close()
      await sdk.agent.destroy()
    },
  }
  return player
}

/** A client of the SDK's 2.x line, pinned to 2026-07-28. */
export async function sdkModernPlayer(url: string, who: Who): Promise<Player> {
  const sdk = new SdkPlayer(who)
  sdk.canRefuse = false
  const client = new ModernClient(
    { name: who.name, version: '2' },
    {
      capabilities: CAPABILITIES,
      versionNegotiation: { mode: { pin: '2026-07-28' } },
      inputRequired: { maxRounds: 100 },
    },
  )
  client.setRequestHandler('elicitation/create', sdk.answer)
  client.setRequestHandler('sampling/createMessage', sdk.answer)
  client.setRequestHandler('roots/list', sdk.answer)
  client.setNotificationHandler('notifications/message', sdk.hearLog)
  await client.connect(new ModernTransport(new URL(url), { fetch: sdk.fetch }))
  const call = (params: object, options: Options = {}) => client.callTool(params as never, options)
  const player: Player = {
    name: who.name,
    party: who.user,
    era: 'modern',
    isRaw: false,
    listens: false,
    said: sdk.said,
    given: sdk.replies.given,
    play(step, nonce) {
      return sdk.play(player, step, nonce, call)
    },
    census: async (server) => jsonOf({ result: await call({ name: `${server}_census`, arguments: {} }) }),
    async leave() {
      await client.close()
      await sdk.agent.destroy()
    },
  }
  return player
}
