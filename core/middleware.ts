import type { Call, Outcome } from './gateway/call.ts'
import { forgetText } from './wire/serialise.ts'

/** Wraps every call: `next` carries it on, perhaps changed (`{ ...call, params }`), or is not called at all. */
export type Middleware = (call: Call, next: (call: Call) => Promise<Outcome>) => Promise<Outcome>

/** Folds middleware around `last`, first one outermost. */
export function compose(
  middleware: readonly Middleware[],
  last: (call: Call) => Promise<Outcome>,
): (call: Call) => Promise<Outcome> {
  if (middleware.length === 0) return last
  const innermost = async (call: Call): Promise<Outcome> => {
    const outcome = await last(call)
    // Middleware may change a result in place: its text as it came would then be out of date.
    if (outcome.kind === 'complete') forgetText(outcome.result)
    return outcome
  }
  return middleware.reduceRight<(call: Call) => Promise<Outcome>>(
    (next, layer) => (call) => layer(call, next),
    innermost,
  )
}
