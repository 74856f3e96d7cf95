import type { Call, Outcome } from './gateway/call.ts'

/** Wraps every call: `next` carries it on, perhaps changed (`{ ...call, params }`), or is not called at all. */
export type Middleware = (call: Call, next: (call: Call) => Promise<Outcome>) => Promise<Outcome>

/** Folds middleware around `last`, first one outermost. */
export function compose(
  middleware: readonly Middleware[],
  last: (call: Call) => Promise<Outcome>,
): (call: Call) => Promise<Outcome> {
  return middleware.reduceRight<(call: Call) => Promise<Outcome>>((next, layer) => (call) => layer(call, next), last)
}
