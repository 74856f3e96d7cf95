import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { Agent, fetch } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { dispose, folder, freePort, isRunning, run, type Running } from '../fixtures/cli/run.ts'
import { JSON_HEADERS } from '../harness.ts'
import { statefulEntry } from './support/stateful.ts'
import { until } from './support/until.ts'
import { connectV1, type V1Client } from './support/v1.ts'
import { jsonOf, modernInit, openWire, readMessages, type Wire } from './support/wire.ts'

// A new process takes its time on a busy machine, and here most things are new processes.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const CLI = new URL('../../core/cli.ts', import.meta.url).pathname
const READY = /^ready /m

/** The program in a folder of its own, as a user runs it. */
interface Program {
  readonly cwd: string
  readonly running: Running
  path(...names: string[]): string
  /** Does something and resolves with the first match in what the program says from then on. */
  says(pattern: RegExp, what: () => unknown): Promise<RegExpExecArray>
  /** Sends SIGHUP and resolves once the files were read and taken over. */
  hangUp(pattern?: RegExp): Promise<RegExpExecArray>
}

const TAKEN = /configuration was (?:applied|read again).*/

async function open(files: Record<string, string>, env: NodeJS.ProcessEnv = {}, lay = writeAll): Promise<Program> {
  const cwd = await folder()
  await lay(cwd, files)
  const running = run(CLI, [], { cwd, env: { MCP_LOG_FORMAT: 'pretty', ...env } })
  const program: Program = {
    cwd,
    running,
    path: (...names) => join(cwd, ...names),
    async says(pattern, what) {
      const from = running.output().length
      await what()
      const look = () => pattern.exec(running.output().slice(from))
      return until(String(pattern), look, 90_000).catch((error: Error) => {
        throw new Error(`${error.message}; it said:\n${running.output().slice(from)}`)
      })
    },
    hangUp: (pattern = TAKEN) => program.says(pattern, () => running.child.kill('SIGHUP')),
  }
  return program
}

async function writeAll(cwd: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text)
}

/** As editors do that are careful. */
async function put(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}

const shared = (rev: string, more: object = {}) => ({
  ...statefulEntry(),
  env: { REV: rev },
  isolate: 'shared',
  ...more,
})
const json = (mcpServers: object) => JSON.stringify({ mcpServers }, null, 2)

/** Who started the servers that run now: the worker. */
async function workerOf(dataDir: string): Promise<number> {
  const dir = join(dataDir, 'groups')
  const name = (await readdir(dir)).find((each) => each.endsWith('.json'))
  return JSON.parse(await readFile(join(dir, name ?? ''), 'utf8')).owner.pid
}

afterAll(dispose)

