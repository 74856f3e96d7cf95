import type { ConsolaInstance } from 'consola'
import type { AuthProvider } from './auth.ts'
import { reasonOf } from './errors.ts'

/**
 * Has every provider end the logins of people the access policy refuses by now. One review at a time; what changes during one is
 * looked at in another one after it. Never rejects.
 */
export function createReview(
  providers: readonly AuthProvider[],
  logger: Pick<ConsolaInstance, 'error'>,
): () => Promise<void> {
  let running: Promise<void> | undefined
  let again = false

  async function run(): Promise<void> {
    do {
      again = false
      for (const provider of providers) {
        try {
          await provider.review?.()
        } catch (error) {
          logger.error(`logins could not be reviewed: ${reasonOf(error)}; they are looked at when they are used`)
        }
      }
    } while (again)
    running = undefined
  }

  return () => {
    if (running === undefined) running = run()
    else again = true
    return running
  }
}
