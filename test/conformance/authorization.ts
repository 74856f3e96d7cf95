/** Runs the suite's authorization server scenarios against the proxy's own login: `node run.ts --authorization`. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { addUser, EVE, walkLogin } from '../fixtures/oauth/walk.ts'
import { failures } from './compare.ts'
import { run, start } from './processes.ts'
import type { Line } from './report.ts'
import { count, readResults } from './results.ts'
import { authorizationArgs } from './suites.ts'

const CLI = join(import.meta.dirname, '../../core/cli.ts')
const WITHIN = 60_000

/** The proxy with a user, and the suite as a client of it; a person's part is done over HTTP. */
export async function runAuthorization(folder: string): Promise<Line> {
  const began = performance.now()
  mkdirSync(folder, { recursive: true })
  const [port, callbackPort] = [await freePort(), await freePort()]
  const config = join(folder, 'mcp-proxy.config.mjs')
  writeFileSync(config, configOf(port))
  await addUser(EVE, { MCP_DATA_DIR: join(folder, 'data') })
  const proxy = await start([CLI, '--config', config], { cwd: folder, log: join(folder, 'proxy.log') })
  try {
    const issuer = `http://localhost:${port}`
    const args = authorizationArgs(issuer, await register(issuer, callbackPort), callbackPort, join(folder, 'results'))
    const log = join(folder, 'suite.log')
    const [code] = await Promise.all([run(args, { cwd: folder, log }, WITHIN), visit(log)])
    const results = readResults(join(folder, 'results'), '')
    const unexpected = failures(results)
    if (code !== 0 && unexpected.length === 0)
      throw new Error(`authorization: the suite ended with ${code}, see ${log}`)
    const verdict = { unexpected, expected: [], stale: [] }
    return {
      section: 'direct',
      suite: 'authorization',
      through: count(results),
      verdict,
      seconds: (performance.now() - began) / 1000,
    }
  } finally {
    await proxy.end()
  }
}

function configOf(port: number): string {
  const plugins = ['storage-fs', 'access-users', 'auth-local']
  return `export default ${JSON.stringify({ port, plugins, dataDir: 'data', mcpServers: {} })}\n`
}

async function register(issuer: string, port: number): Promise<string> {
  const redirect_uris = [`http://127.0.0.1:${port}/callback`]
  const response = await fetch(`${issuer}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'conformance', redirect_uris, token_endpoint_auth_method: 'none' }),
  })
  const { client_id: id } = (await response.json()) as { client_id?: string }
  if (id === undefined) throw new Error(`authorization: the client could not be registered: ${response.status}`)
  return id
}

/** Does what the suite asks a person to do: opens the address it prints, and logs in. */
async function visit(log: string): Promise<void> {
  const deadline = Date.now() + WITHIN
  while (Date.now() < deadline) {
    const url = /^(http:\S+\/authorize\?\S+)$/m.exec(readFileSync(log, { encoding: 'utf8', flag: 'a+' }))?.[1]
    if (url !== undefined) return void (await (await fetch(await walkLogin(url, EVE))).arrayBuffer())
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`authorization: the suite printed no address, see ${log}`)
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
