import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Connection, TransportContext } from '../../../core/index.ts'
import transportStdio from '../../../plugins/transport-stdio/index.ts'
import { initialize, recorder, toolCall, transportContext, until } from '../../fixtures/transport/context.ts'
import { adapterOf, fixture } from '../../fixtures/transport/start.ts'

const open: Connection[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(open.splice(0).map((connection) => connection.close()))
})

async function start(entry: object, overrides: Partial<TransportContext> = {}, plugin = transportStdio()) {
  const adapter = await adapterOf(plugin)
  const told = transportContext({ name: 'x', ...overrides })
  const connection = await adapter.connect(entry, told.context)
  open.push(connection)
  return { connection, ...told }
}
const fault = (mode: string) => ({ command: process.execPath, args: [fixture('../fault-server.ts'), mode] })
const script = (code: string) => ({ command: process.execPath, args: ['-e', code] })
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('no error'),
    (error: unknown) => error,
  )

describe('a server that cannot be started', () => {
  test('command not found', async () => {
    await expect(start({ command: 'no-such-command' })).rejects.toThrow(
      'transport-stdio: command "no-such-command" not found (server "x"); check "command" or PATH',
    )
  })

  test('folder not found', async () => {
    await expect(start({ ...fault('echo'), cwd: '/no/such/folder' })).rejects.toThrow(
      'folder "/no/such/folder" not found (server "x"); check "cwd"',
    )
  })

  test('file that is no program', async () => {
    await expect(start({ command: fixture('../fault-server.ts') })).rejects.toThrow('may not be run')
  })

  test('given up before it began', async () => {
    await expect(start(fault('echo'), { signal: AbortSignal.abort() })).rejects.toThrow()
  })
})

describe('a server that misbehaves', () => {
  test('exits at once: its code and last words are told, its group is released', async () => {
    const { connection, groups } = await start(fault('exit'))
    const reason = await connection.closed
    expect(reason).toMatchObject({ delivered: true, lost: true })
    expect(reason?.message).toBe(
      'transport-stdio: server "x" exited with code 3; its last words: fault-server: cannot go on',
    )
    expect(groups.size).toBe(0)
    const late = await failureOf(connection.request(toolCall('echo'), recorder().exchange))
    expect(late).toMatchObject({ delivered: false, lost: true, message: expect.stringContaining('code 3') })
  })

  test('prints garbage: it is skipped and told', async () => {
    const { connection, lines } = await start(fault('garbage'))
    await initialize(connection)
    const response = await connection.request(toolCall('echo', { text: 'clean' }), recorder().exchange)
    expect(response).toMatchObject({ result: { content: [{ text: 'clean' }] } })
    const warnings = lines.filter((line) => line.startsWith('warn'))
    expect(warnings[0]).toContain('Listening …')
    expect(warnings).toHaveLength(5)
    await connection.close()
    expect(lines.findLast((line) => line.startsWith('warn'))).toMatch(/had \d+ more lines/)
  })

  test('answers with a wrong id: the request waits until it is given up, others pass', async () => {
    const { connection, lines } = await start(fault('wrong-id'))
    await initialize(connection)
    const stop = new AbortController()
    const { exchange } = recorder('alice', { signal: stop.signal })
    const lost = failureOf(connection.request(toolCall('echo'), exchange))
    await until(() => lines.some((line) => line.includes('a response to no open request')))
    await connection.request({ jsonrpc: '2.0', id: 'p', method: 'ping' }, recorder().exchange)
    stop.abort()
    expect(await lost).toMatchObject({ delivered: true, lost: false })
  })

  test('sends a line of 50 MB: that request fails with both sizes, the connection stays', async () => {
    const { connection, lines } = await start(fault('big-line'))
    const failure = await failureOf(connection.request(toolCall('echo'), recorder().exchange))
    expect(failure).toMatchObject({
      delivered: true,
      lost: false,
      message: expect.stringMatching(/server "x" sent a message of 524\d{5} bytes; at most 33554432 are accepted/),
    })
    expect(lines.some((line) => line.startsWith('warn') && line.includes('33554432'))).toBe(true)
    await connection.request({ jsonrpc: '2.0', id: 'p', method: 'ping' }, recorder().exchange)
  })

  test('crashes during a call', async () => {
    const { connection } = await start(fault('crash-call'))
    const failure = await failureOf(connection.request(toolCall('echo'), recorder().exchange))
    expect(failure).toMatchObject({
      delivered: true,
      lost: true,
      message: expect.stringMatching(/exited with code 7; its last words: .*something broke/),
    })
  })

  test('closes its output and lives on: it is ended', async () => {
    const { connection } = await start(
      script('process.stdout.destroy(); require("fs").closeSync(1); setInterval(() => {}, 1e6)'),
    )
    expect(await connection.closed).toMatchObject({ lost: true, message: expect.stringContaining('closed its output') })
  })

  test('does not read: what may wait is bounded, and its death frees the sender', async () => {
    const { connection, groups } = await start(script('setInterval(() => {}, 1e6)'), { maxMessageBytes: 3_000_000 })
    const note = { jsonrpc: '2.0' as const, method: 'notifications/x', params: { text: 'x'.repeat(2_000_000) } }
    const stuck = failureOf(connection.send(note))
    expect(await failureOf(connection.send(note))).toMatchObject({
      delivered: false,
      lost: false,
      message: expect.stringContaining('does not read its input'),
    })
    for (const pid of groups) process.kill(pid, 'SIGKILL')
    expect(await stuck).toMatchObject({ lost: true, message: expect.stringContaining('SIGKILL') })
  })
})

