import { setTimeout as sleep } from 'node:timers/promises'

/** Asks again and again until something true comes back; rejects after `limit` ms, naming what was waited for. */
export async function until<T>(what: string, look: () => T | Promise<T>, limit = 20_000): Promise<NonNullable<T>> {
  const deadline = Date.now() + limit
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`waited ${limit} ms in vain: ${what}`)
    await sleep(20)
  }
}
