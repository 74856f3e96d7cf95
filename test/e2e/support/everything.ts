import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT, servers } from '../../harness.ts'

const LOOPBACK = pathToFileURL(join(ROOT, 'test/fixtures/e2e/loopback.ts')).href

export interface EverythingServer {
  readonly url: string
  readonly port: number
  /** Kills it as a crash would; resolves when it is gone. */
  kill(): Promise<void>
}

/** server-everything in its Streamable HTTP mode; resolves once it listens. */
export async function startEverything(port?: number): Promise<EverythingServer> {
  const chosen = port ?? (await freePort())
  const child = spawn(process.execPath, ['--import', LOOPBACK, ...servers.everything.args, 'streamableHttp'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, PORT: String(chosen) },
  })
  const exited = once(child, 'exit')
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => line.includes('listening on port') && resolve())
    exited.then(([code]) => reject(new Error(`server-everything exited with ${code}`)), reject)
  })
  return {
    port: chosen,
    url: `http://127.0.0.1:${chosen}/mcp`,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
