import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, fetch as fetchOn } from 'undici'
import type { Scene } from '../../scenario.ts'

/** Connections that say nothing. */
export interface Flood {
  readonly open: number
  /** Closes what is left of them. */
  stop(): void
}

/** How long (ms) until what is to be closed is closed. */
const SETTLE = 500
/** How long (ms) a new client may be kept waiting. */
const PATIENCE = 5000

/** Opens so many at once, and resolves when each of them has come to something. */
export async function openFlood(scene: Scene, port: number, count: number): Promise<Flood> {
  const sockets: Socket[] = []
  const stop = (): void => sockets.forEach((socket) => socket.destroy())
  scene.defer(stop)
  for (let opened = 0; opened < count; opened++) sockets.push(connect(port, '127.0.0.1').on('error', () => {}))
  await Promise.all(sockets.map((socket) => once(socket, 'connect').catch(() => {})))
  await sleep(SETTLE)
  return {
    get open() {
      return sockets.filter(({ destroyed }) => !destroyed).length
    },
    stop,
  }
}

/** What a client gets that has no connection yet: a status, or how it was turned away. */
export function knock(port: number): Promise<string> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path: '/healthz', agent: false, timeout: PATIENCE }, (answer) => {
      answer.resume()
      resolve(String(answer.statusCode))
    })
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${PATIENCE} ms`)))
    asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    asked.end()
  })
}

/** `fetch` on a single connection, which stays open. */
export function fetchOnOne(scene: Scene): typeof fetch {
  const dispatcher = new Agent({ connections: 1, pipelining: 1, keepAliveTimeout: 60_000 })
  scene.defer(() => dispatcher.destroy())
  return ((input: string, init: object) => fetchOn(input, { ...init, dispatcher })) as unknown as typeof fetch
}
