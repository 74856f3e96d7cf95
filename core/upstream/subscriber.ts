import { reasonOf } from '../errors.ts'
import type { JsonObject } from '../wire/jsonrpc.ts'
import type { Refused } from './face.ts'

type Request = (method: string, params: JsonObject, signal: AbortSignal) => Promise<unknown>

/**
 * Subscribes one legacy connection to resources: of each new wish, the whole of it, only the difference to before is
 * sent (2025-11-25 server/resources#Subscriptions). What was refused is asked for again with the next wish. Never rejects.
 */
export function createSubscriber(
  request: Request,
): (uris: ReadonlySet<string>, signal: AbortSignal) => Promise<Refused> {
  const subscribed = new Set<string>()
  let queue: Promise<unknown> = Promise.resolve()

  async function subscribe(uri: string, signal: AbortSignal): Promise<readonly [string, Error] | undefined> {
    try {
      await request('resources/subscribe', { uri }, signal)
      subscribed.add(uri)
      return undefined
    } catch (error) {
      return [uri, error instanceof Error ? error : new Error(reasonOf(error))]
    }
  }

  /** Whatever the server says to it: nobody listens any more. */
  async function unsubscribe(uri: string, signal: AbortSignal): Promise<void> {
    subscribed.delete(uri)
    await request('resources/unsubscribe', { uri }, signal).catch(() => {})
  }

  async function change(uris: ReadonlySet<string>, signal: AbortSignal): Promise<Refused> {
    const ended = [...subscribed].filter((uri) => !uris.has(uri))
    const begun = [...uris].filter((uri) => !subscribed.has(uri))
    const ending = Promise.all(ended.map((uri) => unsubscribe(uri, signal)))
    const answers = await Promise.all(begun.map((uri) => subscribe(uri, signal)))
    await ending
    return new Map(answers.filter((answer) => answer !== undefined))
  }

  // One after another: what is subscribed is known only once the server has answered.
  return (uris, signal) => {
    const changing = queue.then(() => change(uris, signal))
    queue = changing
    return changing
  }
}
