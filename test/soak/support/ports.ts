import { createServer } from 'node:net'

/**
 * Below the ports that Linux gives to clients (32768 and up): while the proxy is down, one of them could get the very port it
 * is to come back to, or be connected to itself.
 */
const FIRST = 20_000
const LAST = 32_000

/** A port of 127.0.0.1 that was free a moment ago, and that no client is given. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (await isFree(port)) return port
  }
  throw new Error(`no port from ${FIRST} to ${LAST} is free`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
