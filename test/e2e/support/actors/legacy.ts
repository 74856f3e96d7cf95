import { setTimeout as sleep } from 'node:timers/promises'
import { jsonOf, openWire } from '../wire.ts'
import { callParams, CAPABILITIES, PATIENCE, questionOf, Replies, type Plan, type Player, type Said } from './player.ts'

const LATE = 25
/** Ms before a call that has not ended is cancelled again. */
const AGAIN = 1000

/** A client with a session that sees the wire. */
export async function legacyPlayer(
  url: string,
  { name, user, plan, listens }: { name: string; user: string; plan: Plan; listens: boolean },
): Promise<Player> {
  const replies = new Replies(name, plan)
  const nonces = new Map<number, string>()
  const wire = await openWire(url, {
    name,
    capabilities: CAPABILITIES,
    headers: { 'x-user': user },
    async answer(message) {
      const question = questionOf(message)
      const style = replies.styleOf(question)
      if (style === 'late') await sleep(LATE)
      if (style === 'error') return { error: { code: -1, message: replies.error(question) } }
      return { result: replies.result(question, message.method) }
    },
  })
  if (listens) await wire.listen()

  /** Takes a call back, again and again: a cancellation may overtake its call, and is without effect then. */
  async function cancel(id: number, after: number, end: AbortSignal): Promise<void> {
    await sleep(after)
    do await wire.cancel(id).catch(() => {})
    while (await sleep(AGAIN, true, { signal: end }).catch(() => false))
  }

  const player: Player = {
    name,
    party: name,
    era: 'legacy',
    isRaw: true,
    listens,
    given: replies.given,
    get said() {
      return wire.heard.map(({ on, message }): Said => ({ on: on === 'get' ? on : (nonces.get(on) ?? ''), message }))
    },
    async play(step, nonce) {
      const params = { ...callParams(step, nonce), _meta: { progressToken: nonce } }
      const { id, response } = wire.send('tools/call', params)
      nonces.set(id, nonce)
      let failure: string | undefined
      const stop = new AbortController()
      const cancelling = step.cancel === undefined ? undefined : cancel(id, step.cancel, stop.signal)
      const lost = sleep(PATIENCE, undefined, { signal: stop.signal }).then(
        () => void (failure = `no end within ${PATIENCE} ms`),
        () => {},
      )
      const settled = await Promise.race([response.catch((error: Error) => void (failure = error.message)), lost])
      stop.abort()
      await cancelling
      return { step, nonce, player, response: settled, failure }
    },
    async census(server) {
      const { id, response } = wire.send('tools/call', { name: `${server}_census`, arguments: {} })
      nonces.set(id, `${name}:census@${server}`)
      return jsonOf(await response)
    },
    async leave() {
      const status = await wire.end()
      if (status !== 204) throw new Error(`${name}: the end of the session was answered with ${status}`)
      await wire.vanish()
    },
  }
  return player
}
