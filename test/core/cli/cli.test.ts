import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { configured, echo, endProxies, groupsIn, startProxy, withPlugin } from '../../fixtures/cli/proxy.ts'
import { folder } from '../../fixtures/cli/run.ts'

const SERVER = new URL('../../fixtures/fault-server.ts', import.meta.url).pathname

afterEach(endProxies)

test.each([
  [['--config', 'missing.json'], {}, /missing\.json/],
  [['--port', '99999'], {}, /--port/],
  [[], { MCP_HOST: '0.0.0.0' }, /MCP_ALLOW_UNAUTHENTICATED/],
])('%j %j: exit 78 and the reason', async (args, env, reason) => {
  const proxy = startProxy(await configured({}), args, env)
  expect((await proxy.ended).code).toBe(78)
  expect(proxy.output()).toMatch(reason)
})

test('an unknown plugin: exit 78 and its name', async () => {
  const cwd = await folder()
  await writeFile(join(cwd, 'mcp-proxy.config.mjs'), `export default { plugins: ['transport-pigeon'] }`)
  const proxy = startProxy(cwd)
  expect((await proxy.ended).code).toBe(78)
  expect(proxy.output()).toContain('transport-pigeon')
})

test('check: 0 when every server is up, disabled ones aside', async () => {
  const lazy = { ...echo.echo, lazy: true }
  const check = startProxy(await configured({ ...echo, lazy, off: { ...echo.echo, disabled: true } }), ['check'])
  expect((await check.ended).code).toBe(0)
  expect(check.output()).toMatch(/^echo +stdio +up +3/m)
  expect(check.output()).toMatch(/^lazy +stdio +up +3/m)
  expect(check.output()).toMatch(/^off +stdio +disabled/m)
  expect(check.output()).not.toMatch(/listening|ready/)
})

test('check: 1 when one is not, with its reason', async () => {
  const cwd = await configured({ ...echo, bad: { command: process.execPath, args: [SERVER, 'exit'] } })
  const check = startProxy(cwd, ['check'])
  expect((await check.ended).code).toBe(1)
  expect(check.output()).toMatch(/^bad +stdio +down/m)
  expect(await groupsIn(cwd)).toEqual([])
})

test("a plugin's command gets its arguments and gives the exit code", async () => {
  const body = `return { commands: [{ name: 'greet', description: 'says hello',
    run: async (args) => { console.log('hello ' + args.join(' ')); return 5 } }] }`
  const cwd = await withPlugin(body)
  const greet = startProxy(cwd, ['greet', 'you', '--loud'])
  expect((await greet.ended).code).toBe(5)
  expect(greet.output()).toContain('hello you --loud')
  const unknown = startProxy(cwd, ['gret'])
  expect((await unknown.ended).code).toBe(64)
  expect(unknown.output()).toContain('greet: says hello')
})

test('--version, --help, and a wrong option', async () => {
  const cwd = await folder()
  const [version, help, wrong] = [
    startProxy(cwd, ['--version']),
    startProxy(cwd, ['--help']),
    startProxy(cwd, ['--nonsense']),
  ]
  expect((await version.ended).code).toBe(0)
  expect(version.output()).toMatch(/^mcp-proxy-server \d+\.\d+\.\d+ \(commit \w+\)\n$/)
  expect((await help.ended).code).toBe(0)
  expect(help.output()).toContain('Usage: mcp-proxy-server')
  expect((await wrong.ended).code).toBe(64)
  expect(wrong.output()).toContain('--nonsense')
})
