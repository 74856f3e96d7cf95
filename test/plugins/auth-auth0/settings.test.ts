import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { resolveConfig } from '../../../core/config/resolve.ts'
import { createKernel } from '../../../core/kernel.ts'
import authAuth0 from '../../../plugins/auth-auth0/index.ts'
import { dispose, folder, run } from '../../fixtures/cli/run.ts'
import { captureLog, ROOT } from '../../harness.ts'
import { ORIGIN } from '../../fixtures/oidc/proxy.ts'

const CLI = join(ROOT, 'core/cli.ts')

const ENV = {
  MCP_AUTH_PROVIDER: 'oauth_proxy',
  AUTH0_DOMAIN: 'tenant.eu.auth0.com',
  AUTH0_CLIENT_ID: 'id',
  AUTH0_CLIENT_SECRET: 'secret-canary',
  AUTH0_AUDIENCE: 'https://api.example.com',
}

afterEach(dispose)

/** A start as far as the plugins; resolves what it failed with, `undefined` when it did not. */
async function start(env: Record<string, string>): Promise<{ code: string; message: string } | undefined> {
  const dataDir = await folder()
  const config = resolveConfig({ baseUrl: ORIGIN, dataDir }, { rootDir: ROOT, env })
  const starting = createKernel(config, { logger: captureLog().logger })
  const failure = await starting.then(
    (kernel) => kernel.close(),
    (error: unknown) => error as { code: string; message: string },
  )
  expect(failure?.message ?? '').not.toContain('canary')
  return failure ?? undefined
}

test('missing variables are all named at once, each with the place in the dashboard', async () => {
  const failure = await start({ MCP_AUTH_PROVIDER: 'oauth_proxy' })
  expect(failure?.code).toBe('ERR_PROXY_CONFIG')
  expect(failure?.message.split('\n').map((line) => line.replace(/^.*failed to set up: /, ''))).toEqual([
    'AUTH0_DOMAIN is missing; in the Auth0 dashboard: Applications → your application → Settings → Domain',
    `AUTH0_CLIENT_ID is missing; in the Auth0 dashboard: create a Regular Web Application with the Allowed Callback URL ${ORIGIN}/auth/callback; it is under its Settings → Client ID`,
    'AUTH0_CLIENT_SECRET is missing; in the Auth0 dashboard: Applications → your application → Settings → Client Secret',
    'AUTH0_AUDIENCE is missing; in the Auth0 dashboard: Applications → APIs → create an API (RS256, Allow Offline Access on); it is its Identifier',
  ])
})

for (const name of ['AUTH0_DOMAIN', 'AUTH0_CLIENT_ID', 'AUTH0_CLIENT_SECRET', 'AUTH0_AUDIENCE']) {
  test(`without ${name} alone the message is of that alone`, async () => {
    const failure = await start({ ...ENV, [name]: '' })
    expect(failure?.message.match(/AUTH0_\w+(?= is missing)/g)).toEqual([name])
  })
}

test('as a real process: exit 78 at once, never restarted, and the message is there', async () => {
  const cwd = await folder()
  const { ended, output } = run(CLI, [], {
    cwd,
    env: { MCP_PORT: '0', MCP_BASE_URL: ORIGIN, MCP_LOG_FORMAT: 'pretty', ...ENV, AUTH0_CLIENT_SECRET: '' },
  })
  expect(await ended).toEqual({ code: 78, signal: null })
  expect(output()).toMatch(/AUTH0_CLIENT_SECRET is missing; in the Auth0 dashboard: .*Client Secret/)
  expect(output().match(/AUTH0_CLIENT_SECRET is missing/g)).toHaveLength(1)
  expect(output()).not.toMatch(/AUTH0_DOMAIN is missing|restart/)
})

for (const domain of [
  'tenant.eu.auth0.com',
  'https://tenant.eu.auth0.com',
  'https://tenant.eu.auth0.com/',
  'HTTPS://Tenant.EU.auth0.com/',
  'tenant.eu.auth0.com/',
  'login.example.com:8443',
  'http://localhost:3000',
  'http://127.0.0.1:3000/',
  'http://[::1]:3000/',
]) {
  test(`AUTH0_DOMAIN ${domain} is taken`, async () => {
    expect(await start({ ...ENV, AUTH0_DOMAIN: domain })).toBeUndefined()
  })
}

for (const domain of [
  'http://tenant.eu.auth0.com',
  'http://10.0.0.1/',
  'http://localhost.evil.example',
  'ftp://tenant.eu.auth0.com',
  'https://tenant.eu.auth0.com/api/v2/',
  'tenant.eu.auth0.com/authorize?x=1',
  'tenant.eu.auth0.com#x',
  'user:canary@tenant.eu.auth0.com',
  'tenant eu auth0 com',
  '${TENANT}.auth0.com',
]) {
  test(`AUTH0_DOMAIN ${domain.replace('canary', '…')} is refused`, async () => {
    expect(await start({ ...ENV, AUTH0_DOMAIN: domain })).toMatchObject({
      code: 'ERR_PROXY_CONFIG',
      message: expect.stringMatching(/AUTH0_DOMAIN: \S/),
    })
  })
}

test('options nobody knows are refused, with the plugin named; its own are not the authorization server’s', () => {
  expect(() => authAuth0({ tenant: 'x' } as never)).toThrow(/auth-auth0: .*tenant/)
  expect(() => authAuth0({ domain: 'x', clientId: 'y', pinSub: true, trustEmail: true, emailClaim: 'z' })).not.toThrow()
})
