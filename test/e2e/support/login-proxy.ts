import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { folder, freePort, run, type Running } from '../../fixtures/cli/run.ts'
import { addUser, EVE } from '../../fixtures/oauth/walk.ts'
import { ROOT, servers } from '../../harness.ts'

/** The whole program with login, in a process of its own; `dispose` of fixtures/cli ends it. */
export interface LoginProxy {
  readonly issuer: string
  readonly url: string
  readonly dataDir: string
  readonly process: Running
}

/** Starts it with one server (`everything`) and one user (`EVE`), who may use all of it. */
export async function openLoginProxy(options: Record<string, unknown> = {}): Promise<LoginProxy> {
  const cwd = await folder()
  const dataDir = join(cwd, 'data')
  const port = await freePort()
  const plugins = ['transport-stdio', 'storage-fs', 'access-users', ['auth-local', options]]
  const config = { port, dataDir, plugins, mcpServers: { everything: servers.everything } }
  await writeFile(join(cwd, 'mcp-proxy.config.mjs'), `export default ${JSON.stringify(config)}\n`)
  await addUser(EVE, { MCP_DATA_DIR: dataDir })
  const process = run(join(ROOT, 'core/cli.ts'), [], { cwd, env: { MCP_LOG_LEVEL: 'trace' } })
  await process.until(/^ready \S+$/m)
  const issuer = `http://localhost:${port}`
  return { issuer, url: `${issuer}/mcp`, dataDir, process }
}
