import { spawnSync } from 'node:child_process'
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
import { canSeeEnvironments, createMark } from '../../fixtures/cli/marked.ts'
import { isRunning, within } from '../../fixtures/cli/run.ts'
import type { Running } from '../../fixtures/cli/run.ts'

afterEach(endProxies)

test.each(['SIGTERM', 'SIGINT'] as const)('%s at the first word ends with 0', async (signal) => {
  const proxy = startProxy(await configured(lasting))
  await proxy.until(/mcp-proxy-server \d/)
  proxy.child.kill(signal)
  expect(await proxy.ended).toEqual({ code: 0, signal: null })
  expect(proxy.output()).not.toMatch(READY)
})

test('Ctrl-C, which reaches supervisor and worker alike, is one wish', async () => {
  const cwd = await configured(lasting)
  const proxy = startProxy(cwd, [], {}, { detached: true })
  await proxy.until(READY)
  const groups = await groupsIn(cwd)
  process.kill(-proxy.pid, 'SIGINT')
  expect(await proxy.ended).toEqual({ code: 0, signal: null })
  expect(proxy.output().match(/closing: SIGINT/g)).toHaveLength(1)
  expect(groups.flatMap(({ leader, owner }) => [leader, owner]).filter(isRunning)).toEqual([])
})

/** Process 1 of a namespace of its own, as in a container without an init. */
const AS_PROCESS_1 = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
const [unshare = '', ...flags] = AS_PROCESS_1
const cannotUnshare = !canSeeEnvironments || spawnSync(unshare, [...flags, 'true']).status !== 0
const WHERE = 'as process 1 (skipped where "unshare --pid" is not permitted)'

async function asProcess1(mcpServers: object): Promise<{ proxy: Running; kill(signal: NodeJS.Signals): void }> {
  const mark = createMark()
  const proxy = startProxy(await configured(mcpServers), [], mark.env, { under: AS_PROCESS_1 })
  const kill = (signal: NodeJS.Signals): void => {
    const first = mark.processes().find(({ innerPid, command }) => innerPid === 1 && command.includes('cli.ts'))
    if (first === undefined) throw new Error(`no process 1:\n${proxy.output()}`)
    process.kill(first.pid, signal)
  }
  return { proxy, kill }
}

test.skipIf(cannotUnshare)(`${WHERE} it hands on SIGHUP and ends with 0`, async () => {
  // Its wrapper ends first, the rest of the group falls to process 1, which waits for none of them.
  const wrapped = {
    echo: { command: 'sh', args: ['-c', `sleep 1000 & exec "${process.execPath}" "${echo.echo.args[0]}"`] },
  }
  const { proxy, kill } = await asProcess1(wrapped)
  await proxy.until(READY)
  expect(proxy.output()).toContain('docker run --init')
  kill('SIGHUP')
  await proxy.until(/read again: nothing in it has changed/)
  kill('SIGTERM')
  expect(await proxy.ended).toEqual({ code: 0, signal: null })
})

test.skipIf(cannotUnshare)(`${WHERE} it hears SIGTERM from its first word on`, async () => {
  const { proxy, kill } = await asProcess1({})
  await proxy.until(/mcp-proxy-server \d/)
  kill('SIGTERM')
  expect(await proxy.ended).toEqual({ code: 0, signal: null })
})

test('a worker in an endless loop is killed, and everything is over before docker stop would kill it', async () => {
  const cwd = await withPlugin(`process.on('SIGUSR2', () => { console.log('looping'); for (;;); })`)
  const proxy = startProxy(cwd)
  await proxy.until(READY)
  const { leader, owner } = await onlyGroup(cwd)
  process.kill(owner, 'SIGUSR2')
  await proxy.until(/looping/)
  proxy.child.kill('SIGTERM')
  expect((await within(10_000, proxy.ended)).code).toBe(137)
  expect(proxy.output()).toContain('the worker did not end within 7.5 s')
  expect([leader, owner].filter(isRunning)).toEqual([])
})
