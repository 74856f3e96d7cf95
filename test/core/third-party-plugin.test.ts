import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openLegacy, openProxy, ROOT } from '../harness.ts'
import { resolveConfig } from '../../core/config/resolve.ts'
import { createKernel } from '../../core/kernel.ts'
import { pluginContract, type MadePlugin } from '../../testing/index.ts'

/** A folder outside the tree with the plugin installed from its tarball. */
let rootDir: string

beforeAll(() => {
  rootDir = mkdtempSync(join(tmpdir(), 'mcp-proxy-plugin-'))
  const npm = (args: string[], cwd: string) =>
    execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const plugin = join(ROOT, 'test/fixtures/third-party-plugin')
  const tarball = npm(['pack', '--silent', '--pack-destination', rootDir], plugin).trim()
  writeFileSync(join(rootDir, 'package.json'), '{"private":true}')
  npm(['install', '--offline', '--no-audit', '--no-fund', join(rootDir, tarball)], rootDir)
})

afterAll(() => rmSync(rootDir, { recursive: true, force: true }))

const greeterServer = { type: 'greeter', greeting: 'Hello' } as never

function proxyWith(plugin: string | [string, object]) {
  return openProxy({ plugins: [plugin as string, 'storage-fs'], mcpServers: { hi: greeterServer } }, { rootDir })
}

test.each(['mcp-proxy-plugin-greeter', 'greeter'])('a packed and installed plugin is loaded as %j', async (name) => {
  const proxy = await proxyWith(name)
  try {
    const client = await openLegacy(proxy.url)
    const { result } = await client.request('tools/call', { name: 'hi_greet', arguments: { name: 'Ada' } })
    expect(result).toEqual({ content: [{ type: 'text', text: 'Hello, Ada!' }] })
    expect(await (await fetch(`${proxy.origin}/greeting`)).text()).toBe('hello from a plugin')
    expect(await proxy.kernel.commands.find((command) => command.name === 'greet')?.run(['Ada'])).toBe(0)
    expect(proxy.lines).toContainEqual(expect.objectContaining({ tag: 'greeter', text: 'hello Ada' }))
  } finally {
    await proxy.close()
  }
})

test('its options reach it', async () => {
  const proxy = await proxyWith(['mcp-proxy-plugin-greeter', { excited: true }])
  try {
    const client = await openLegacy(proxy.url)
    const { result } = await client.request('tools/call', { name: 'hi_greet', arguments: { name: 'Ada' } })
    expect(result.content[0].text).toBe('HELLO, ADA!')
  } finally {
    await proxy.close()
  }
})

test('its schema judges its server entries', async () => {
  const mcpServers = { hi: { type: 'greeter', greeting: 7 } as never }
  const proxy = await openProxy({ plugins: ['greeter', 'storage-fs'], mcpServers }, { rootDir })
  try {
    const [status] = proxy.kernel.upstreams
    expect(status).toMatchObject({ state: 'invalid', reason: expect.stringContaining('greeting: must be a string') })
  } finally {
    await proxy.close()
  }
})

test('from elsewhere it is unknown, and the error says where it was looked for', async () => {
  const config = resolveConfig({ plugins: ['greeter'], dataDir: rootDir }, { rootDir: ROOT, env: {} })
  await expect(createKernel(config)).rejects.toMatchObject({
    code: 'ERR_PROXY_CONFIG',
    message: expect.stringMatching(/"greeter" is unknown.*mcp-proxy-plugin-greeter.*install/),
  })
})

pluginContract({ describe, test }, 'greeter', async () => {
  const installed = join(rootDir, 'node_modules/mcp-proxy-plugin-greeter/index.js')
  return {
    module: (await import(pathToFileURL(installed).href)) as MadePlugin['module'],
    accepts: [{ excited: true }, {}],
    refuses: [{ exited: true }],
    config: { mcpServers: { hi: greeterServer } },
    async exercise(proxy) {
      const answer = await proxy.request('tools/call', { name: 'hi_greet', arguments: { name: 'Ada' } })
      assert.deepEqual('result' in answer && answer.result.content, [{ type: 'text', text: 'HELLO, ADA!' }])
    },
  }
})
