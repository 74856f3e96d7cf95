import type { Kind, Script } from '../../../fixtures/actor/script.ts'

/** How a client answers a question. A client of 2026-07-28 has no errors: it leaves the answer out the first time. */
export type Reply = 'accept' | 'decline' | 'error' | 'late'

/** One call that a client makes, without waiting for those before. */
export interface Step {
  /** Who: an index into the crowd. */
  readonly client: number
  readonly server: string
  readonly script: Omit<Script, 'nonce'>
  /** How its questions are answered, in turn. */
  readonly replies: readonly Reply[]
  /** Ms after which the client cancels it, if it does. */
  readonly cancel: number | undefined
  /** Ms before the next step. */
  readonly pause: number
}

/** A message that a client received; `on`: the nonce of the call whose stream it was on, `get`, or `sdk` where nobody can tell. */
export interface Said {
  readonly on: string
  readonly message: any
}

/** An answer that a client gave to a question. */
export interface Given {
  readonly question: string
  readonly nth: number
  readonly isError: boolean
}

/** What became of a step. */
export interface Done {
  readonly step: Step
  readonly nonce: string
  readonly player: Player
  /** The last response; `undefined`: there was none. */
  readonly response: any
  /** Why there was none, where that was not the client's own wish. */
  readonly failure?: string | undefined
}

/** A client, and all that it has heard and said. */
export interface Player {
  readonly name: string
  /** Equal parties may hear of each other's calls where a pipe cannot tell them apart. */
  readonly party: string
  readonly era: 'legacy' | 'modern'
  /** Whether it sees the wire. */
  readonly isRaw: boolean
  /** Whether it has an open stream for what belongs to no call. */
  readonly listens: boolean
  readonly said: readonly Said[]
  readonly given: readonly Given[]
  play(step: Step, nonce: string): Promise<Done>
  /** Asks a server what is under way there. */
  census(server: string): Promise<{ readonly pid: number; readonly open: string[]; readonly asking: string[] }>
  leave(): Promise<void>
}

export const CAPABILITIES = { elicitation: { form: {} }, sampling: {}, roots: {} }

/** How long (ms) a client waits for the end of a call before that counts as lost. */
export const PATIENCE = 90_000

/** The nonce of a call: who made it, and where. */
export function nonceOf(name: string, server: string, run: string): string {
  return `${name}:${run}@${server}`
}

export function ownerOf(nonce: string): string {
  return nonce.slice(0, nonce.indexOf(':'))
}

export function serverOf(nonce: string): string {
  return /@(\w+)/.exec(nonce)?.[1] ?? ''
}

/** The question in a request; `''`: it carries none. */
export function questionOf({ method, params }: any): string {
  if (method === 'elicitation/create') return String(params.message)
  if (method === 'sampling/createMessage') return String(params.messages[0].content.text)
  return String(params?._meta?.question ?? '')
}

export function callOf(question: string): string {
  return question.split('?')[0] ?? ''
}

/** The arguments of a call. */
export function callParams({ server, script }: Step, nonce: string) {
  return { name: `${server}_play`, arguments: { ...script, nonce } }
}

/** All steps of a run, by nonce: how a question is answered depends on its call alone. */
export type Plan = ReadonlyMap<string, Step>

/** Answers the questions to one client, and notes what it said. */
export class Replies {
  readonly given: Given[] = []
  readonly #name: string
  readonly #plan: Plan

  constructor(name: string, plan: Plan) {
    this.#name = name
    this.#plan = plan
  }

  styleOf(question: string): Reply {
    const replies = this.#plan.get(callOf(question))?.replies ?? []
    const number = Number(question.split('?')[1])
    return replies[number % replies.length] ?? 'accept'
  }

  result(question: string, method: string): object {
    const note = this.#note(question, false)
    return { ...contentOf(method, this.styleOf(question), JSON.stringify(note)), _meta: note }
  }

  /** Notes an error; the text says who gave it. */
  error(question: string): string {
    const { nth } = this.#note(question, true)
    return `refused by ${this.#name} (${nth})`
  }

  #note(question: string, isError: boolean): Note {
    const nth = this.given.length
    this.given.push({ question, nth, isError })
    return { by: this.#name, to: question, nth }
  }
}

/** Who gave an answer, to which question; `undefined`: it does not say. */
export interface Note {
  readonly by: string
  readonly to: string
  readonly nth: number
}

/** Not every client hands on `_meta`: the content says the same, where there is some. */
export function noteOf(result: any): Note | undefined {
  if (result._meta?.to !== undefined) return result._meta
  const text = result.content?.said ?? result.content?.text ?? result.roots?.[0]?.name
  return text === undefined ? undefined : JSON.parse(text)
}

function contentOf(method: string, style: Reply, text: string): object {
  switch (KINDS[method]) {
    case 'elicitation':
      return style === 'decline' ? { action: 'decline' } : { action: 'accept', content: { said: text } }
    case 'sampling':
      return { role: 'assistant', model: 'm', content: { type: 'text', text } }
    default:
      return { roots: [{ uri: 'file:///yes', name: text }] }
  }
}

const KINDS: Readonly<Record<string, Kind>> = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
}
