import { JSON_HEADERS } from '../../harness.ts'
import type { Scene } from '../scenario.ts'
import { bareWire, listeningWire, modernWire, sdkV1, sdkV2Auto, sdkV2Legacy } from './callers.ts'
import type { Caller, Kind } from './callers.ts'

/** So many of each kind. */
export type Mixture = readonly (readonly [kind: Kind, what: string, count: number])[]

/** 32 clients of all kinds; 22 of them hold a session, 18 a GET stream. */
export const THIRTY_TWO: Mixture = [
  [listeningWire, 'wire', 8],
  [bareWire, 'bare wire', 4],
  [sdkV1, 'SDK v1', 6],
  [sdkV2Legacy, 'SDK 2.x with a session', 4],
  [sdkV2Auto, 'SDK 2.x', 6],
  [modernWire, 'modern wire', 4],
]

/** Opens all of them; the scene closes them. */
export async function openCompany(scene: Scene, url: string, mixture: Mixture): Promise<readonly Caller[]> {
  const callers: Caller[] = []
  scene.defer(() => Promise.allSettled(callers.map((caller) => caller.close())))
  for (const [kind, what, count] of mixture) {
    for (let index = 1; index <= count; index++) callers.push(await kind(url, `${what} ${index}`))
  }
  return callers
}

/** The sessions that a ping finds alive. */
export async function pingAll(url: string, callers: readonly Caller[]): Promise<number> {
  const pings = callers.flatMap(({ sessionId }) => (sessionId === undefined ? [] : [ping(url, sessionId)]))
  return (await Promise.all(pings)).filter(Boolean).length
}

async function ping(url: string, sessionId: string): Promise<boolean> {
  const headers = { ...JSON_HEADERS, 'mcp-session-id': sessionId }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 'ping', method: 'ping' })
  const response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(10_000) })
  return (await response.text()).includes('"result"') && response.status === 200
}
