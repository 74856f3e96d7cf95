import { readFile, readdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { dispose, eventually, folder, freePort, isRunning, run } from '../../fixtures/cli/run.ts'
import type { Running } from '../../fixtures/cli/run.ts'

const CLI = new URL('../../../core/cli.ts', import.meta.url).pathname
const SERVER = new URL('../../fixtures/fault-server.ts', import.meta.url).pathname

const servers = { echo: { command: process.execPath, args: [SERVER] } }
/** A server whose group outlives its input: what is left when nobody is there to end it. */
const lasting = { echo: { command: 'sh', args: ['-c', `"${process.execPath}" "${SERVER}"; sleep 1000`] } }

let running: Running[] = []

afterEach(async () => {
  for (const { child } of running) child.kill('SIGTERM')
  await Promise.all(running.map(({ ended }) => ended))
  running = []
  await dispose()
})

async function configured(mcpServers: object): Promise<string> {
  const cwd = await folder()
  await writeFile(join(cwd, 'mcp_config.json'), JSON.stringify({ mcpServers }))
  return cwd
}

function cli(cwd: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Running {
  const started = run(CLI, args, { cwd, env: { MCP_PORT: '0', MCP_LOG_FORMAT: 'pretty', ...env } })
  running.push(started)
  return started
}

interface Group {
  readonly leader: number
  readonly owner: number
}

/** The process groups recorded right now: the owner is the worker. */
async function groupsIn(cwd: string): Promise<readonly Group[]> {
  const dir = join(cwd, 'data', 'groups')
  const texts = await Promise.all((await readdir(dir)).map((name) => readFile(join(dir, name), 'utf8')))
  return texts.map((text) => JSON.parse(text)).map(({ leader, owner }) => ({ leader: leader.pid, owner: owner.pid }))
}

async function onlyGroup(cwd: string): Promise<Group> {
  const [group] = await groupsIn(cwd)
  if (group === undefined) throw new Error('no group is recorded')
  return group
}

const READY = /^ready (http:\S+)$/m

test('starts, says where, answers, and ends in order with 0', async () => {
  const cwd = await configured({ ...servers, gone: { command: 'no-such-command-here' } })
  const proxy = cli(cwd)
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
  const proxy = cli(await folder())
  await proxy.until(READY)
  expect(proxy.output()).toContain('No servers yet: add one')
})

test('a worker killed with -9 takes its servers along, and another one takes its place', async () => {
  const cwd = await configured(lasting)
  const proxy = cli(cwd, [], { MCP_RESTART_DELAY: '0.05' })
  await proxy.until(READY)
  const first = await onlyGroup(cwd)
  process.kill(first.owner, 'SIGKILL')
  await proxy.until(/ended 1 process group[^]*exit code 137[^]*^ready /m)
  expect(isRunning(first.leader)).toBe(false)
  const second = await onlyGroup(cwd)
  expect(second.owner).not.toBe(first.owner)
  proxy.child.kill('SIGINT')
  expect((await proxy.ended).code).toBe(0)
  expect(isRunning(second.leader)).toBe(false)
})

test('a supervisor killed with -9 leaves nothing running', async () => {
  const cwd = await configured(lasting)
  const proxy = cli(cwd)
  await proxy.until(READY)
  const { leader, owner } = await onlyGroup(cwd)
  proxy.child.kill('SIGKILL')
  await eventually(() => !isRunning(owner) && !isRunning(leader))
})

test('under npm, the end of the shell in between ends the proxy', async () => {
  const cwd = await configured(servers)
  const launcher = join(cwd, 'launcher.mjs')
  await writeFile(
    launcher,
    `import { spawn } from 'node:child_process'
    const child = spawn(process.execPath, ${JSON.stringify([CLI])}, { stdio: 'inherit' })
    console.log('proxy ' + child.pid)`,
  )
  const shell = run(launcher, [], { cwd, env: { MCP_PORT: '0', npm_lifecycle_event: 'start' } })
  const proxy = Number((await shell.until(/proxy (\d+)/))[1])
  await shell.until(READY)
  const { leader, owner } = await onlyGroup(cwd)
  shell.child.kill('SIGKILL')
  await eventually(() => ![proxy, owner, leader].some(isRunning))
})

test('what is left when both are killed is ended by the next start', async () => {
  const cwd = await configured(lasting)
  const proxy = cli(cwd)
  await proxy.until(READY)
  const { leader, owner } = await onlyGroup(cwd)
  proxy.child.kill('SIGSTOP') // else it would do its duty in between
  process.kill(owner, 'SIGKILL')
  proxy.child.kill('SIGKILL')
  await proxy.ended
  expect(isRunning(leader)).toBe(true)
  const next = cli(cwd)
  await next.until(/ended 1 process group\(s\) left over[^]*^ready /m)
  expect(isRunning(leader)).toBe(false)
  expect(await groupsIn(cwd)).toHaveLength(1)
})

test('without a supervising plugin one process does it all', async () => {
  const cwd = await folder()
  const config = `export default { plugins: ['transport-stdio'], mcpServers: ${JSON.stringify(lasting)} }`
  await writeFile(join(cwd, 'mcp-proxy.config.mjs'), config)
  const proxy = cli(cwd)
  await proxy.until(READY)
  const { leader, owner } = await onlyGroup(cwd)
  expect(owner).toBe(proxy.pid)
  proxy.child.kill('SIGTERM')
  expect((await proxy.ended).code).toBe(0)
  expect(isRunning(leader)).toBe(false)
})

/** A main file with a plugin of its own: `body` is what its set-up does. */
async function withPlugin(body: string, reload = '{ delays: [10], limit: 1 }'): Promise<string> {
  const cwd = await folder()
  const plugin = `{ name: 'own', setup(context) { ${body} } }`
  const text = `import { existsSync, writeFileSync } from 'node:fs'
export default { plugins: ['transport-stdio', ['reload', ${reload}], ${plugin}], mcpServers: ${JSON.stringify(lasting)} }`
  await writeFile(join(cwd, 'mcp-proxy.config.mjs'), text)
  return cwd
}

test('an error nobody caught is a crash that leaves no server behind', async () => {
  const cwd = await withPlugin(`return { hooks: { ready() { setTimeout(() => { throw new Error('boom') }, 300) } } }`)
  const proxy = cli(cwd)
  await proxy.until(READY)
  const { leader } = await onlyGroup(cwd)
  expect((await proxy.ended).code).toBe(1)
  expect(proxy.output()).toContain('uncaughtException: boom')
  expect(proxy.output()).toContain('giving up after 1 restart(s)')
  expect(isRunning(leader)).toBe(false)
  expect(await groupsIn(cwd)).toEqual([])
})

test('a plugin may ask to start anew', async () => {
  const cwd = await withPlugin(`
    if (!existsSync('seen')) { writeFileSync('seen', ''); context.exit(42, 'because') }`)
  const proxy = cli(cwd)
  await proxy.until(/closing: because[^]*asked to be started anew[^]*^ready /m)
})

test('on SIGHUP the running worker reads the configuration again', async () => {
  const cwd = await configured({})
  const proxy = cli(cwd)
  await proxy.until(READY)
  await writeFile(join(cwd, 'mcp_config.json'), JSON.stringify({ mcpServers: servers }))
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
  const proxy = cli(await configured({}), ['--port', String(port)])
  await proxy.until(/is taken; trying for 10 s/)
  other.close()
  expect((await proxy.until(READY))[1]).toBe(`http://127.0.0.1:${port}/mcp`)
})

test('a port that stays taken ends with 75, once', async () => {
  const port = await freePort()
  const other = await occupy(port)
  const proxy = cli(await configured({}), ['--port', String(port)])
  expect((await proxy.ended).code).toBe(75)
  expect(proxy.output().match(/trying for 10 s/g)).toHaveLength(1)
  expect(proxy.output()).toContain('choose another port')
  other.close()
})

test.each([
  [['--config', 'missing.json'], {}, /missing\.json/],
  [['--port', '99999'], {}, /--port/],
  [[], { MCP_HOST: '0.0.0.0' }, /MCP_ALLOW_UNAUTHENTICATED/],
])('%j %j: exit 78 and the reason', async (args, env, reason) => {
  const proxy = cli(await configured({}), args, env)
  expect((await proxy.ended).code).toBe(78)
  expect(proxy.output()).toMatch(reason)
})

test('an unknown plugin: exit 78 and its name', async () => {
  const cwd = await folder()
  await writeFile(join(cwd, 'mcp-proxy.config.mjs'), `export default { plugins: ['transport-pigeon'] }`)
  const proxy = cli(cwd)
  expect((await proxy.ended).code).toBe(78)
  expect(proxy.output()).toContain('transport-pigeon')
})

test('check: 0 when every server is up, disabled ones aside', async () => {
  const lazy = { ...servers.echo, lazy: true }
  const check = cli(await configured({ ...servers, lazy, off: { ...servers.echo, disabled: true } }), ['check'])
  expect((await check.ended).code).toBe(0)
  expect(check.output()).toMatch(/^echo +stdio +up +3/m)
  expect(check.output()).toMatch(/^lazy +stdio +up +3/m)
  expect(check.output()).toMatch(/^off +stdio +disabled/m)
  expect(check.output()).not.toMatch(/listening|ready/)
})

test('check: 1 when one is not, with its reason', async () => {
  const cwd = await configured({ ...servers, bad: { command: process.execPath, args: [SERVER, 'exit'] } })
  const check = cli(cwd, ['check'])
  expect((await check.ended).code).toBe(1)
  expect(check.output()).toMatch(/^bad +stdio +down/m)
  expect(await groupsIn(cwd)).toEqual([])
})

test("a plugin's command gets its arguments and gives the exit code", async () => {
  const body = `return { commands: [{ name: 'greet', description: 'says hello',
    run: async (args) => { console.log('hello ' + args.join(' ')); return 5 } }] }`
  const cwd = await withPlugin(body)
  const greet = cli(cwd, ['greet', 'you', '--loud'])
  expect((await greet.ended).code).toBe(5)
  expect(greet.output()).toContain('hello you --loud')
  const unknown = cli(cwd, ['gret'])
  expect((await unknown.ended).code).toBe(64)
  expect(unknown.output()).toContain('greet: says hello')
})

test('--version, --help, and a wrong option', async () => {
  const cwd = await folder()
  const [version, help, wrong] = [cli(cwd, ['--version']), cli(cwd, ['--help']), cli(cwd, ['--nonsense'])]
  expect((await version.ended).code).toBe(0)
  expect(version.output()).toMatch(/^mcp-proxy-server \d+\.\d+\.\d+ \(commit \w+\)\n$/)
  expect((await help.ended).code).toBe(0)
  expect(help.output()).toContain('Usage: mcp-proxy-server')
  expect((await wrong.ended).code).toBe(64)
  expect(wrong.output()).toContain('--nonsense')
})
