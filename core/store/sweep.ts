import type { ConsolaInstance } from 'consola'
import { reasonOf } from '../errors.ts'

/** How often (ms) what has expired is removed. */
const PERIOD = 3_600_000

/** Records nobody asks for again would stay for ever. Returns how to stop. */
export function sweepRegularly(stores: readonly { sweep(): Promise<unknown> }[], logger: ConsolaInstance): () => void {
  const all = async (): Promise<void> => {
    for (const store of stores) await store.sweep()
  }
  const sweep = () => void all().catch((error) => logger.warn(`expired records stay: ${reasonOf(error)}`))
  const timer = setInterval(sweep, PERIOD).unref()
  return () => clearInterval(timer)
}
