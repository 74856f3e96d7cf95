import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, fetch as send } from 'undici'
import type { Holdings } from '../../e2e/support/holdings.ts'
import { JSON_HEADERS } from '../../harness.ts'
import { residentBytes } from './processes.ts'
import type { Proxy } from './proxy.ts'

/** What a worker holds, and its resident memory in bytes. */
export interface Held extends Holdings {
  readonly resident: number
}

/** Timers that may be there or not: pools of sockets share one, and so do queues of logs, and what is kept for resumption. */
const PASSING = 3

/** What the worker holds now, after a collection. */
export async function heldBy(proxy: Proxy): Promise<Held> {
  const response = await fetch(`${proxy.origin}/holdings`, { signal: AbortSignal.timeout(30_000) })
  const holdings = (await response.json()) as Holdings
  return { ...holdings, resident: residentBytes(proxy.worker() ?? 0) }
}

/** Waits until the worker holds no more than before, apart from `growth` bytes on the heap, or `limit` ms; resolves what it holds then. */
export async function settledHeld(proxy: Proxy, before: Held, growth: number, limit: number): Promise<Held> {
  const deadline = Date.now() + limit
  for (;;) {
    const now = await heldBy(proxy)
    if (Date.now() > deadline || hasReturned(before, now, growth)) return now
    await sleep(500)
  }
}

/** Waits until two looks a second apart find the same, or `limit` ms. */
export async function restedHeld(proxy: Proxy, limit: number): Promise<Held> {
  const deadline = Date.now() + limit
  for (let last = await heldBy(proxy); ;) {
    await sleep(1000)
    const now = await heldBy(proxy)
    const isSame =
      now.descriptors === last.descriptors && now.processes === last.processes && now.timers === last.timers
    if (isSame || Date.now() > deadline) return now
    last = now
  }
}

export function hasReturned(before: Held, now: Held, growth: number): boolean {
  return (
    now.heap <= before.heap + growth &&
    now.descriptors <= before.descriptors &&
    now.timers <= before.timers + PASSING &&
    now.processes <= before.processes
  )
}

/** Opens sessions by `initialize` alone and leaves them: what is kept of each stays in memory. */
export async function openSessions(url: string, count: number): Promise<void> {
  const agent = new Agent({ connections: 8 })
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: { roots: {}, sampling: {}, elicitation: {} },
    clientInfo: { name: 'wire', version: '1' },
  }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  let left = count
  async function lane(): Promise<void> {
    while (left-- > 0) {
      const response = await send(url, { method: 'POST', headers: JSON_HEADERS, body, dispatcher: agent })
      await response.arrayBuffer()
      if (response.headers.get('mcp-session-id') === null) throw new Error(`initialize: HTTP status ${response.status}`)
    }
  }
  try {
    await Promise.all(Array.from({ length: 32 }, lane))
  } finally {
    await agent.destroy()
  }
}
