import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { RpcError } from '../core/index.ts'
import type { Awaitable, Call, JsonObject, Method, Middleware, Outcome, RpcNotification } from '../core/index.ts'
import { compose } from '../core/middleware.ts'
import { isRpcError } from '../core/errors.ts'
import { contract, type Made, type Runner } from './contract.ts'

/** A middleware, and calls that are none of its business. */
export interface MadeMiddleware extends Made {
  readonly middleware: Middleware
  /** Calls that it must carry on as they are, with their outcome as it is. Absent: one of each method. */
  readonly passes?: readonly Pick<Call, 'method' | 'params'>[]
}

const CALLS: readonly Pick<Call, 'method' | 'params'>[] = [
  { method: 'tools/list', params: {} },
  { method: 'tools/call', params: { name: 'time_now', arguments: { zone: 'UTC', deep: [{ a: null }] } } },
  { method: 'resources/list', params: { cursor: 'next' } },
  { method: 'resources/templates/list', params: {} },
  { method: 'resources/read', params: { uri: 'file:///a' } },
  { method: 'prompts/list', params: {} },
  { method: 'prompts/get', params: { name: 'time_greet', arguments: { who: 'Ada' } } },
  {
    method: 'completion/complete',
    params: { ref: { type: 'ref/prompt', name: 'p' }, argument: { name: 'a', value: '' } },
  },
]
const TAKES_INPUT: ReadonlySet<Method> = new Set(['tools/call', 'prompts/get', 'resources/read'])
const ALL_AT_ONCE = 50
/** How long (ms) a call that was given up may go on. */
const GIVEN_UP_WITHIN = 2000

/** What every middleware must hold for calls that are none of its business, with other middleware before and behind it. */
export function middlewareContract(runner: Runner, name: string, make: () => Awaitable<MadeMiddleware>): void {
  contract(runner, `middleware contract: ${name}`, make, (check) => {
    check('carries a call on once, as it is, and brings its result back', async (made) => {
      for (const given of callsOf(made)) {
        const seen: Call[] = []
        const result = { content: [{ type: 'text', text: 'as it came' }], _meta: { key: 'value' } }
        const outcome = await run(made, callOf(given), async (call) => {
          seen.push(call)
          return { kind: 'complete', result: structuredClone(result) }
        })
        assert.equal(seen.length, 1, `${given.method} was carried on ${seen.length} times`)
        checkCall(seen[0], given)
        assert.deepEqual(outcome, { kind: 'complete', result })
      }
    })

    check('brings a question of the server back as one', async (made) => {
      for (const given of callsOf(made).filter(({ method }) => TAKES_INPUT.has(method))) {
        const asked = { inputRequests: { a: { method: 'elicitation/create', params: { message: 'Sure?' } } } }
        const result = { ...asked, requestState: 'byte for byte' }
        const outcome = await run(made, callOf(given), async () => ({ kind: 'input_required', result }))
        assert.deepEqual(outcome, { kind: 'input_required', result })
      }
    })

    check('carries the answers to it on', async (made) => {
      for (const given of callsOf(made).filter(({ method }) => TAKES_INPUT.has(method))) {
        const round = { inputResponses: { a: { action: 'accept' } }, requestState: 'byte for byte' }
        let seen: Call | undefined
        await run(made, callOf(given, { round }), async (call) => ((seen = call), DONE))
        assert.deepEqual(seen?.round, round)
      }
    })

    check('passes an RpcError on, code and data untouched', async (made) => {
      for (const given of callsOf(made)) {
        const error = new RpcError(-32_042, 'the server said no', { hint: 'ü' })
        const thrown = await failureOf(run(made, callOf(given), () => Promise.reject(error)))
        assert.ok(isRpcError(thrown), `it became ${String(thrown)}`)
        assert.deepEqual([thrown.code, thrown.message, thrown.data], [-32_042, 'the server said no', { hint: 'ü' }])
      }
    })

    check('makes no success of any other failure', async (made) => {
      for (const given of callsOf(made)) {
        await failureOf(run(made, callOf(given), () => Promise.reject(new Error('broken pipe'))))
      }
    })

    check('leaves the call as it is: it may be a copy, and others hold it', async (made) => {
      for (const given of callsOf(made)) {
        const call = callOf({ method: given.method, params: frozen(structuredClone(given.params)) })
        await run(made, Object.freeze({ ...call }), async () => DONE)
      }
    })

    check('leaves what the call can do to it: tell, ask, and be given up', async (made) => {
      for (const given of callsOf(made)) {
        const told: RpcNotification[] = []
        const stop = new AbortController()
        const notice: RpcNotification = { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1 } }
        const call = callOf(given, {
          signal: stop.signal,
          notify: (message) => void told.push(message),
          ask: async ({ method }) => ({ asked: method }),
        })
        await run(made, call, async (inner) => {
          inner.notify(notice)
          assert.deepEqual(await inner.ask({ method: 'roots/list' }, inner.signal), { asked: 'roots/list' })
          stop.abort()
          assert.equal(inner.signal.aborted, true, 'the call was given up, and nobody further in hears of it')
          return DONE
        })
        assert.deepEqual(told, [notice])
      }
    })

    check('ends with a call that was given up', async (made) => {
      for (const given of callsOf(made)) {
        const stop = new AbortController()
        const waiting = run(made, callOf(given, { signal: stop.signal }), async ({ signal }) => {
          setImmediate(() => stop.abort())
          await sleep(GIVEN_UP_WITHIN, undefined, { signal })
          return DONE
        })
        await failureOf(waiting)
      }
    })

    check('does not mix up calls that run at once', async (made) => {
      const [given] = callsOf(made)
      if (given === undefined) return
      const one = async (turn: number): Promise<unknown> => {
        const params = { ...given.params, turn }
        const outcome = await run(made, callOf({ ...given, params }, { requestId: `r${turn}` }), async (call) => {
          // The later a call comes, the earlier it ends.
          await sleep(ALL_AT_ONCE - turn)
          return { kind: 'complete', result: { turn: call.params.turn, id: call.requestId } }
        })
        return outcome.kind === 'complete' ? outcome.result : outcome.kind
      }
      const turns = Array.from({ length: ALL_AT_ONCE }, (_, turn) => turn)
      const results = await Promise.all(turns.map(one))
      assert.deepEqual(
        results,
        turns.map((turn) => ({ turn, id: `r${turn}` })),
      )
    })
  })
}

