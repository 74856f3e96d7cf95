import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../../core/config/load.ts'
import { failure, folder, load, servers } from './folder.ts'

const ONE = servers({ one: { command: 'x' } })
const TWO = servers({ two: { command: 'x' } })
const MAIN = `export default { port: 1001, host: 'localhost', log: { level: 'warn' }, mcpServers: { main: { command: 'x' } } }`

const names = (config: Awaited<ReturnType<typeof load>>) => config.servers.map((server) => server.name)

test('no file and no variable: no servers, and how to add one', async () => {
  const cwd = folder()
  const config = await load(cwd)
  expect(config.servers).toEqual([])
  expect(config.files).toEqual([])
  expect(config.warnings).toHaveLength(1)
  expect(config.warnings[0]).toContain(join(cwd, 'mcp-proxy.config.ts'))
  expect(config.warnings[0]).toContain('MCP_CONFIG_PATH')
})

test('flag over environment over .env over file over default', async () => {
  const cwd = folder({
    'mcp-proxy.config.ts': MAIN,
    '.env': 'MCP_PORT=1002\nMCP_LOG_LEVEL=debug\nMCP_HOST=127.0.0.2\nMCP_RESTART_DELAY=0.25\n',
  })
  const config = await load(cwd, { env: { MCP_PORT: '1003', MCP_HOST: '127.0.0.3' }, overrides: { port: 1004 } })
  expect(config).toMatchObject({
    port: 1004,
    host: '127.0.0.3',
    log: { level: 'debug', user: 'email' },
    restartDelay: 250,
    nameLimit: 64,
  })
  expect((await load(cwd, { env: {} })).port).toBe(1002)
  rmSync(join(cwd, '.env'))
  expect(await load(cwd, { env: {} })).toMatchObject({ port: 1001, host: 'localhost', log: { level: 'warn' } })
})

test('.env fills variables of entries, keeps "$", and an empty variable counts as not set', async () => {
  const cwd = folder({
    '.env': 'TOKEN="a$b${c}"\nMCP_HOST=\nMCP_SECRET=pa$$word\n',
    'mcp_config.json': servers({ a: { command: 'x', env: { T: '${TOKEN}' } } }),
  })
  const env = {}
  const config = await load(cwd, { env })
  expect(config.servers[0]?.entry).toEqual({ command: 'x', env: { T: 'a$b${c}' } })
  expect(config.secret).toBe('pa$$word')
  expect(config.host).toBe('127.0.0.1')
  expect(env).toHaveProperty('TOKEN')
})

test('the servers of MCP_CONFIG_PATH replace those of the main file', async () => {
  const cwd = folder({ 'mcp-proxy.config.ts': MAIN, 'one.json': ONE, 'mcp_config.json': TWO })
  const config = await load(cwd, { env: { MCP_CONFIG_PATH: 'one.json' } })
  expect(names(config)).toEqual(['one'])
  expect(config.port).toBe(1001)
  expect(config.files).toEqual([join(cwd, 'mcp-proxy.config.ts'), join(cwd, 'one.json')])
  expect(config.warnings).toEqual([])
})

test('an mcp_config.json beside the main file does the same, and says so', async () => {
  const cwd = folder({ 'mcp-proxy.config.ts': MAIN, 'mcp_config.json': TWO })
  const config = await load(cwd)
  expect(names(config)).toEqual(['two'])
  expect(config.warnings).toEqual([expect.stringContaining('replaces the 1 servers of the main file')])
})

test('relative paths of variables start where the command was typed', async () => {
  const cwd = folder({ 'one.json': TWO })
  const typedIn = folder({ 'one.json': ONE, secret: 'from the file\n' })
  const env = { INIT_CWD: typedIn, MCP_CONFIG_PATH: 'one.json', MCP_DATA_DIR: 'state', MCP_SECRET_FILE: 'secret' }
  const config = await load(cwd, { env })
  expect(names(config)).toEqual(['one'])
  expect(config.dataDir).toBe(join(typedIn, 'state'))
  expect(config.secret).toBe('from the file')
  expect((await load(cwd, { env: { INIT_CWD: typedIn } })).dataDir).toBe(join(cwd, 'data'))
  expect(names(await load(cwd, { env: { MCP_CONFIG_PATH: 'one.json' } }))).toEqual(['two'])
})

