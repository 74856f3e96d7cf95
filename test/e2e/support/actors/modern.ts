import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, fetch } from 'undici'
import { jsonOf, modernInit, readMessages } from '../wire.ts'
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

const META = 'io.modelcontextprotocol/'
const LATE = 25

/** A client of 2026-07-28 that sees the wire. `logs`: whether its calls ask for log messages. */
export function modernPlayer(
  url: string,
  { name, user, plan, logs }: { name: string; user: string; plan: Plan; logs: boolean },
): Player {
  const replies = new Replies(name, plan)
  const agent = new Agent({ bodyTimeout: 0, headersTimeout: 0 })
  const said: Said[] = []
  /** Questions whose answer was left out once. */
  const leftOut = new Set<string>()
  let lastId = 0

  /** One request; resolves with its response, `undefined` where the stream ended without one. */
  async function send(nonce: string, params: Record<string, any>, signal?: AbortSignal): Promise<any> {
    const id = ++lastId
    const _meta = {
      [`${META}clientCapabilities`]: CAPABILITIES,
      ...(logs && { [`${META}logLevel`]: 'debug' }),
      // Of this very round: what is said under another round's token is not for this stream.
      progressToken: `${nonce}#${id}`,
    }
    const init = modernInit('tools/call', { ...params, _meta }, id)
    const headers = { ...(init.headers as Record<string, string>), 'x-user': user }
    const answer = await fetch(url, { ...init, headers, dispatcher: agent, ...(signal && { signal }) })
    let response: any
    await readMessages(answer, (message) => {
      said.push({ on: nonce, message: checked(message, `${nonce}#${id}`) })
      if (message.id === id && message.method === undefined) response = message
    })
    return response
  }

  async function answer(nonce: string, requests: Record<string, any>): Promise<object> {
    const responses: Record<string, object> = {}
    let isLate = false
    for (const [key, { method, params }] of Object.entries(requests)) {
      const question = questionOf({ method, params })
      said.push({ on: nonce, message: { method, params, id: key } })
      const style = replies.styleOf(question)
      isLate ||= style === 'late'
      if (style === 'error' && !leftOut.has(question)) leftOut.add(question)
      else responses[key] = replies.result(question, method)
    }
    if (isLate) await sleep(LATE)
    return responses
  }

  async function rounds(params: object, nonce: string, signal: AbortSignal): Promise<any> {
    let response = await send(nonce, params, signal)
    while (response?.result?.resultType === 'input_required') {
      const { inputRequests, requestState } = response.result
      const inputResponses = await answer(nonce, inputRequests ?? {})
      response = await send(nonce, { ...params, inputResponses, requestState }, signal)
    }
    return response
  }

  const player: Player = {
    name,
    party: user,
    era: 'modern',
    isRaw: true,
    listens: false,
    said,
    given: replies.given,
    async play(step: Step, nonce: string): Promise<Done> {
      const stop = new AbortController()
      const timer = step.cancel === undefined ? undefined : setTimeout(() => stop.abort(), step.cancel)
      const limit = setTimeout(() => stop.abort('lost'), PATIENCE)
      let response: any
      let failure: string | undefined
      try {
        response = await rounds(callParams(step, nonce), nonce, stop.signal)
        if (response === undefined) failure = 'the stream ended without a response'
      } catch (error) {
        if (stop.signal.reason === 'lost') failure = `no end within ${PATIENCE} ms`
        else if (!stop.signal.aborted) failure = String(error)
      }
      clearTimeout(timer)
      clearTimeout(limit)
      return { step, nonce, player, response, failure }
    },
    census: async (server) => jsonOf(await send(`${name}:census@${server}`, { name: `${server}_census` })),
    leave: () => agent.destroy(),
  }
  return player
}

/** Progress under the token of another round shows as what it is not allowed to be. */
function checked(message: any, token: string): any {
  const { method, params } = message
  if (method !== 'notifications/progress' || params.progressToken === token) return message
  return { ...message, params: { ...params, message: `token ${params.progressToken}, not ${token}` } }
}
