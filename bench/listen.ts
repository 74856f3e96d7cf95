import type { Server } from 'node:http'

/** Listens on a free port of 127.0.0.1, prints `ready <url>`, and ends when stdin does: nothing outlives the run. */
export function serve(server: Server): void {
  server.keepAliveTimeout = 65_000
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('bench: no port was given')
    process.stdout.write(`ready http://127.0.0.1:${address.port}/mcp\n`)
  })
  process.stdin.resume()
  process.stdin.on('end', () => process.exit(0))
}