test('--config names a main file or a JSON file', async () => {
  const cwd = folder({ 'mcp-proxy.config.ts': MAIN, 'one.json': ONE, 'two.json': TWO })
  const elsewhere = folder({ 'my.ts': 'export default { port: 2000, mcpServers: { mine: { command: "x" } } }' })
  const json = await load(cwd, { file: 'one.json', env: { MCP_CONFIG_PATH: 'two.json' } })
  expect([names(json), json.port]).toEqual([['one'], 1001])
  const script = await load(cwd, { file: join(elsewhere, 'my.ts') })
  expect([names(script), script.port, script.rootDir]).toEqual([['mine'], 2000, elsewhere])
  expect(await failure(cwd, { file: 'one.yaml' })).toContain('expected a .ts, .mts, .js, .mjs or .json file')
})

test('a named file that is missing is permanent and names what named it', async () => {
  const cwd = folder()
  expect(await failure(cwd, { env: { MCP_CONFIG_PATH: 'no.json' } })).toBe(
    `MCP_CONFIG_PATH: ${join(cwd, 'no.json')}: no such file`,
  )
  expect(await failure(cwd, { file: 'no.ts' })).toBe(`--config: ${join(cwd, 'no.ts')}: no such file`)
  expect(await failure(cwd, { file: 'no.json' })).toBe(`--config: ${join(cwd, 'no.json')}: no such file`)
  expect(await failure(cwd, { env: { MCP_SECRET_FILE: 'no' } })).toBe(
    `MCP_SECRET_FILE: ${join(cwd, 'no')}: no such file`,
  )
})

/** A file whose reading fails with EIO for everybody, root included. */
function unreadable(path: string): void {
  symlinkSync('/proc/self/mem', path)
}

test.runIf(process.platform === 'linux')(
  'a file that cannot be read is tried again, and found once it can (Linux: /proc gives the EIO)',
  async () => {
    const cwd = folder()
    const path = join(cwd, 'one.json')
    unreadable(path)
    const delays: number[] = []
    const said: string[] = []
    const config = await load(cwd, {
      env: { MCP_CONFIG_PATH: path },
      onRetry: (message) => said.push(message),
      wait: (delay) => {
        delays.push(delay)
        if (delays.length === 2) {
          rmSync(path)
          writeFileSync(path, ONE)
        }
        return Promise.resolve()
      },
    })
    expect(names(config)).toEqual(['one'])
    expect(delays).toEqual([1000, 2000])
    expect(said[0]).toMatch(/^MCP_CONFIG_PATH: .*one\.json: cannot be read: EIO.*; trying again in 1 s$/)
  },
)

test.runIf(process.platform === 'linux')('after MCP_MAX_RETRIES it gives up (Linux: /proc gives the EIO)', async () => {
  const cwd = folder()
  unreadable(join(cwd, 'one.json'))
  const delays: number[] = []
  const wait = (delay: number) => Promise.resolve(delays.push(delay))
  const message = await failure(cwd, { env: { MCP_CONFIG_PATH: 'one.json' }, wait })
  expect(delays).toEqual([1000, 2000, 4000])
  expect(message).toMatch(/EIO.*\(tried 4 times\)$/)
  const none = await failure(cwd, { env: { MCP_CONFIG_PATH: 'one.json', MCP_MAX_RETRIES: '0' } })
  expect(none).toMatch(/\(tried 1 times\)$/)
})

test('what will not pass is not tried again: a folder, a syntax error', async () => {
  const cwd = folder({ 'bad.json': '{' })
  mkdirSync(join(cwd, 'dir.json'))
  // `load` rejects with "waited" as soon as it waits.
  expect(await failure(cwd, { env: { MCP_CONFIG_PATH: 'dir.json' } })).toContain('EISDIR')
  expect(await failure(cwd, { env: { MCP_CONFIG_PATH: 'bad.json' } })).toContain('not valid JSON')
})

test.runIf(process.platform === 'linux')('waiting ends with the signal (Linux: /proc gives the EIO)', async () => {
  const cwd = folder()
  unreadable(join(cwd, 'one.json'))
  const controller = new AbortController()
  const loading = loadConfig({
    cwd,
    env: { MCP_CONFIG_PATH: 'one.json', MCP_MAX_RETRIES: '20' },
    onRetry: () => controller.abort(),
    signal: controller.signal,
  })
  await expect(loading).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
})
