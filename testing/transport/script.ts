import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonObject, RpcId, RpcMessage } from '../../core/index.ts'
import { isNotification, isRequest, reasonOf } from '../../core/index.ts'

/** What the scripted server needs of one connection. */
export interface ScriptEnds {
  /** Puts a message on the wire. `about`: the client's request it belongs to, where requests have streams of their own. */
  send(message: RpcMessage, about?: RpcId): void
  /** Ends the server on the spot: what is on its way is lost. */
  die(): void
  /** Settles once the client can hear what belongs to no request. Absent: it can from the start. */
  readonly listening?: Promise<void>
}

/** The server of the transport contract, on one connection. */
export interface Script {
  /** Hands in a message of the client. */
  receive(message: RpcMessage): void
  /** The connection is gone: nothing is sent any more. */
  close(): void
}

/** One call of a tool. */
interface Turn {
  readonly args: JsonObject
  readonly id: RpcId
  readonly progressToken: RpcId | undefined
  /** Aborted when the client gives the call up, or is gone. */
  readonly signal: AbortSignal
}

const text = (value: unknown): JsonObject => ({ content: [{ type: 'text', text: String(value) }] })

/** What a tool answers instead of a result. */
class Refusal extends Error {
  readonly body: { readonly code: number; readonly message: string; readonly data?: JsonObject }
  constructor(code: number, message: string, data?: JsonObject) {
    super(message)
    this.body = { code, message, ...(data && { data }) }
  }
}

/**
 * An MCP server of the legacy era that does what its tools are told, without a wire: put it behind yours to run
 * `transportContract`. Its tools: echo, sleep, big, progress, log, late, ask, change, fail, listening, die.
 */
export function createScript(ends: ScriptEnds): Script {
  const gone = new AbortController()
  const calls = new Map<RpcId, AbortController>()
  const questions = new Map<RpcId, (answer: RpcMessage) => void>()
  let lastQuestion = 0

  function put(message: RpcMessage, about?: RpcId): void {
    if (!gone.signal.aborted) ends.send(message, about)
  }
  const say = (method: string, params: JsonObject, about?: RpcId) => put({ jsonrpc: '2.0', method, params }, about)
  const log = ({ text: data }: JsonObject) => say('notifications/message', { level: 'info', data })

  const tools: Record<string, (turn: Turn) => JsonObject | Promise<JsonObject>> = {
    echo: ({ args }) => text(args.text),
    big: ({ args }) => text('é'.repeat(Number(args.bytes) / 2)),
    async sleep({ args, signal }) {
      await sleep(Number(args.ms), undefined, { signal })
      return text(`slept ${Number(args.ms)}`)
    },
    async progress({ args, id, progressToken, signal }) {
      for (let step = 1; step <= Number(args.steps) && progressToken !== undefined; step++) {
        say('notifications/progress', { progressToken, progress: step, message: args.text }, id)
        await sleep(5, undefined, { signal })
      }
      return text('done')
    },
    async listening() {
      await ends.listening
      return text('yes')
    },
    async log({ args, signal }) {
      log(args)
      await sleep(Number(args.ms ?? 0), undefined, { signal })
      return text('logged')
    },
    late({ args }) {
      const later = sleep(Number(args.ms), undefined, { signal: gone.signal })
      later.then(() => log(args)).catch(() => undefined)
      return text('soon')
    },
    async ask() {
      const id = `question ${++lastQuestion}`
      const answered = new Promise<RpcMessage>((resolve) => void questions.set(id, resolve))
      put({ jsonrpc: '2.0', id, method: 'roots/list' })
      const answer = await answered
      questions.delete(id)
      if ('error' in answer) throw new Refusal(answer.error.code, answer.error.message)
      return text(JSON.stringify('result' in answer ? answer.result : null))
    },
    change() {
      say('notifications/tools/list_changed', {})
      return text('changed')
    },
    fail() {
      throw new Refusal(-32_602, 'not like this', { hint: 'ü' })
    },
    die() {
      ends.die()
      return new Promise<never>(() => undefined)
    },
  }

  async function call(id: RpcId, params: JsonObject): Promise<JsonObject> {
    const name = typeof params.name === 'string' ? params.name : ''
    const tool = tools[name]
    if (tool === undefined) throw new Refusal(-32_602, `no tool "${name}"`)
    const stop = new AbortController()
    calls.set(id, stop)
    try {
      const { progressToken } = (params._meta ?? {}) as { readonly progressToken?: RpcId }
      const signal = AbortSignal.any([stop.signal, gone.signal])
      return await tool({ args: (params.arguments ?? {}) as JsonObject, id, progressToken, signal })
    } finally {
      calls.delete(id)
    }
  }

  function answer(id: RpcId, method: string, params: JsonObject): JsonObject | Promise<JsonObject> {
    if (method === 'tools/call') return call(id, params)
    if (method === 'tools/list') return { tools: Object.keys(tools).map((name) => ({ name, inputSchema: OBJECT })) }
    if (method === 'ping') return {}
    if (method !== 'initialize') throw new Refusal(-32_601, `no method ${method}`)
    return {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: { listChanged: true }, logging: {} },
      serverInfo: { name: 'script', version: '1.0.0' },
    }
  }

  async function respond(id: RpcId, method: string, params: JsonObject): Promise<void> {
    try {
      put({ jsonrpc: '2.0', id, result: await answer(id, method, params) }, id)
    } catch (error) {
      // What was given up gets no answer.
      if (error instanceof Error && error.name === 'AbortError') return
      const body = error instanceof Refusal ? error.body : { code: -32_603, message: reasonOf(error) }
      put({ jsonrpc: '2.0', id, error: body }, id)
    }
  }

  return {
    receive(message) {
      if (isRequest(message)) void respond(message.id, message.method, message.params ?? {})
      else if (!isNotification(message)) questions.get(message.id ?? '')?.(message)
      else if (message.method === 'notifications/cancelled') calls.get(message.params?.requestId as RpcId)?.abort()
    },
    close: () => gone.abort(),
  }
}

const OBJECT = { type: 'object' }
