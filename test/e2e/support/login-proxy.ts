import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { folder, freePort, run, type Running } from '../../fixtures/cli/run.ts'
import { addUser, EVE, walkLogin } from '../../fixtures/oauth/walk.ts'
import { openBrowser, walk } from '../../fixtures/oidc/browser.ts'
import { auth0Env } from '../../fixtures/oidc/proxy.ts'
import { openProvider } from '../../fixtures/oidc/provider.ts'
import { ROOT, servers } from '../../harness.ts'

/** The whole program with login, in a process of its own; `dispose` of fixtures/cli ends it. */
export interface LoginProxy {
  readonly issuer: string
  readonly url: string
  readonly dataDir: string
  readonly process: Running
  /** Does a person's part of an authorization request without a screen; resolves the redirect to the client. */
  logIn(authorization: string): Promise<string>
  /** Does what is to be done in a browser after consent. */
  fillIn(page: Page): Promise<void>
  /** Ends what the program itself does not: the provider. */
  close(): Promise<void>
}

/** Where people log in: at the proxy itself, or at a real OpenID provider that poses as Auth0. */
export type Place = 'auth-local' | 'Auth0'
export const PLACES: readonly Place[] = ['auth-local', 'Auth0']

/** Starts it with one server (`everything`) and one user, who may use all of it. */
export function openLoginProxy(place: Place = 'auth-local'): Promise<LoginProxy> {
  return place === 'auth-local' ? openLocal() : openAuth0()
}

async function openLocal(): Promise<LoginProxy> {
  const cwd = await folder()
  await addUser(EVE, { MCP_DATA_DIR: join(cwd, 'data') })
  const started = await start(cwd, await freePort(), { MCP_AUTH_PROVIDER: 'local' })
  return {
    ...started,
    logIn: (authorization) => walkLogin(authorization, EVE),
    async fillIn(page) {
      await page.getByLabel('E-mail').fill(EVE.email)
      await page.getByLabel('Password').fill(EVE.password)
      await page.getByRole('button', { name: 'Log in' }).click()
    },
    close: async () => {},
  }
}

async function openAuth0(): Promise<LoginProxy> {
  const cwd = await folder()
  const port = await freePort()
  const provider = await openProvider([`http://localhost:${port}/auth/callback`])
  provider.knobs.account = 'alice'
  const data = join(cwd, 'users.json')
  await writeFile(data, JSON.stringify({ 'alice@example.com': {} }))
  const started = await start(cwd, port, auth0Env(provider, { MCP_USERS_PATH: data }))
  return {
    ...started,
    logIn: async (authorization) => (await walk(openBrowser(fetch), authorization)).href,
    fillIn: async () => {},
    close: () => provider.close(),
  }
}

async function start(cwd: string, port: number, env: Record<string, string>) {
  const dataDir = join(cwd, 'data')
  const plugins = ['transport-stdio', 'storage-fs']
  const config = { port, dataDir, plugins, mcpServers: { everything: servers.everything } }
  await writeFile(join(cwd, 'mcp-proxy.config.mjs'), `export default ${JSON.stringify(config)}\n`)
  const process = run(join(ROOT, 'core/cli.ts'), [], { cwd, env: { MCP_LOG_LEVEL: 'trace', ...env } })
  await process.until(/^ready \S+$/m)
  const issuer = `http://localhost:${port}`
  return { issuer, url: `${issuer}/mcp`, dataDir, process }
}
