import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseEntry } from '../../../core/config/entry.ts'
import transportStdio from '../../../plugins/transport-stdio/index.ts'
import { adaptersOf } from './adapters.ts'
import { failure, folder, load, servers } from './folder.ts'

const FILE = 'mcp_config.json'

test('a Claude-format file with comments, trailing commas and a byte order mark', async () => {
  const cwd = folder({
    [FILE]: `\uFEFF{
  // servers
  "mcpServers": {
    "time": { "command": "uvx", "args": ["mcp-server-time",], },
    /* off for now */
    "old": { "url": "https://example.com/mcp", "disabled": true },
  },
}`,
  })
  const config = await load(cwd)
  expect(config.servers.map((server) => server.name)).toEqual(['time', 'old'])
  expect(config.servers[0]).toMatchObject({
    entry: { command: 'uvx', args: ['mcp-server-time'] },
    source: `${join(cwd, FILE)}:4`,
    strict: false,
  })
  expect(config.servers[1]?.settings.disabled).toBe(true)
  expect(config.warnings).toEqual([])
})

test("VS Code's servers and inputs", async () => {
  const text = JSON.stringify({
    inputs: [{ type: 'promptString', id: 'api-key', description: 'Key of the forge', password: true }],
    servers: { forge: { type: 'stdio', command: 'x', env: { KEY: '${input:api-key}' } }, other: { command: 'x' } },
  })
  const cwd = folder({ [FILE]: text })
  const found = await load(cwd, { env: { MCP_INPUT_API_KEY: 'k' } })
  expect(found.servers[0]).toMatchObject({ name: 'forge', entry: { env: { KEY: 'k' } } })
  expect(found.warnings).toEqual([])
  const missing = await load(cwd)
  expect(missing.servers[0]?.problem).toBe(
    `${join(cwd, FILE)}:1 servers.forge.env.KEY: \${input:api-key} has no value; set MCP_INPUT_API_KEY (Key of the forge)`,
  )
  expect(missing.servers[1]?.problem).toBeUndefined()
})

test('unknown keys of an entry are warned about with the nearest known name', async () => {
  const cwd = folder({ [FILE]: servers({ time: { command: 'uvx', arg: ['x'], autoApprove: [] } }) })
  const [server] = (await load(cwd)).servers
  const parsed = await parseEntry(server!, await adaptersOf(transportStdio()))
  const file = join(cwd, FILE)
  expect(parsed).toMatchObject({
    entry: { command: 'uvx' },
    warnings: [
      `${file}:5 mcpServers.time.arg: unknown key; did you mean "args"? (ignored)`,
      `${file}:8 mcpServers.time.autoApprove: unknown key (ignored)`,
    ],
  })
})

test('a misspelt "command" leaves nothing to start: the reason has the nearest name', async () => {
  const cwd = folder({ [FILE]: servers({ time: { comand: 'uvx' } }) })
  const [server] = (await load(cwd)).servers
  expect(await parseEntry(server!, await adaptersOf(transportStdio()))).toEqual({
    problem: `${join(cwd, FILE)}:4 mcpServers.time.comand: unknown key; did you mean "command"?`,
  })
})

test('unknown keys at the top: well-known ones pass in silence, a misspelt one is warned about', async () => {
  const text = '{\n  "globalShortcut": "",\n  "$schema": "x",\n  "mcpServer": { "a": { "command": "x" } }\n}'
  const cwd = folder({ [FILE]: text })
  const config = await load(cwd)
  expect(config.servers).toEqual([])
  expect(config.warnings).toEqual([`${join(cwd, FILE)}:4 mcpServer: unknown key, not read; did you mean "mcpServers"?`])
})

test('a server that is there twice is said', async () => {
  const cwd = folder({ [FILE]: '{"mcpServers": {\n"a": {"command": "x"},\n"a": {"command": "y"}}}' })
  const config = await load(cwd)
  expect(config.servers).toHaveLength(1)
  expect(config.servers[0]?.entry).toEqual({ command: 'y' })
  expect(config.warnings).toEqual([`${join(cwd, FILE)}:3 mcpServers.a: there twice; the last one counts`])
})

test('any name that is not empty is accepted, and harms nobody', async () => {
  const entries =
    '"my server.1/ü": {"command": "x"}, "__proto__": {"command": "x"}, "constructor": {"command": "x"}, "": {}'
  const cwd = folder({ [FILE]: `{"mcpServers": {${entries}}}` })
  const { servers: found } = await load(cwd)
  expect(found.map(({ name, problem }) => [name, problem === undefined])).toEqual([
    ['my server.1/ü', true],
    ['__proto__', true],
    ['constructor', true],
    ['', false],
  ])
})

test('a wrong type in one entry harms only that server', async () => {
  const cwd = folder({
    [FILE]: servers({ bad: { command: 'x', connectTimeout: '5s' }, none: null, good: { command: 'x' } }),
  })
  const [bad, none, good] = (await load(cwd)).servers
  expect(bad?.problem).toBe(
    `${join(cwd, FILE)}:5 mcpServers.bad.connectTimeout: expected milliseconds: a whole number from 1 to 2147483647`,
  )
  expect(none?.problem).toBe(`${join(cwd, FILE)}:7 mcpServers.none: expected an object`)
  expect(good?.problem).toBeUndefined()
})

test.each([
  ['{\n  "mcpServers": {\n    "a": { "command" "x" }\n  }\n}', /:3:22: not valid JSON: colon expected$/],
  ['{\n  "mcpServers": {', /:2:18: not valid JSON: close brace expected$/],
  ['', /:1:1: not valid JSON: value expected$/],
  ['[]', /:1: expected an object with "mcpServers"$/],
  ['{\n"mcpServers": []}', /:2 mcpServers: expected an object, a server per key$/],
])('%j is refused with its line', async (text, message) => {
  const cwd = folder({ [FILE]: text })
  const found = await failure(cwd)
  expect(found).toMatch(message)
  expect(found.startsWith(join(cwd, FILE))).toBe(true)
})
