import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import type { UntypedConfig } from '../../../core/config/define.ts'
import { openLegacy, openProxy, postModern, servers, type LegacyWire, type TestProxy } from '../../harness.ts'

interface Opened {
  readonly proxy: TestProxy
  readonly wire: LegacyWire
  readonly dataDir: string
  status(name: string): { state: string; reason?: string; tools: number } | undefined
  /** What was logged about one server, at warn and above. */
  said(name: string): string
  call(name: string, args?: object): Promise<any>
}

let opened: Opened | undefined

/** A proxy in front of a healthy server and others. */
async function open(
  others: UntypedConfig['mcpServers'],
  config: Omit<UntypedConfig, 'mcpServers'> = {},
): Promise<Opened> {
  const dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-test-'))
  const mcpServers = { healthy: servers.fault('echo'), ...others } as never
  const proxy = await openProxy({ ...config, dataDir, mcpServers })
  const wire = await openLegacy(proxy.url)
  opened = {
    proxy,
    wire,
    dataDir,
    status: (name) => proxy.kernel.upstreams.find((one) => one.name === name),
    said: (name) =>
      proxy.lines
        .filter(({ tag, level }) => tag.split(':').includes(name) && ['warn', 'error'].includes(level))
        .map(({ text }) => text)
        .join('\n'),
    call: (name, args = {}) => wire.request('tools/call', { name, arguments: args }),
  }
  return opened
}

/** The servers' process groups, from the records that the proxy keeps of what it started. */
async function groups(dataDir: string): Promise<number[]> {
  const files = (await readdir(dataDir, { recursive: true })).filter((file) => /\d+-[0-9a-f]{8}\.json$/.test(file))
  const records = await Promise.all(files.map((file) => readFile(join(dataDir, file), 'utf8').catch(() => '')))
  return records.filter(Boolean).map((text) => (JSON.parse(text) as { leader: { pid: number } }).leader.pid)
}

function lives(group: number): boolean {
  try {
    return process.kill(-group, 0)
  } catch {
    return false
  }
}

/** Whatever another server does, the healthy one answers, in both eras; and nothing of any is left after the end. */
async function expectNoHarm({ proxy, call, dataDir }: Opened): Promise<void> {
  const answer = await call('healthy_echo', { text: 'fine' })
  expect(answer.result.content).toEqual([{ type: 'text', text: 'fine' }])
  const modern = await postModern(proxy.url, 'tools/call', { name: 'healthy_echo', arguments: { text: 'fine' } })
  expect(await modern.json()).toMatchObject({ result: { content: [{ text: 'fine' }] } })
  const running = await groups(dataDir)
  expect(running.length).toBeGreaterThan(0)
  expect(running.filter(lives)).not.toEqual([])
  await proxy.close()
  expect(running.filter(lives)).toEqual([])
  expect(await groups(dataDir)).toEqual([])
}

afterEach(async () => {
  if (opened === undefined) return
  const last = opened
  opened = undefined
  try {
    await expectNoHarm(last)
  } finally {
    await last.proxy.close()
    await rm(last.dataDir, { recursive: true, force: true })
  }
})

const names = async (wire: LegacyWire): Promise<string[]> =>
  (await wire.request('tools/list')).result.tools.map(({ name }: { name: string }) => name)

it('a server that exits at once is down, with its exit code and last words', async () => {
  const { wire, status, said, call } = await open({ bad: servers.fault('exit') })
  expect(status('bad')).toMatchObject({ state: 'down' })
  expect(said('bad')).toMatch(/down: .*server "bad" exited with code 3; its last words: fault-server: cannot go on/)
  expect(await names(wire)).toEqual(['healthy_echo', 'healthy_progress', 'healthy_sleep'])
  expect(await call('bad_echo')).toMatchObject({ error: { code: -32602, message: 'Unknown tool: bad_echo' } })
})

it('a server that prints garbage between its messages works, and the log says so', async () => {
  const { status, said, call } = await open({ bad: servers.fault('garbage') })
  expect(status('bad')).toMatchObject({ state: 'up', tools: 3 })
  expect((await call('bad_echo', { text: 'clean' })).result.content[0].text).toBe('clean')
  expect(said('bad')).toContain('stdout has a line that is no MCP message')
  expect(said('bad').split('\n').length).toBeLessThan(10)
})

