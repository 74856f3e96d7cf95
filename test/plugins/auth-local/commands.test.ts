import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { dispose, folder, freePort, run, type Running } from '../../fixtures/cli/run.ts'
import { ROOT } from '../../harness.ts'
import { ALICE, clientsOf, PASSWORD, type Clients } from './client.ts'
import { textsBelow } from './support.ts'

const CLI = join(ROOT, 'core/cli.ts')
const NEW = 'canary second password'

// Several processes one after the other in most of them.
vi.setConfig({ testTimeout: 120_000 })

let cwd: string
let env: Record<string, string>
let proxy: Running
let clients: Clients
/** Everything any command said. */
let said = ''

beforeAll(async () => {
  cwd = await folder()
  const port = await freePort()
  env = {
    MCP_AUTH_PROVIDER: 'local',
    MCP_DATA_DIR: join(cwd, 'data'),
    MCP_PORT: String(port),
    MCP_LOG_LEVEL: 'trace',
    MCP_LOG_FORMAT: 'json',
  }
  clients = clientsOf(`http://localhost:${port}`, fetch)
  proxy = run(CLI, [], { cwd, env })
  await proxy.until(/^ready http/m)
})

afterAll(async () => {
  proxy.child.kill('SIGTERM')
  await proxy.ended
  await dispose()
})

interface Said {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** `mcp-proxy-server users …` while the proxy runs. */
async function users(args: readonly string[], input = ''): Promise<Said> {
  const child = spawn(process.execPath, [CLI, 'users', ...args], {
    cwd,
    env: { PATH: process.env.PATH, ...env, MCP_LOG_LEVEL: 'info' },
  })
  const texts = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.err += text))
  child.stdin.on('error', () => undefined).end(input)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  said += texts.out + texts.err
  return { code, ...texts }
}

const file = async (): Promise<any> => JSON.parse(await readFile(join(cwd, 'data/users.json'), 'utf8'))

/** The command on a terminal of its own. */
async function onTerminal(steps: readonly (readonly [string, string])[], ...args: string[]): Promise<string> {
  const argv = [join(import.meta.dirname, 'terminal.py'), JSON.stringify(steps), process.execPath, CLI, ...args]
  const child = spawn('python3', argv, { cwd, env: { PATH: process.env.PATH, TERM: 'xterm', ...env } })
  let shown = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (shown += text))
  }
  await new Promise((resolve) => child.once('close', resolve))
  said += shown
  return shown
}

test('a proxy that nobody can log in to says how to change that', async () => {
  await proxy.until(/nobody has a password yet; add somebody: mcp-proxy-server users add/)
})

test('who is added can log in', async () => {
  const options = ['--name', 'Alice', '--role', 'dev', '--tools', 'time_*', '--tools', 'git_*']
  const added = await users(['add', 'Alice@Example.com', ...options, '--password-stdin'], `${PASSWORD}\n`)
  expect(added).toMatchObject({ code: 0, out: expect.stringContaining(`${ALICE} can log in now`) })
  expect(await file()).toEqual({ [ALICE]: { name: 'Alice', roles: ['dev'], allowed_tools: ['time_*', 'git_*'] } })

  const canLogIn = async (): Promise<boolean> =>
    (await clients.toClient(await clients.toLogin())).searchParams.has('code')
  // Not more often: each one is a try, and there are ten.
  await expect.poll(canLogIn, { timeout: 15_000, interval: 1000 }).toBe(true)
})

test('who is there is listed, and not added again', async () => {
  const again = await users(['add', ALICE, '--password-stdin'], `${NEW}\n`)
  expect(again).toMatchObject({ code: 1, out: '', err: expect.stringContaining('is a user already') })
  expect((await users(['list'])).out).toMatch(/^alice@example\.com {2}Alice {2}dev {4}time_\*, git_\* {2}yes$/m)
})

test('a new password ends logins at their refresh', async () => {
  const login = await clients.tokens()
  expect((await clients.mcp(login.tokens.access_token)).status).toBe(200)
  expect(await users(['passwd', ALICE, '--password-stdin'], `${NEW}\n`)).toMatchObject({ code: 0 })
  expect((await clients.refresh(login)).status).toBe(400)
  expect((await clients.mcp(login.tokens.access_token)).status).toBe(401)
})

test('who is removed is logged out', async () => {
  const { tokens } = await clients.tokens(NEW)
  expect((await clients.mcp(tokens.access_token)).status).toBe(200)
  expect(await users(['remove', ALICE])).toMatchObject({ code: 0, out: expect.stringContaining('Removed') })
  expect(await file()).toEqual({})
  const status = async (): Promise<number> => (await clients.mcp(tokens.access_token)).status
  await expect.poll(status, { timeout: 15_000 }).toBe(401)
  expect(await users(['remove', ALICE])).toMatchObject({ code: 1, err: expect.stringContaining('There is no user') })
  expect((await users(['list'])).out).toBe('There are no users yet.\n')
})

test('a password is typed on a terminal, and does not show', async () => {
  const steps = [
    ['New password', `${PASSWORD}\r`],
    ['Once more', `${PASSWORD}\r`],
  ] as const
  const shown = await onTerminal(steps, 'users', 'add', 'bob@example.com')
  expect(shown).toContain('bob@example.com can log in now')
  expect(shown).toContain('ended 0, echo on, 0 steps left')
  expect((await users(['list'])).out).toMatch(/^bob@example\.com .* yes$/m)
})

test('Ctrl-C leaves the terminal and everything else as it was', async () => {
  const steps = [
    ['New password', `${PASSWORD}\r`],
    ['Once more', '\u0003'],
  ] as const
  expect(await onTerminal(steps, 'users', 'add', 'carol@example.com')).toContain('ended 130, echo on, 0 steps left')
})

test.each([
  [['bogus'], '', 64],
  [['add', 'carol@example.com'], '', 64],
  [['add', 'carol@example.com', '--password-stdin'], 'short\n', 1],
  [['passwd', 'carol@example.com', '--password-stdin'], `${PASSWORD}\n`, 1],
])('users %j fails, and says so on standard error only', async (args, input, code) => {
  const answer = await users(args, input)
  expect(answer).toMatchObject({ code, out: '' })
  expect(answer.err).not.toBe('')
})

test('what failed has changed nothing', async () => {
  expect((await users(['list'])).out).not.toContain('carol')
  expect(await file()).not.toHaveProperty(['carol@example.com'])
})

test('--help is no failure', async () => {
  expect(await users(['--help'])).toMatchObject({
    code: 0,
    out: expect.stringContaining('Usage: mcp-proxy-server users'),
  })
})

test('no password was said, logged or kept by any of them', async () => {
  expect(said + proxy.output()).not.toContain('canary')
  for (const text of await textsBelow(cwd)) expect(text).not.toMatch(/canary|\$scrypt\$/)
})
