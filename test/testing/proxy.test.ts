import { access, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { definePlugin } from '../../core/index.ts'
import { openPlugin, openTestProxy } from '../../testing/index.ts'
import { servers } from '../harness.ts'

const folders = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('mcp-proxy-test-'))

describe('openTestProxy', () => {
  test('a call reaches a real server and comes back; afterwards nothing is left', async () => {
    const before = await folders()
    const proxy = await openTestProxy({ mcpServers: { everything: servers.everything } })
    const response = await proxy.request('tools/call', { name: 'everything_echo', arguments: { message: 'hi' } })
    expect(response).toMatchObject({ result: { content: [{ type: 'text', text: 'Echo: hi' }] } })
    const failure = await proxy.request('tools/call', { name: 'nothing' })
    expect(failure).toMatchObject({ error: { code: -32_602 } })
    expect(proxy.log()).toContain('tools/call everything_echo')
    await proxy.close()
    await proxy.close()
    await expect(fetch(proxy.url)).rejects.toThrow()
    expect((await folders()).filter((name) => !before.includes(name))).not.toContain(proxy.kernel.config.dataDir)
    await expect(access(proxy.kernel.config.dataDir)).rejects.toThrow(/ENOENT/)
  })

  test('plugins see the environment they are given and no other', async () => {
    const seen: (string | undefined)[] = []
    const plugin = definePlugin({
      name: 'sees',
      apiVersion: 1,
      setup: ({ config }) => void seen.push(config.env.GIVEN, config.env.PATH),
    })
    const proxy = await openTestProxy({ plugins: [plugin] }, { env: { GIVEN: 'yes' } })
    await proxy.close()
    expect(seen).toEqual(['yes', undefined])
  })

  test('what is no JSON-RPC is told with its status', async () => {
    const refuses = definePlugin({
      name: 'refuses',
      apiVersion: 1,
      setup: () => ({ auth: { authenticate: () => undefined } }),
    })
    const proxy = await openTestProxy({ plugins: [refuses], baseUrl: 'https://mcp.example.com' })
    try {
      await expect(proxy.request('tools/list')).rejects.toThrow(/HTTP 401.*Authentication is required/)
    } finally {
      await proxy.close()
    }
  })

  test('a start that fails leaves no folder behind', async () => {
    let dataDir = ''
    const fails = definePlugin({
      name: 'fails',
      apiVersion: 1,
      setup({ config }) {
        dataDir = config.dataDir
        throw new Error('not today')
      },
    })
    for (const open of [() => openTestProxy({ plugins: [fails] }), () => openPlugin(fails)]) {
      await expect(open()).rejects.toThrow(/not today/)
      await expect(access(dataDir)).rejects.toThrow(/ENOENT/)
    }
  })
})
