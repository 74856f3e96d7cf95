import { existsSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import {
  CLI,
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
import { eventually, folder, isRunning, run } from '../../fixtures/cli/run.ts'

afterEach(endProxies)

test('a worker killed with -9 takes its servers along, and another one takes its place', async () => {
  const cwd = await configured(lasting)
  const proxy = startProxy(cwd, [], { MCP_RESTART_DELAY: '0.05' })
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
  const proxy = startProxy(cwd)
  await proxy.until(READY)
  const { leader, owner } = await onlyGroup(cwd)
  proxy.child.kill('SIGKILL')
  await eventually(() => !isRunning(owner) && !isRunning(leader))
})

test('under npm, the end of the shell in between ends the proxy', async () => {
  const cwd = await configured(echo)
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
  const proxy = startProxy(cwd)
  await proxy.until(READY)
  const { leader, owner } = await onlyGroup(cwd)
  proxy.child.kill('SIGSTOP') // else it would do its duty in between
  process.kill(owner, 'SIGKILL')
  proxy.child.kill('SIGKILL')
  await proxy.ended
  expect(isRunning(leader)).toBe(true)
  const next = startProxy(cwd)
  await next.until(/ended 1 process group\(s\) left over[^]*^ready /m)
  expect(isRunning(leader)).toBe(false)
  expect(await groupsIn(cwd)).toHaveLength(1)
})

test('an error nobody caught is a crash that leaves no server behind', async () => {
  const cwd = await withPlugin(`return { hooks: { ready() { setTimeout(() => { throw new Error('boom') }, 300) } } }`)
  const proxy = startProxy(cwd)
  await proxy.until(READY)
  const { leader } = await onlyGroup(cwd)
  expect((await proxy.ended).code).toBe(1)
  expect(proxy.output()).toContain('uncaughtException: boom')
  expect(proxy.output()).toContain('giving up after 1 restart(s)')
  expect(isRunning(leader)).toBe(false)
  expect(await groupsIn(cwd)).toEqual([])
})

test('a worker killed with -9 takes along what evaluates the configuration for it, be that in an endless loop', async () => {
  const cwd = await folder()
  const looping = join(cwd, 'looping')
  await writeFile(
    join(cwd, 'mcp-proxy.config.mjs'),
    `import { existsSync, renameSync, writeFileSync } from 'node:fs'
    if (existsSync('loop')) {
      writeFileSync('looping.tmp', String(process.pid))
      renameSync('looping.tmp', 'looping')
      for (;;);
    }
    export default { mcpServers: ${JSON.stringify(lasting)} }`,
  )
  const proxy = startProxy(cwd, [], { MCP_RESTART_DELAY: '0.05' })
  await proxy.until(READY)
  const { owner } = await onlyGroup(cwd)
  await writeFile(join(cwd, 'loop'), '')
  proxy.child.kill('SIGHUP')
  await eventually(() => existsSync(looping))
  const evaluation = Number(readFileSync(looping, 'utf8'))
  onTestFinished(() => void (isRunning(evaluation) && process.kill(evaluation, 'SIGKILL')))
  await rm(join(cwd, 'loop'))
  expect(isRunning(evaluation)).toBe(true)
  process.kill(owner, 'SIGKILL')
  await proxy.until(/ended 2 process group[^]*exit code 137/)
  expect(isRunning(evaluation)).toBe(false)
})