const DONE: Outcome = { kind: 'complete', result: {} }

function callsOf({ passes = CALLS }: MadeMiddleware): readonly Pick<Call, 'method' | 'params'>[] {
  assert.ok(passes.length > 0, '"passes" must hold a call')
  return passes
}

/** Runs the middleware between two that change nothing, as the kernel would. */
function run({ middleware }: MadeMiddleware, call: Call, last: (call: Call) => Promise<Outcome>): Promise<Outcome> {
  const plain: Middleware = (passing, next) => next({ ...passing })
  return compose([plain, middleware, plain], last)(call)
}

function callOf(given: Pick<Call, 'method' | 'params'>, more: Partial<Call> = {}): Call {
  return {
    ...given,
    principal: { id: 'alice', roles: [] },
    party: 'alice',
    client: { capabilities: {} },
    signal: new AbortController().signal,
    progress: false,
    requestId: 'r1',
    notify: () => undefined,
    ask: () => Promise.reject(new RpcError(-32_601, 'nobody can be asked')),
    ...more,
  }
}

function checkCall(seen: Call | undefined, given: Pick<Call, 'method' | 'params'>): void {
  assert.deepEqual({ method: seen?.method, params: seen?.params }, given)
  assert.deepEqual([seen?.principal.id, seen?.party, seen?.requestId], ['alice', 'alice', 'r1'])
}

async function failureOf(running: Promise<Outcome>): Promise<unknown> {
  const outcome = await running.then(
    (found) => found,
    (error: unknown) => ({ error }),
  )
  if ('error' in outcome) return outcome.error
  return assert.fail(`a failure became ${JSON.stringify(outcome)}`)
}

function frozen(params: JsonObject): JsonObject {
  for (const value of Object.values(params))
    if (typeof value === 'object' && value !== null) frozen(value as JsonObject)
  return Object.freeze(params)
}
