import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, fetch } from 'undici'
import { modernInit, openWire, readMessages, type Heard, type Wire } from './wire.ts'

/** One thing that a client does, without waiting for what it did before. */
export interface Step {
  readonly client: number
  readonly tool: 'log' | 'progress' | 'ask' | 'deaf' | 'late' | 'sleep' | 'touch' | 'subscribe'
  readonly kind: 'elicitation' | 'sampling' | 'roots'
  /** How much of it: log lines, steps, or beats of 5 ms. */
  readonly amount: number
  /** After how many ms the call is cancelled, if it is. */
  readonly cancel: number | undefined
  /** Ms before the next step. */
  readonly pause: number
}

/** What became of a step. */
export interface Done {
  readonly step: Step
  /** Of whom: equal owners may hear of each other's calls. */
  readonly owner: string
  /** What is said about it carries this. */
  readonly mark: string
  /** Where it was heard of: on the stream of its own request. */
  readonly on: Heard['on']
  /** `undefined`: there was none. */
  readonly response: any
}

/** A client and all that it has heard. */
export interface Member {
  readonly owner: string
  readonly heard: readonly Heard[]
  /** Resources it has ever subscribed to. */
  readonly uris: ReadonlySet<string>
  do(step: Step, mark: string): Promise<Done>
  /** A session's client; absent: one of 2026-07-28. */
  readonly wire?: Wire
  leave(): Promise<void>
}

const SERVER = 's'
/** How long after the last answer a server may still speak, in ms: `late` does after 30. */
const AFTERWARDS = 80

/** A client with a session. It answers every question with its name; those of calls that it cancels, after that. */
export async function legacyMember(url: string, owner: string, listens: boolean): Promise<Member> {
  const cancelled = new Map<string, Promise<void>>()
  const uris = new Set<string>()
  const wire = await openWire(url, {
    name: owner,
    async answer(question) {
      const mark = markOf(question)
      // A cancellation may overtake its call, and is without effect then: every question needs an answer.
      await cancelled.get(mark)
      return { result: { by: owner, mark } }
    },
  })
  if (listens) await wire.listen()
  return {
    owner,
    wire,
    heard: wire.heard,
    uris,
    async do(step, mark) {
      if (step.tool === 'subscribe') uris.add(uriOf(step))
      const { id, response } = wire.send(...requestOf(step, mark))
      if (step.cancel !== undefined)
        cancelled.set(
          mark,
          sleep(step.cancel).then(() => wire.cancel(id)),
        )
      const settled = await response.catch(() => undefined)
      await cancelled.get(mark)
      return { step, owner, mark, on: id, response: settled }
    },
    async leave() {
      await wire.end()
      await wire.vanish()
    },
  }
}

/** A client of 2026-07-28: all of them are one party, and so one owner. Closing the stream is how it cancels. */
export function modernMember(url: string): Member {
  const owner = 'modern'
  const agent = new Agent()
  const heard: Heard[] = []
  let lastId = 0
  return {
    owner,
    heard,
    uris: new Set(),
    async do(step, mark) {
      const id = ++lastId
      const stop = new AbortController()
      const [method, params] = requestOf(step.tool === 'subscribe' ? { ...step, tool: 'sleep' } : step, mark)
      const timer = step.cancel === undefined ? undefined : setTimeout(() => stop.abort(), step.cancel)
      let response: any
      try {
        const init = modernInit(method, { ...params, _meta: { ...params._meta, ...LOGS } }, id)
        const answer = await fetch(url, { ...init, signal: stop.signal, dispatcher: agent })
        await readMessages(answer, (message) => {
          heard.push({ on: id, message })
          if (message.id === id) response = message
        })
      } catch (error) {
        if (!stop.signal.aborted) throw error
      }
      clearTimeout(timer)
      return { step, owner, mark, on: id, response }
    },
    leave: () => agent.destroy(),
  }
}

/** Does all steps, overlapping as they may; resolves when everything is answered and nothing more is to come. */
export async function act(members: readonly Member[], steps: readonly Step[], run: number): Promise<readonly Done[]> {
  const doing: Promise<Done>[] = []
  for (const [index, step] of steps.entries()) {
    const member = members[step.client % members.length]
    if (member === undefined) continue
    doing.push(member.do(step, `${member.owner} ${run}.${index}`))
    await sleep(step.pause)
  }
  const done = await Promise.all(doing)
  await sleep(AFTERWARDS)
  return done
}

/** The mark of a message: of the call that the server said it about. `''`: it has none. */
export function markOf({ method, params }: any): string {
  switch (method) {
    case 'notifications/message':
      return params.data.mark
    case 'notifications/progress':
    case 'elicitation/create':
      return params.message
    case 'sampling/createMessage':
      return params.messages[0].content.text
    case 'roots/list':
      return params._meta.mark
    default:
      return ''
  }
}

export function tokenOf(mark: string): string {
  return `token of ${mark}`
}

const LOGS = { 'io.modelcontextprotocol/logLevel': 'debug' }

function uriOf({ amount }: Step): string {
  return `state://${'abc'[amount % 3]}`
}

function requestOf(step: Step, mark: string): [method: string, params: Record<string, any>] {
  const { tool, kind, amount } = step
  if (tool === 'subscribe') return ['resources/subscribe', { uri: uriOf(step) }]
  const args = { mark, kind, count: amount, steps: amount, ms: 5 * amount, uri: uriOf(step) }
  return ['tools/call', { name: `${SERVER}_${tool}`, arguments: args, _meta: { progressToken: tokenOf(mark) } }]
}
