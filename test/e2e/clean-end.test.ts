import { afterEach, describe, expect, test } from 'vitest'
import { canSeeEnvironments, createMark } from '../fixtures/cli/marked.ts'
import { configured, endProxies, groupsIn, READY, startProxy } from '../fixtures/cli/proxy.ts'
import { eventually, within, type Running } from '../fixtures/cli/run.ts'
import { node, ROOT } from '../harness.ts'

const NODE = process.execPath
const SERVER = `"${NODE}" "${ROOT}/test/fixtures/fault-server.ts"`
const shell = (script: string) => ({ command: 'sh', args: ['-c', script] })

/** Commands as people write them, and how badly their processes may behave. */
const COMMANDS = {
  npx: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-everything'], cwd: ROOT },
  uvx: { command: 'uvx', args: ['mcp-server-time@2026.10.19', '--local-timezone', 'UTC'] },
  wrapper: shell(`${SERVER}; true`),
  'wrapper that goes on, deaf to SIGTERM': shell(`trap '' TERM INT HUP; ${SERVER}; sleep 1000; sleep 1000`),
  'wrapper with a daemon beside': shell(`(trap '' TERM; sleep 1000) & exec ${SERVER}`),
  'wrapper that starts more when it is told to end': shell(
    `trap 'sleep 1000 &' TERM; ${SERVER}; while :; do sleep 1; done`,
  ),
  'deaf and loud': node('test/fixtures/cli/deaf-server.ts'),
}
const QUICK = { npx: COMMANDS.npx, uvx: COMMANDS.uvx, wrapper: COMMANDS['wrapper that goes on, deaf to SIGTERM'] }

/** Variables that uv and npm need here besides PATH and HOME. */
const passed = Object.fromEntries(
  Object.entries(process.env).filter(([name]) =>
    /^(?:UV_|SSL_CERT_|PIP_|npm_config_|https?_proxy$|no_proxy$)/i.test(name),
  ),
)

const mark = createMark()

/** Starts the real program with these servers, all of it marked; resolves once every server is up. */
async function started(cwd: string, count: number): Promise<Running> {
  const env = { ...passed, UV_PYTHON_DOWNLOADS: 'never', MCP_RESTART_DELAY: '0.05', ...mark.env }
  const proxy = startProxy(cwd, [], env, { detached: true })
  await proxy.until(READY)
  expect(proxy.output().match(/^\S.* stdio +up /gm)).toHaveLength(count)
  return proxy
}

function folderFor(servers: Record<string, object>): Promise<string> {
  const env = { UV_PYTHON_DOWNLOADS: 'never', ...mark.env }
  return configured(Object.fromEntries(Object.entries(servers).map(([name, entry]) => [name, { ...entry, env }])))
}

const running = () => mark.processes().map(({ pid, command }) => `${pid} ${command}`)

afterEach(async () => {
  await endProxies()
  if (canSeeEnvironments) mark.kill()
})

describe.skipIf(!canSeeEnvironments)(
  'nothing is left running (seen by walking /proc, skipped where there is none)',
  () => {
    // On a machine's first run uvx downloads the server and what it needs.
    const patience = 180_000

    test.each(['SIGTERM', 'SIGINT'] as const)(
      'after %s, whatever the command is, within 8 s and with 0',
      async (signal) => {
        const cwd = await folderFor(COMMANDS)
        const proxy = await started(cwd, Object.keys(COMMANDS).length)
        // Supervisor, worker, each command, and what npx, uvx and the wrappers have started.
        expect(running().length).toBeGreaterThan(2 + Object.keys(COMMANDS).length)
        if (signal === 'SIGTERM') proxy.child.kill(signal)
        else process.kill(-proxy.pid, signal) // Ctrl-C: the whole foreground group
        expect(await within(8000, proxy.ended)).toEqual({ code: 0, signal: null })
        expect(running()).toEqual([])
        expect(await groupsIn(cwd)).toEqual([])
      },
      patience,
    )

    test(
      'after kill -9 of the worker, of both at once, and of the supervisor',
      async () => {
        const cwd = await folderFor(QUICK)
        const proxy = await started(cwd, 3)
        const before = mark.processes().filter(({ pid }) => pid !== proxy.pid)
        const [first] = await groupsIn(cwd)
        process.kill(first?.owner ?? 0, 'SIGKILL')
        await proxy.until(/ended \d process group[^]*exit code 137[^]*^ready /m)
        const pids = new Set(mark.processes().map(({ pid }) => pid))
        expect(before.filter(({ pid }) => pids.has(pid))).toEqual([])

        const second = mark.processes()
        const [group] = await groupsIn(cwd)
        proxy.child.kill('SIGSTOP') // else it would do its duty in between
        process.kill(group?.owner ?? 0, 'SIGKILL')
        proxy.child.kill('SIGKILL')
        await proxy.ended
        const next = await started(cwd, 3)
        expect(next.output()).toMatch(/ended \d process group\(s\) left over from a killed proxy/)
        const now = new Set(mark.processes().map(({ pid }) => pid))
        expect(second.filter(({ pid }) => now.has(pid))).toEqual([])

        next.child.kill('SIGKILL')
        await eventually(() => running().length === 0)
        expect(await groupsIn(cwd)).toEqual([])
      },
      patience,
    )
  },
)
