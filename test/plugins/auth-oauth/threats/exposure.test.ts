import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { dispose, folder, freePort, run, type Running } from '../../../fixtures/cli/run.ts'
import { modernRequest } from '../../../fixtures/oauth/tools.ts'

const CLI = new URL('../../../../core/cli.ts', import.meta.url).pathname
const READY = /^ready (https?:\S+)$/m

const running: Running[] = []
afterEach(async () => {
  for (const { child } of running) child.kill('SIGTERM')
  await Promise.all(running.splice(0).map(({ ended }) => ended))
  await dispose()
})

/** Starts the proxy with these plugins besides the usual ones; what they fill is given as text. */
async function start(env: NodeJS.ProcessEnv, args: readonly string[] = [], plugin?: string): Promise<Running> {
  const cwd = await folder()
  if (plugin === undefined) await writeFile(join(cwd, 'mcp_config.json'), '{ "mcpServers": {} }')
  else {
    const text = `export default { plugins: ['storage-fs', { name: 'own', setup: () => (${plugin}) }], mcpServers: {} }`
    await writeFile(join(cwd, 'mcp-proxy.config.mjs'), text)
  }
  const started = run(CLI, args, { cwd, env: { MCP_LOG_FORMAT: 'pretty', MCP_PORT: '0', ...env } })
  running.push(started)
  return started
}

const AUTH = `{ auth: { authenticate: () => undefined, challenge: () => ({ 'WWW-Authenticate': 'Bearer' }) } }`
const ACCESS = `{ access: { permissions: () => ({ allowedTools: ['*'] }) } }`

describe('T108', () => {
  test.each<[string, NodeJS.ProcessEnv, string[], string?]>([
    ['every IPv4 address', { MCP_HOST: '0.0.0.0' }, []],
    ['every address', { MCP_HOST: '::' }, []],
    ['every address, by flag', {}, ['--host', '0.0.0.0']],
    ['an address of a private network', { MCP_HOST: '192.168.1.2' }, []],
    ['every address, public name', { MCP_HOST: '0.0.0.0', MCP_BASE_URL: 'https://mcp.example.com' }, []],
    ['every address, nobody asked on purpose', { MCP_HOST: '0.0.0.0', MCP_AUTH_PROVIDER: 'none' }, []],
    ['every address, permission withheld in words', { MCP_HOST: '0.0.0.0', MCP_ALLOW_UNAUTHENTICATED: '0' }, []],
    ['every address, a list of users but nobody who asks for them', { MCP_HOST: '0.0.0.0' }, [], ACCESS],
  ])(
    'T108 no authentication, bound to %s → exit 78 with the reason, nothing was served',
    async (_what, env, args, plugin) => {
      const port = await freePort()
      const proxy = await start({ ...env, MCP_PORT: String(port) }, args, plugin)
      expect(await proxy.ended).toEqual({ code: 78, signal: null })
      expect(proxy.output()).toContain('nothing authenticates callers')
      expect(proxy.output()).toContain('MCP_ALLOW_UNAUTHENTICATED=1')
      expect(proxy.output()).not.toMatch(/listening|^ready/m)
      // Once: whoever supervises it does not try again.
      expect(proxy.output().match(/nothing authenticates callers/g)).toHaveLength(1)
      await bind(port)
    },
  )

  test('T108 no authentication, every web page allowed, on this machine only → exit 78 all the same', async () => {
    const proxy = await start({ MCP_ALLOWED_ORIGINS: '*' })
    expect((await proxy.ended).code).toBe(78)
    expect(proxy.output()).toMatch(/MCP_ALLOWED_ORIGINS.*every web page/)
  })

  test('T108 authentication that MCP_AUTH_PROVIDER=none takes away, public bind → exit 78', async () => {
    const env = { MCP_HOST: '0.0.0.0', MCP_BASE_URL: 'https://mcp.example.com', MCP_AUTH_PROVIDER: 'none' }
    const proxy = await start(env, [], AUTH)
    expect((await proxy.ended).code).toBe(78)
    expect(proxy.output()).toContain('MCP_AUTH_PROVIDER')
  })

  test('T108 authentication, public bind, nobody said under which address → exit 78', async () => {
    const proxy = await start({ MCP_HOST: '0.0.0.0' }, [], AUTH)
    expect((await proxy.ended).code).toBe(78)
    expect(proxy.output()).toContain('MCP_BASE_URL')
  })

  test('T108 tokens in the clear: public name over http → exit 78', async () => {
    const proxy = await start({ MCP_HOST: '0.0.0.0', MCP_BASE_URL: 'http://mcp.example.com' }, [], AUTH)
    expect((await proxy.ended).code).toBe(78)
    expect(proxy.output()).toMatch(/MCP_BASE_URL.*in the clear/)
  })

  test('T108 control: MCP_ALLOW_UNAUTHENTICATED=1 with a public bind → starts, and says so', async () => {
    const proxy = await start({ MCP_HOST: '0.0.0.0', MCP_ALLOW_UNAUTHENTICATED: '1' })
    const [, url = ''] = await proxy.until(READY)
    expect((await fetch(url.replace('0.0.0.0', '127.0.0.1'), modernRequest('tools/list'))).status).toBe(200)
    expect(proxy.output()).toMatch(/no authentication/i)
    expect(proxy.output()).toContain('nothing authenticates callers')
  })

  test('T108 control: authentication with a public bind → starts, and asks everybody', async () => {
    const proxy = await start({ MCP_HOST: '0.0.0.0', MCP_BASE_URL: 'https://mcp.example.com' }, [], AUTH)
    const [, local = ''] = await proxy.until(/listening on (http:\S+)/)
    const response = await fetch(local.replace('0.0.0.0', '127.0.0.1'), modernRequest('tools/list'))
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
  })

  test('T108 control: neither → this machine only', async () => {
    const proxy = await start({})
    const [, url = ''] = await proxy.until(READY)
    expect(new URL(url).hostname).toBe('127.0.0.1')
    // The same port of every other address is still to be had.
    await bind(Number(new URL(url).port), '127.0.0.2')
  })
})

/** Binds a port for a moment: nobody else has it. */
async function bind(port: number, host = '0.0.0.0'): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen({ port, host, exclusive: true }, resolve),
  )
  await new Promise((resolve) => server.close(resolve))
}