it('a server that never answers is given up after its connect timeout', async () => {
  const { status, said, wire } = await open({ bad: { ...servers.fault('silent'), connectTimeout: 700 } })
  expect(status('bad')).toMatchObject({ state: 'down' })
  expect(said('bad')).toContain('no answer within 0.7 s of connecting')
  expect(await names(wire)).toHaveLength(3)
})

it('a server that never answers a call fails that call alone, after its request timeout', async () => {
  const { status, call, wire } = await open({ bad: { ...servers.fault('silent-call'), requestTimeout: 1000 } })
  const [lost, fine, listed] = await Promise.all([call('bad_echo'), call('healthy_echo', { text: 'x' }), names(wire)])
  expect(lost.error).toMatchObject({ code: -32603, message: 'server "bad" gave no answer to tools/call within 1 s' })
  expect(lost.error.data.requestId).toEqual(expect.any(String))
  expect(fine.result.content[0].text).toBe('x')
  expect(listed).toContain('bad_echo')
  expect(status('bad')).toMatchObject({ state: 'up' })
})

it('progress keeps a slow call alive beyond the request timeout', async () => {
  const { call } = await open({ slow: { ...servers.everything, requestTimeout: 1500 } })
  const answer = await opened!.wire.request('tools/call', {
    name: 'slow_trigger-long-running-operation',
    arguments: { duration: 3, steps: 6 },
    _meta: { progressToken: 'p' },
  })
  expect(answer.result.content[0].text).toContain('completed')
  expect((await call('slow_echo', { message: 'hi' })).result.content[0].text).toContain('hi')
})

it('an answer with a wrong id reaches nobody', async () => {
  const { call, proxy, wire } = await open({ bad: { ...servers.fault('wrong-id'), requestTimeout: 800 } })
  const other = await openLegacy(proxy.url)
  const [lost, fine] = await Promise.all([call('bad_echo'), other.request('tools/call', { name: 'bad_echo' }, 'not-1')])
  for (const answer of [lost, fine]) expect(answer.error.message).toContain('gave no answer to tools/call')
  expect(proxy.log()).toContain('a response to no open request')
  expect(await wire.request('ping')).toMatchObject({ result: {} })
})

it('a 50 MB line fails the call it answers and kills nobody', async () => {
  const { call, status, said } = await open({ bad: servers.fault('big-line') })
  const answer = await call('bad_echo')
  expect(answer.error.code).toBe(-32603)
  expect(answer.error.message).toMatch(/server "bad".* sent a message of 5\d{7} bytes; at most 33554432 are accepted/)
  expect(said('bad')).toContain('it was skipped')
  expect(status('bad')).toMatchObject({ state: 'up' })
  expect((await call('bad_echo')).error.code).toBe(-32603)
})

it('of two tools of one name the first is listed, and the log warns', async () => {
  const { proxy, wire, said, call } = await open({ bad: servers.fault('twins') })
  const { tools } = (await wire.request('tools/list')).result
  expect(tools.filter(({ name }: { name: string }) => name === 'bad_echo')).toMatchObject([
    { description: 'the first' },
  ])
  expect(said('bad')).toContain('tools/list: "echo" is listed twice, the first one counts')
  expect((await call('bad_echo', { text: 'one' })).result.content[0].text).toBe('one')
  expect(proxy.kernel.upstreams.find(({ name }) => name === 'bad')?.tools).toBe(1)
})

it.each(['pages', 'endless'])(
  'of a server with too many pages (%s) the first 64 are listed, and the log warns',
  async (mode) => {
    const { wire, said, call } = await open({ bad: servers.fault(mode) })
    const listed = (await names(wire)).filter((name) => name.startsWith('bad_'))
    expect(listed).toEqual(Array.from({ length: 64 }, (_, page) => `bad_page_${page}`))
    expect(said('bad')).toContain('more than 64 pages, the rest is left out')
    expect(await call('bad_page_64')).toMatchObject({ error: { code: -32602 } })
  },
)

it('of a server with 200 pages the last tool listed can be called', async () => {
  const { call } = await open({ bad: servers.fault('pages') })
  expect((await call('bad_page_63')).result.content[0].text).toBe('page_63')
})

