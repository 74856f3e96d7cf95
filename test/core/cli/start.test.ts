import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import {
  configured,
  echo,
  endProxies,
  groupsIn,
  lasting,
  onlyGroup,
  READY,
  startProxy,
  withPlugin,
} from '../../fixtures/cli/proxy.ts'
import { folder, freePort, isRunning } from '../../fixtures/cli/run.ts'

afterEach(endProxies)

test('starts, says where, answers, and ends in order with 0', async () => {
  const cwd = await configured({ ...echo, gone: { command: 'no-such-command-here' } })
  const proxy = startProxy(cwd)
  const [, url = ''] = await proxy.until(READY)
  expect((await fetch(new URL('/healthz', url))).status).toBe(200)
  const { leader, owner } = await onlyGroup(cwd)
  expect(owner).not.toBe(proxy.pid)
  proxy.child.kill('SIGTERM')
  expect(await proxy.ended).toEqual({ code: 0, signal: null })
  expect([leader, owner].filter(isRunning)).toEqual([])
  expect(await groupsIn(cwd)).toEqual([])

  const output = proxy.output()
  expect(output).toMatch(/mcp-proxy-server \d+\.\d+\.\d+ \(commit \w+\)/)
  expect(output).toMatch(/^echo +stdio +up +3 +\d+\.\d s$/m)
  expect(output).toMatch(/^gone +stdio +down .*"no-such-command-here" not found/m)
  expect(output).toContain('No authentication: only this machine can connect (127.0.0.1)')
  expect(output).toContain(`claude mcp add --transport http mcp-proxy ${url}`)
  expect(output).not.toContain('\u001B')
})

test('with no server it starts all the same and says how to add one', async () => {
  const proxy = startProxy(await folder())
  await proxy.until(READY)
  expect(proxy.output()).toContain('No servers yet: add one')
})

test('without a supervising plugin one process does it all', async () => {
  const cwd = await folder()
  const config = `export default { plugins: ['transport-stdio'], mcpServers: ${JSON.stringify(lasting)} }`
  await writeFile(join(cwd, 'mcp-proxy.config.mjs'), config)
  const proxy = startProxy(cwd)
  await proxy.until(READY)
  const { leader, owner } = await onlyGroup(cwd)
  expect(owner).toBe(proxy.pid)
  proxy.child.kill('SIGTERM')
  expect((await proxy.ended).code).toBe(0)
  expect(isRunning(leader)).toBe(false)
})

test('a plugin may ask to start anew', async () => {
  const cwd = await withPlugin(`
    if (!existsSync('seen')) { writeFileSync('seen', ''); context.exit(42, 'because') }`)
  const proxy = startProxy(cwd)
  await proxy.until(/closing: because[^]*asked to be started anew[^]*^ready /m)
})

test('on SIGHUP the running worker reads the configuration again', async () => {
  const cwd = await configured({})
  const proxy = startProxy(cwd)
  await proxy.until(READY)
  await writeFile(join(cwd, 'mcp_config.json'), JSON.stringify({ mcpServers: echo }))
  proxy.child.kill('SIGHUP')
  await proxy.until(/the configuration was applied: new: echo/)
  expect(proxy.output()).not.toContain('started anew')
})

async function occupy(port: number) {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return server
}

test('a taken port is waited for', async () => {
  const port = await freePort()
  const other = await occupy(port)
  const proxy = startProxy(await configured({}), ['--port', String(port)])
  await proxy.until(/is taken; trying for 10 s/)
  other.close()
  expect((await proxy.until(READY))[1]).toBe(`http://127.0.0.1:${port}/mcp`)
})

test('a port that stays taken ends with 75, once', async () => {
  const port = await freePort()
  const other = await occupy(port)
  const proxy = startProxy(await configured({}), ['--port', String(port)])
  expect((await proxy.ended).code).toBe(75)
  expect(proxy.output().match(/trying for 10 s/g)).toHaveLength(1)
  expect(proxy.output()).toContain('choose another port')
  other.close()
})

test('a file that was broken while the proxy ran does not end it: after a crash it comes back once that is mended', async () => {
  const cwd = await configured(lasting)
  const proxy = startProxy(cwd, [], { MCP_RESTART_DELAY: '0.1' })
  await proxy.until(READY)
  const { leader, owner } = await onlyGroup(cwd)
  await writeFile(join(cwd, 'mcp_config.json'), '{ "mcpServers": ')
  process.kill(owner, 'SIGKILL')
  await proxy.until(/restart 1 of 10 in 0\.1 s[^]*not valid JSON[^]*exit code 78 [^]*restart 2 of 10/)
  expect(isRunning(leader)).toBe(false)
  await writeFile(join(cwd, 'mcp_config.json'), JSON.stringify({ mcpServers: lasting }))
  await proxy.until(/restart 2 of 10[^]*^ready /m)
})