describe('one program, edited while it runs', () => {
  let program: Program
  let port: number
  let url: string
  let wire: Wire
  let v1: V1Client
  const agent = new Agent({ bodyTimeout: 0, headersTimeout: 0 })
  /** What the 2026-07-28 client heard on its stream. */
  const streamed: any[] = []
  /** How often the client of the SDK was told of other tools. */
  let v1Told = 0
  /** Answers to what servers ask the client; each waits for the test. */
  const answers: (() => void)[] = []

  /** The main file; `more` is what differs. */
  const main = ({ reload = {}, setup = '', more = '' } = {}) => `
    process.env.FROM_MAIN ??= '${setup}'
    export default {
      port: ${port},
      plugins: [
        'transport-stdio',
        ['reload', ${JSON.stringify({ debounce: 50, delays: [50], ...reload })}],
        { name: 'own', setup() { process.env.SET_UP = 'yes'; ${setup} } },
      ],
      ${more}
    }`
  const whoami = async (server: string): Promise<{ pid: number; name: string; watched: string[] }> =>
    wire.tool(`${server}_whoami`)
  const toolsOf = async (): Promise<string[]> =>
    (await wire.send('tools/list').response).result.tools.map(({ name }: any) => name)
  const heard = (method: string) => wire.heard.filter(({ on, message }) => on === 'get' && message.method === method)
  /** A request in the session of `wire`, wherever the proxy listens now. */
  const ask = async (method: string, params: object = {}) => {
    const headers = { ...JSON_HEADERS, 'mcp-session-id': wire.sessionId }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    let found: any
    await readMessages(await fetch(url, { method: 'POST', headers, body, dispatcher: agent }), (message) => {
      if (message.id === 1) found = message
    })
    return found
  }
  const pidOf = async (server: string): Promise<number> =>
    jsonOf(await ask('tools/call', { name: `${server}_whoami`, arguments: {} })).pid

  /** As Kubernetes mounts a volume: the file is a link into a folder that is itself a link, and that one is exchanged. */
  async function mount(cwd: string, version: string, text: string): Promise<void> {
    await mkdir(join(cwd, version))
    await writeFile(join(cwd, version, 'mcp_config.json'), text)
    await symlink(version, join(cwd, '..data_tmp'))
    await rename(join(cwd, '..data_tmp'), join(cwd, '..data'))
  }

  beforeAll(async () => {
    port = await freePort()
    url = `http://127.0.0.1:${port}/mcp`
    const servers = { same: shared('1'), changes: shared('1'), goes: shared('1') }
    program = await open(
      { 'mcp-proxy.config.mjs': main(), '.env': 'OWN=1\n' },
      { MCP_LIVE_RELOAD: '1' },
      async (cwd, files) => {
        await writeAll(cwd, files)
        await mount(cwd, '..1', json(servers))
        await symlink('..data/mcp_config.json', join(cwd, 'mcp_config.json'))
      },
    )
    await program.running.until(READY)
    wire = await openWire(url, {
      answer: () =>
        new Promise((resolve) => void answers.push(() => resolve({ result: { action: 'accept', content: {} } }))),
    })
    await wire.listen()
    v1 = await connectV1(url)
    v1.client.setNotificationHandler(ToolListChangedNotificationSchema, () => void v1Told++)
    const notifications = { toolsListChanged: true, resourceSubscriptions: ['state://b'] }
    const stream = await fetch(url, { ...modernInit('subscriptions/listen', { notifications }, 1), dispatcher: agent })
    void readMessages(stream, (message) => void streamed.push(message)).catch(() => {})
    await until('the stream is acknowledged', () => streamed.length === 1)
    await wire.send('resources/subscribe', { uri: 'state://a' }).response
  })

  afterAll(async () => {
    program?.running.child.kill('SIGTERM')
    await program?.running.ended
    await v1?.close()
    await wire?.vanish()
    await agent.destroy()
  })

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.error(program.running.output().slice(-4000))
  })

  test('behind swapped links: only what changed is exchanged, calls under way end where they began, all hear of it', async () => {
    const before = { same: await whoami('same'), changes: await whoami('changes'), goes: await whoami('goes') }
    // `same` lists these first, so it owns them: move them where they are exchanged.
    expect(before.same.watched.sort()).toEqual(['state://a', 'state://b'])
    const calls = [wire.tool('changes_ask', { mark: 'x' }), wire.tool('goes_ask', { mark: 'y' })]
    await until('both ask', () => answers.length === 2)
    const next = {
      comes: shared('1'),
      changes: shared('2', { env: { REV: '2', TOKEN: 'hush-hush' } }),
      same: shared('1'),
    }
    await program.says(/applied: new: comes; gone: goes; changed: changes/, () => mount(program.cwd, '..2', json(next)))
    expect((await whoami('same')).pid).toBe(before.same.pid)
    const now = await whoami('changes')
    expect(now.pid).not.toBe(before.changes.pid)
    expect([before.changes.pid, before.goes.pid].every(isRunning)).toBe(true)
    for (const answer of answers) answer()
    expect(await Promise.all(calls)).toEqual([expect.anything(), expect.anything()])
    await until('the old ones have ended', () => ![before.changes.pid, before.goes.pid].some(isRunning))
    await until('`comes` is listed', async () => (await toolsOf()).includes('comes_whoami'))
    expect((await toolsOf()).some((name) => name.startsWith('goes_'))).toBe(false)
    await until('the session hears of it', () => heard('notifications/tools/list_changed').length > 0)
    await until('the stream hears of it', () =>
      streamed.some(({ method }) => method === 'notifications/tools/list_changed'),
    )
    await until('the SDK hears of it', () => v1Told > 0)
    expect((await v1.client.listTools()).tools.map(({ name }) => name)).toContain('comes_whoami')
    expect(program.running.output()).not.toContain('hush-hush')
  })

  test('a subscription moves to the new instance; a bad entry is that server’s alone', async () => {
    const same = shared('2')
    const bad = { comand: 'x' }
    const next = json({
      same,
      changes: shared('2', { env: { REV: '2', TOKEN: 'hush-hush' } }),
      comes: shared('1'),
      bad,
    })
    await program.says(/applied: new: bad; changed: same/, () => put(program.path('mcp_config.json'), next))
    await until('it is subscribed to', async () => (await whoami('same')).watched.length === 2)
    for (const uri of ['state://a', 'state://b']) expect(await wire.tool('same_touch', { uri })).toEqual({ told: true })
    const updated = 'notifications/resources/updated'
    await until('the session hears of it', () => heard(updated).length > 0)
    await until('the stream hears of it', () => streamed.some(({ method }) => method === updated))
    expect(heard(updated).map(({ message }) => message.params.uri)).toEqual(['state://a'])
    expect(streamed.filter(({ method }) => method === updated).map(({ params }) => params.uri)).toEqual(['state://b'])
    expect(program.running.output()).toMatch(
      /ERROR.*bad.*invalid: .*mcp_config\.json:\d+ mcpServers\.bad\.comand: .*"command"/i,
    )
  })

  test('half a file is refused, and the whole of it taken; prefix and tools leave the server alone', async () => {
    const { pid } = await whoami('comes')
    const comes = shared('1', { prefix: 'other', tools: { include: ['who*'] } })
    const next = json({ same: shared('2'), comes })
    const half = next.slice(0, next.length / 2)
    const [line] = await program.says(/configuration is refused.*/, () =>
      writeFile(program.path('mcp_config.json'), half),
    )
    expect(line).toMatch(/the proxy goes on with the one before: .*mcp_config\.json:\d+:\d+: not valid JSON/)
    expect((await whoami('comes')).pid).toBe(pid)
    await program.says(/applied: gone: changes, bad; changed: comes/, () =>
      writeFile(program.path('mcp_config.json'), next),
    )
    expect((await toolsOf()).filter((name) => !name.startsWith('same_'))).toEqual(['other_whoami'])
    expect((await whoami('other')).pid).toBe(pid)
  })

  test('a file that is gone is refused until it is back; where nothing but comments differ nothing happens', async () => {
    const text = await readFile(program.path('mcp_config.json'), 'utf8')
    const { pid } = await whoami('other')
    const [line] = await program.says(/configuration is refused.*/, () => rm(program.path('mcp_config.json')))
    expect(line).toContain(`${program.path('mcp_config.json')} is gone; put it back`)
    expect((await whoami('other')).pid).toBe(pid)
    await program.says(/nothing in it has changed/, () =>
      writeFile(program.path('mcp_config.json'), `// back\n\n${text}`),
    )
    expect((await whoami('other')).pid).toBe(pid)
  })

  test('SIGHUP does the same; what is held does not grow with the number of reloads', async () => {
    const text = (rev: number) => json({ same: shared('2'), again: shared(String(rev)) })
    const worker = await workerOf(program.path('data'))
    const reload = async (rev: number) => {
      await writeFile(program.path('mcp_config.json'), text(rev))
      await program.hangUp(/applied: .*again/)
      await until('`again` is listed', async () => (await toolsOf()).includes('again_whoami'))
      const { pid } = await whoami('again')
      await until('the one before has ended', async () => (await childrenOf(worker)).length <= 2)
      return pid
    }
    const pids = [await reload(1), await reload(2)]
    const before = await descriptorsOf(worker)
    pids.push(await reload(3), await reload(4))
    expect(new Set(pids).size).toBe(4)
    expect(await descriptorsOf(worker)).toBeLessThanOrEqual(before)
    expect(await workerOf(program.path('data'))).toBe(worker)
  })

  test('a mistake in the main file is refused; another plugin starts a new worker, and the session goes on', async () => {
    const worker = await workerOf(program.path('data'))
    const file = program.path('mcp-proxy.config.mjs')
    const [line] = await program.says(/configuration is refused.*/, () => put(file, main({ setup: 'void (' })))
    expect(line).toMatch(/mcp-proxy\.config\.mjs:\d+/)
    await program.says(READY, () => put(file, main({ setup: 'void 1' })))
    expect(program.running.output()).toContain('the configuration has changed (plugins, env.FROM_MAIN)')
    expect(await workerOf(program.path('data'))).not.toBe(worker)
    expect(isRunning(worker)).toBe(false)
    expect(await pidOf('same')).toEqual(expect.any(Number))
  })

  test('`.env` is refused while it is gone, and starts a new worker when it differs', async () => {
    await program.says(/configuration is refused.*\.env is gone/, () => rm(program.path('.env')))
    await program.says(/has changed \(env\.OWN\)[^]*^ready /m, () => put(program.path('.env'), 'OWN=2\n'))
    expect(await pidOf('same')).toEqual(expect.any(Number))
  })

  test('a port that is taken is refused, and a free one taken: the session goes on there', async () => {
    const file = program.path('mcp-proxy.config.mjs')
    const other = createServer()
    const taken = await freePort()
    await new Promise<void>((resolve) => other.listen(taken, '127.0.0.1', resolve))
    const before = port
    port = taken
    await program.says(/configuration is refused.*is taken/, () => put(file, main({ setup: 'void 1' })))
    expect(await pidOf('same')).toEqual(expect.any(Number))
    other.close()
    port = await freePort()
    expect(port).not.toBe(before)
    await program.says(/has changed \((?:port|baseUrl|plugins|, )+\)[^]*^ready /m, () =>
      put(file, main({ setup: 'void 1', reload: { strategy: 'restart' } })),
    )
    url = `http://127.0.0.1:${port}/mcp`
    expect(await pidOf('same')).toEqual(expect.any(Number))
  })

  test('with "restart" a server is reason enough; in another data folder the supervisor still cleans up', async () => {
    const lasting = { command: 'sh', args: ['-c', `"$0" "$@"; sleep 1000`, process.execPath, ...shared('1').args] }
    await program.says(/has changed \(new: lasting; gone: again\)[^]*^ready /m, () =>
      put(program.path('mcp_config.json'), json({ same: shared('2'), lasting })),
    )
    const moved = main({ setup: 'void 1', reload: { strategy: 'restart' }, more: `dataDir: 'elsewhere',` })
    await program.says(/has changed \(dataDir\)[^]*^ready /m, () => put(program.path('mcp-proxy.config.mjs'), moved))
    const worker = await workerOf(program.path('elsewhere'))
    await program.says(/ended \d process group\(s\) that the worker left behind[^]*^ready /m, () =>
      process.kill(worker, 'SIGKILL'),
    )
    expect(program.running.output()).not.toMatch(/hush-hush|FATAL|uncaught|unhandled|not closed after/i)
  })
})