it('a server that dies during a call fails it clearly, comes back by itself and works again', async () => {
  const { call, status, said, dataDir, wire } = await open({ bad: servers.fault('crash-call') })
  const before = await groups(dataDir)
  const answer = await call('bad_echo')
  expect(answer.error.code).toBe(-32603)
  // What the server said last is for the operator alone.
  expect(answer.error.message).toBe('server "bad" exited with code 7')
  expect(said('bad')).toMatch(/exited with code 7; its last words: .*broke during a call/)
  expect(status('bad')).not.toMatchObject({ state: 'up' })
  // Meanwhile its tools stay listed, and calling one says what is the matter.
  expect(await names(wire)).toContain('bad_echo')
  expect((await call('bad_echo')).error.message).toBe('server "bad" is down; the log of the proxy says why')
  await vi.waitFor(() => expect(status('bad')).toMatchObject({ state: 'up', tools: 3 }), 10_000)
  expect(said('bad')).toMatch(/down: .*; next attempt in \d/)
  const after = await groups(dataDir)
  expect(after.filter((group) => before.includes(group))).toHaveLength(1)
  expect((await call('bad_echo')).error.message).toMatch(/exited with code 7/)
  expect(before.filter(lives)).toHaveLength(1)
})

it('bad entries are invalid, each with what to do about it, and start nothing', async () => {
  const { proxy, wire, status } = await open({
    lost: { command: 'no-such-command-anywhere', args: [] },
    misspelt: { command: 'node', arg: ['x'] },
    typed: { command: 'node', args: 'x.js' },
    missing: { command: 'node', args: ['${MISSING_VARIABLE_OF_TEST}'] },
    neither: {},
    pigeon: { type: 'pigeon' },
    folder: { command: 'node', cwd: '/no/such/folder' },
    odd: 7 as never,
    settings: { command: 'node', connectTimeout: 'soon' },
    off: { command: 'no-such-command-anywhere', disabled: true },
  })
  const reason = (name: string, state = 'invalid') => {
    expect(status(name)?.state).toBe(state)
    return status(name)?.reason
  }
  expect(reason('lost', 'down')).toContain(
    'command "no-such-command-anywhere" not found (server "lost"); check "command" or PATH',
  )
  expect(reason('folder', 'down')).toContain('folder "/no/such/folder" not found (server "folder"); check "cwd"')
  expect(reason('misspelt')).toMatch(/mcpServers\.misspelt\.arg: unknown key.*args/)
  expect(reason('typed')).toContain('mcpServers.typed.args')
  expect(reason('missing')).toContain('MISSING_VARIABLE_OF_TEST')
  expect(reason('neither')).toContain('needs "command" (a program) or "url"')
  expect(reason('pigeon')).toContain('no plugin for transport "pigeon"')
  expect(reason('odd')).toContain('expected an object')
  expect(reason('settings')).toContain('mcpServers.settings.connectTimeout')
  expect(reason('off', 'disabled')).toContain('disabled')
  const log = proxy.log()
  for (const name of ['misspelt', 'typed', 'missing', 'neither', 'pigeon', 'odd', 'settings']) {
    expect(log).toMatch(new RegExp(`error \\[.*${name}\\] invalid: `))
  }
  expect(await names(wire)).toHaveLength(3)
})

it('all faults at once leave the healthy server as it is', async () => {
  const quick = { connectTimeout: 3000, requestTimeout: 1500 }
  const modes = ['exit', 'garbage', 'silent', 'silent-call', 'wrong-id', 'twins', 'pages', 'crash-call']
  const { call } = await open(Object.fromEntries(modes.map((mode) => [mode, { ...servers.fault(mode), ...quick }])))
  const bad = modes.flatMap((mode) => [call(`${mode}_echo`), call(`${mode}_page_1`)])
  const good = Array.from({ length: 50 }, (_, index) => call('healthy_echo', { text: `${index}` }))
  const texts = (await Promise.all(good)).map(({ result }) => result.content[0].text)
  expect(texts).toEqual(good.map((_, index) => `${index}`))
  const kinds = (await Promise.all(bad)).map(({ error, result }) => error?.code ?? (result.content ? 'result' : 'odd'))
  expect(kinds.filter((kind) => ![-32602, -32603, 'result'].includes(kind))).toEqual([])
})

it('wrong parameters are the caller’s mistake, told at once', async () => {
  const { wire } = await open({})
  for (const [method, params] of [
    ['tools/call', { name: 'unknown' }],
    ['tools/call', { name: 7 }],
    ['tools/call', {}],
    ['tools/call', undefined],
    ['prompts/get', { name: {} }],
    ['resources/read', { uri: [] }],
    ['completion/complete', { ref: 'x' }],
    ['tools/list', { cursor: 'garbage' }],
    ['tools/list', { cursor: 7 }],
  ] as const) {
    expect((await wire.request(method, params)).error).toMatchObject({ code: -32602, message: expect.any(String) })
  }
})