test('lines may come in pieces, with \\r\\n, cut within a character', async () => {
  const { connection } = await start(
    script(`process.stdin.once('data', async (line) => {
      const { id } = JSON.parse(line)
      const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result: { text: 'é☃𝕌' } }) + '\\r\\n\\r\\n')
      for (const byte of bytes) {
        process.stdout.write(Buffer.of(byte))
        await new Promise(setImmediate)
      }
    })`),
  )
  expect(await connection.request(toolCall('x'), recorder().exchange)).toMatchObject({ result: { text: 'é☃𝕌' } })
})

describe('environment', () => {
  const printEnv = script(`process.stdin.once('data', (line) =>
    console.log(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(line).id, result: process.env })))`)

  async function environmentOf(entry: object, plugin = transportStdio()): Promise<Record<string, unknown>> {
    vi.stubEnv('MCP_SECRET', 'top secret')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'another')
    vi.stubEnv('https_proxy', 'http://proxy.test:1')
    vi.stubEnv('npm_config_cache', '/tmp/cache')
    const { connection } = await start(entry, {}, plugin)
    const response = await connection.request(toolCall('x'), recorder().exchange)
    return 'result' in response ? response.result : {}
  }

  test('holds what programs need and what the entry says, and no secret of the proxy', async () => {
    const environment = await environmentOf({ ...printEnv, env: { TOKEN: 'mine', HOME: '/elsewhere' } })
    expect(environment).toMatchObject({
      PATH: process.env.PATH,
      https_proxy: 'http://proxy.test:1',
      npm_config_cache: '/tmp/cache',
      TOKEN: 'mine',
      HOME: '/elsewhere',
    })
    expect(JSON.stringify(environment)).not.toMatch(/secret/i)
  })

  test('passEnv adds to it', async () => {
    const environment = await environmentOf(printEnv, transportStdio({ passEnv: ['AWS_SECRET_ACCESS_KEY'] }))
    expect(environment).toMatchObject({ AWS_SECRET_ACCESS_KEY: 'another' })
    expect(environment).not.toHaveProperty('MCP_SECRET')
  })

  test('a misspelt option is refused', () => {
    expect(() => transportStdio(JSON.parse('{"passenv":[]}'))).toThrow('transport-stdio')
  })
})

describe('process group', () => {
  /** A leader with a child that ignores SIGTERM; the leader tells the child's pid in its first answer. */
  const family = (leader: string) =>
    script(`const child = require('child_process').spawn(process.execPath,
        ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1e6); console.error("up")'], { stdio: ['ignore', 'ignore', 'pipe'] })
      child.stderr.once('data', () => console.log(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { pid: child.pid } })))
      ${leader}`)

  async function startFamily(leader: string) {
    const started = await start(family(leader))
    const pid = await new Promise<number>((resolve) => {
      started.connection.onmessage = ({ params }) => resolve(Number(params?.pid))
    })
    expect(isAlive(pid)).toBe(true)
    expect(started.groups.size).toBe(1)
    return { ...started, pid }
  }

  test('close() ends a grandchild that ignores SIGTERM', async () => {
    const { connection, groups, pid } = await startFamily('process.stdin.on("end", () => process.exit(0)).resume()')
    await connection.close()
    expect(isAlive(pid)).toBe(false)
    expect(groups.size).toBe(0)
  })

  test('close() ends a server that ignores its closed stdin and SIGTERM', async () => {
    const { connection, groups, pid } = await startFamily('process.on("SIGTERM", () => {})')
    const [leader] = groups
    await connection.close()
    expect([isAlive(pid), isAlive(leader ?? 0)]).toEqual([false, false])
    expect(groups.size).toBe(0)
  })

  test('a server that ends by itself leaves no grandchild', async () => {
    const { connection, groups, pid } = await startFamily('setTimeout(() => process.exit(5), 500)')
    expect(await connection.closed).toMatchObject({ message: expect.stringContaining('exited with code 5') })
    expect(isAlive(pid)).toBe(false)
    expect(groups.size).toBe(0)
  })

  test('a group that cannot be recorded is not left behind', async () => {
    let leader = 0
    const processGroup = (pid: number) => {
      leader = pid
      throw new Error('disk full')
    }
    await expect(start(fault('echo'), { processGroup })).rejects.toThrow('disk full')
    await until(() => !isAlive(leader))
  })
})

/** Whether a process runs; one that has ended and was not reaped by its new parent does not. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