test('an edit while it starts is not lost, a clock in an entry makes no loop, and its end waits for no evaluation', async () => {
  const main = (more = '') => `
    import { existsSync, writeFileSync } from 'node:fs'
    if (existsSync('hang')) {
      writeFileSync('hangs', String(process.pid))
      await new Promise(() => {})
    }
    const slow = {
      name: 'slow',
      async setup({ serving }) {
        if (serving) writeFileSync('set-up', '')
        await new Promise((resolve) => setTimeout(resolve, 700))
      },
    }
    const entry = ${JSON.stringify(statefulEntry())}
    export default {
      plugins: ['transport-stdio', slow, ['reload', { debounce: 50 }]],
      mcpServers: { clock: { ...entry, env: { NOW: String(Date.now()) } }, ${more} },
    }`
  const secret = 'x'.repeat(40)
  const env = { MCP_LIVE_RELOAD: '1', MCP_PORT: String(await freePort()), MCP_SECRET_FILE: 'secret' }
  const program = await open({ 'mcp-proxy.config.mjs': main(), secret }, env)
  const { running } = program
  const file = program.path('mcp-proxy.config.mjs')
  const applied = () => running.output().match(/configuration was applied/g)?.length ?? 0
  // The file was read by then, and is not watched yet.
  await until('it is being set up', () => existsSync(program.path('set-up')))
  await put(file, main('echo: entry'))
  await running.until(/applied: new: echo; changed: clock/)
  await running.until(READY)
  // Long enough for a file that is touched by that to be told of, and read.
  await sleep(3000)
  expect(applied()).toBe(1)

  const { sessionId, vanish } = await openWire(`http://127.0.0.1:${env.MCP_PORT}/mcp`)
  await vanish()
  await program.says(/has changed \(secret.*\)[^]*^ready /m, () =>
    put(program.path('secret'), `${'y'.repeat(40)},${secret}`),
  )
  const ping = await fetch(`http://127.0.0.1:${env.MCP_PORT}/mcp`, {
    method: 'POST',
    headers: { ...JSON_HEADERS, 'mcp-session-id': sessionId },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
  })
  expect(ping.status).toBe(200)
  await ping.text()

  await writeFile(program.path('hang'), '')
  running.child.kill('SIGHUP')
  await until('an evaluation hangs', () => existsSync(program.path('hangs')))
  const pid = Number(await readFile(program.path('hangs'), 'utf8'))
  const from = running.output().length
  running.child.kill('SIGTERM')
  expect(await running.ended).toEqual({ code: 0, signal: null })
  await until('the evaluation has ended', () => !isRunning(pid))
  expect(running.output().slice(from)).not.toMatch(/refused|WARN|ERROR/i)
})

/** Only Linux tells of these; elsewhere there are none. */
async function childrenOf(pid: number): Promise<readonly string[]> {
  if (process.platform !== 'linux') return []
  return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').filter(Boolean)
}

async function descriptorsOf(pid: number): Promise<number> {
  return process.platform === 'linux' ? (await readdir(`/proc/${pid}/fd`)).length : 0
}
