import { describe, expect, test } from 'vitest'
import type { Call, Middleware } from '../../core/index.ts'
import { middlewareContract, type Runner } from '../../testing/index.ts'
import { record } from './recording.ts'

const PATIENT: Middleware = async (call, next) => {
  await new Promise((resolve) => setImmediate(resolve))
  const outcome = await next({ ...call, params: { ...call.params } })
  return { ...outcome }
}
middlewareContract({ describe, test }, 'one that only copies', () => ({ middleware: PATIENT }))
middlewareContract({ describe, test }, 'one that handles tools alone', () => ({
  middleware: async (call, next) =>
    call.method === 'tools/call' ? { kind: 'complete', result: { content: [] } } : next(call),
  passes: [{ method: 'prompts/get', params: { name: 'p' } }],
}))

let last: Call | undefined

const BROKEN: readonly (readonly [what: string, middleware: Middleware, found: string])[] = [
  [
    'a call made twice',
    async (call, next) => (await next(call), next(call)),
    'carries a call on once, as it is, and brings its result back',
  ],
  [
    'a call never made',
    async () => ({ kind: 'complete', result: { content: [] } }),
    'carries a call on once, as it is, and brings its result back',
  ],
  [
    'a failure that becomes a result',
    async (call, next) => next(call).catch(() => ({ kind: 'complete' as const, result: { isError: true } })),
    'passes an RpcError on, code and data untouched',
  ],
  [
    'an RpcError wrapped into another one',
    async (call, next) =>
      next(call).catch((error: unknown) => {
        throw new Error('the middleware failed', { cause: error })
      }),
    'passes an RpcError on, code and data untouched',
  ],
  [
    'a question that becomes a result',
    async (call, next) => ({ kind: 'complete', result: { ...((await next(call)).result as object) } }),
    'brings a question of the server back as one',
  ],
  [
    'answers to a question that get lost',
    async ({ round: _lost, ...call }, next) => next(call),
    'carries the answers to it on',
  ],
  [
    'parameters changed in place',
    async (call, next) => {
      Object.assign(call.params, { seen: true })
      return next(call)
    },
    'leaves the call as it is: it may be a copy, and others hold it',
  ],
  [
    'a signal of its own',
    async (call, next) => next({ ...call, signal: new AbortController().signal }),
    'leaves what the call can do to it: tell, ask, and be given up',
  ],
  [
    'the last call instead of this one',
    async (call, next) => {
      last = call
      await new Promise((resolve) => setTimeout(resolve, 1))
      return next(last)
    },
    'does not mix up calls that run at once',
  ],
]

describe('the middleware suite finds', () => {
  test.each(BROKEN)('%s', async (_, middleware, found) => {
    const declare = (runner: Runner) => middlewareContract(runner, 'broken', () => ({ middleware }))
    expect((await record(declare, [found])).failures).toHaveProperty([found])
  })
})
