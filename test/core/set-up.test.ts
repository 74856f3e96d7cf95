import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Config } from '../../core/config/define.ts'
import { resolveConfig } from '../../core/config/resolve.ts'
import { createKernel, type Kernel } from '../../core/kernel.ts'
import { definePlugin, type Contribution, type Plugin } from '../../core/plugin.ts'
import { captureLog, ROOT } from '../harness.ts'

const disposed: string[] = []
let dataDir: string
const open: Kernel[] = []
beforeEach(async () => void (dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-set-up-'))))
afterEach(async () => {
  for (const kernel of open.splice(0)) await kernel.close()
  disposed.length = 0
  await rm(dataDir, { recursive: true, force: true })
})

async function start(env: NodeJS.ProcessEnv, plugins: readonly Plugin[], config: Config = {}): Promise<Kernel> {
  const resolved = resolveConfig({ dataDir, ...config, plugins }, { rootDir: ROOT, env })
  const kernel = await createKernel(resolved, { logger: captureLog().logger })
  open.push(kernel)
  return kernel
}

function plugin(name: string, contribution: Contribution = {}): Plugin {
  return definePlugin({ name, setup: () => ({ dispose: () => void disposed.push(name), ...contribution }) })
}

const asks = (name: string) => plugin(name, { auth: { authenticate: () => ({ id: name, roles: [] }) } })
const users = plugin('access-users', { access: { permissions: () => ({ allowedTools: [] }) } })

describe('MCP_AUTH_PROVIDER', () => {
  test.each([
    ['local', 'auth-local', 'auth-oidc'],
    ['oidc', 'auth-oidc', 'auth-mine'],
    ['oauth_proxy', 'auth-auth0', 'by-header'],
  ])('%s lets %s in and not %s beside it, in either order', async (provider, named, other) => {
    const env = { MCP_AUTH_PROVIDER: provider }
    for (const plugins of [
      [asks(named), users, asks(other)],
      [asks(other), asks(named), users],
    ]) {
      await expect(start(env, plugins)).rejects.toMatchObject({
        code: 'ERR_PROXY_CONFIG',
        message: expect.stringMatching(`^MCP_AUTH_PROVIDER: loads "${named}", but plugin "${other}" also fills`),
      })
      expect(disposed.splice(0)).toEqual(plugins.map(({ name }) => name).toReversed())
    }
    expect((await start(env, [asks(named), users])).authenticated).toBe(true)
    // What fills other slots is none of its business, nor is a plugin that only has the name.
    await start(env, [asks(named), users, plugin(other)])
  })

  test('none lets nobody in', async () => {
    const env = { MCP_AUTH_PROVIDER: 'none' }
    await expect(start(env, [asks('auth-mine')])).rejects.toMatchObject({
      code: 'ERR_PROXY_CONFIG',
      message: expect.stringMatching(/^MCP_AUTH_PROVIDER: .*nobody is asked.*plugin "auth-mine"/),
    })
    expect((await start(env, [plugin('auth-mine'), users])).authenticated).toBe(false)
  })

  test('that is not set lets several plugins in', async () => {
    expect((await start({}, [asks('auth-mine'), asks('auth-other')])).authenticated).toBe(true)
    expect((await start({ MCP_AUTH_PROVIDER: '' }, [asks('auth-mine')])).authenticated).toBe(true)
  })
})

describe('what is open to others once plugins are set up', () => {
  const auth = asks('by-header')
  const refused = (variable: string) => ({
    code: 'ERR_PROXY_CONFIG',
    message: expect.stringMatching(`^${variable}: `),
  })

  test('an address of others needs a base URL where logins are bound to one', async () => {
    const env = { MCP_HOST: '0.0.0.0' }
    await expect(start(env, [auth])).rejects.toMatchObject(refused('MCP_BASE_URL'))
    expect(disposed).toContain('by-header')
    await start({ ...env, MCP_BASE_URL: 'https://mcp.example.com' }, [auth])
    await start({}, [auth])
    await expect(start({ MCP_PORT: '0' }, [auth])).rejects.toMatchObject(refused('MCP_BASE_URL'))
  })

  test('the host that was taken for an auth plugin that then asks nobody is not opened', async () => {
    const env = { MCP_BASE_URL: 'https://mcp.example.com' }
    await expect(start(env, [plugin('auth-nobody')])).rejects.toMatchObject(refused('MCP_HOST'))
    const kernel = await start(env, [asks('auth-mine')])
    expect(kernel.config.host).toBe('0.0.0.0')
  })

  test('every origin only where callers are asked who they are', async () => {
    const env = { MCP_ALLOWED_ORIGINS: '*' }
    await expect(start(env, [])).rejects.toMatchObject(refused('MCP_ALLOWED_ORIGINS'))
    await expect(start({ ...env, MCP_ALLOW_UNAUTHENTICATED: '1' }, [])).rejects.toMatchObject(
      refused('MCP_ALLOWED_ORIGINS'),
    )
    const kernel = await start(env, [auth])
    const ask = async (origin: string) => {
      const request = new Request('http://localhost/mcp', { method: 'OPTIONS', headers: { origin } })
      const { status, headers } = await kernel.fetch(request)
      return [status, headers.get('access-control-allow-origin')]
    }
    expect(await ask('https://any.example')).toEqual([204, 'https://any.example'])
    expect(await ask('null')).toEqual([403, null])
  })
})
