import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseEntry } from '../../../core/config/entry.ts'
import transportStdio from '../../../plugins/transport-stdio/index.ts'
import { adaptersOf } from './adapters.ts'
import { failure, folder, load } from './folder.ts'

const MAIN = 'mcp-proxy.config.ts'

test('a typed main file gives options and servers', async () => {
  const cwd = folder({
    [MAIN]: `const port: number = 9123
export default {
  port,
  prefix: false,
  mcpServers: {
    time: { command: 'uvx', args: ['mcp-server-time'], requestTimeout: 5_000 },
    files: { command: 'npx', prefix: 'fs' },
  },
}
`,
  })
  const config = await load(cwd)
  expect(config.port).toBe(9123)
  expect(config.rootDir).toBe(cwd)
  expect(config.files).toEqual([join(cwd, MAIN)])
  expect(config.servers.map(({ name, source, strict }) => ({ name, source, strict }))).toEqual([
    { name: 'time', source: `${join(cwd, MAIN)}:6`, strict: true },
    { name: 'files', source: `${join(cwd, MAIN)}:7`, strict: true },
  ])
  expect(config.servers[0]?.settings).toMatchObject({ prefix: false, requestTimeout: 5_000, connectTimeout: 60_000 })
  expect(config.servers[0]?.entry).toEqual({ command: 'uvx', args: ['mcp-server-time'] })
  expect(config.servers[1]?.settings.prefix).toBe('fs')
  expect(config.warnings).toEqual([])
})

test.each(['mts', 'js', 'mjs'])('mcp-proxy.config.%s is found too', async (ending) => {
  const cwd = folder({
    [`mcp-proxy.config.${ending}`]: 'export default { port: 9001 }',
    'package.json': '{"type":"module"}',
  })
  expect((await load(cwd)).port).toBe(9001)
})

test('plugins by value arrive as they are, and arrays are not merged with the defaults', async () => {
  const cwd = folder({ [MAIN]: `export default { plugins: [{ name: 'mine', setup() {} }, ['a', { b: 1 }]] }` })
  const { plugins } = await load(cwd)
  expect(plugins).toHaveLength(2)
  expect(plugins[0]).toMatchObject({ name: 'mine', setup: expect.any(Function) })
  expect(plugins[1]).toEqual(['a', { b: 1 }])
})

test('a misspelt key at the top level names file, line and the nearest key', async () => {
  const cwd = folder({
    [MAIN]: `export default {\n  // hots: here it is only a comment\n  port: 1,\n  hots: 'x',\n}\n`,
  })
  expect(await failure(cwd)).toBe(`${join(cwd, MAIN)}:4 hots: unknown key; did you mean "host"?`)
})

test('every wrong top-level key is named, also inside limits and log', async () => {
  const cwd = folder({
    [MAIN]: `export default {
  limits: { bodyBites: 1 },
  log: {
    level: 'loud',
  },
  port: '80',
  plugins: [5],
}`,
  })
  const lines = (await failure(cwd)).split('\n')
  const file = join(cwd, MAIN)
  expect(lines).toContain(`${file}:2 limits.bodyBites: unknown key; did you mean "bodyBytes"?`)
  expect(lines).toContain(`${file}:4 log.level: expected one of "error"|"warn"|"info"|"debug"|"trace"`)
  expect(lines).toContain(`${file}:6 port: expected a whole number from 0 to 65535`)
  expect(lines).toContain(`${file}:7 plugins[0]: expected a plugin, its name, or [name, options]`)
  expect(lines).toHaveLength(4)
})

test('null is a wrong type, not a missing key', async () => {
  const cwd = folder({ [MAIN]: 'export default { host: null }' })
  expect(await failure(cwd)).toMatch(/:1 host: expected a host name/)
})

test('a misspelt key in an entry makes only that server invalid, at its line', async () => {
  const cwd = folder({
    [MAIN]: `export default {
  mcpServers: {
    good: { command: 'x', env: { time: 'a' } },
    time: {
      comand: 'x',
    },
    late: { command: 'x', cwdd: '/' },
  },
}`,
  })
  const { servers } = await load(cwd)
  const parsed = await Promise.all(
    servers.map(async (server) => parseEntry(server, await adaptersOf(transportStdio()))),
  )
  expect(parsed[0]).toMatchObject({ entry: { command: 'x' }, warnings: [] })
  const file = join(cwd, MAIN)
  expect(parsed[1]).toEqual({ problem: `${file}:5 mcpServers.time.comand: unknown key; did you mean "command"?` })
  expect(parsed[2]).toEqual({ problem: `${file}:7 mcpServers.late.cwdd: unknown key; did you mean "cwd"?` })
})

test('a setting of a wrong type makes only that server invalid', async () => {
  const cwd = folder({
    [MAIN]: `export default {
  mcpServers: {
    a: { command: 'x',
      lazy: 'yes', tools: { exlude: [] } },
    b: 'uvx',
    c: { command: 'x' },
  },
}`,
  })
  const [a, b, c] = (await load(cwd)).servers
  const file = join(cwd, MAIN)
  expect(a?.problem).toBe(
    `${file}:4 mcpServers.a.tools.exlude: unknown key; did you mean "exclude"?; ` +
      `${file}:4 mcpServers.a.lazy: expected boolean, received string`,
  )
  expect(b?.problem).toBe(`${file}:5 mcpServers.b: expected an object`)
  expect(c?.problem).toBeUndefined()
})

test('a syntax error names file, line and column', async () => {
  const cwd = folder({ [MAIN]: `export default {\n  port: 8080,\n  mcpServers: { a: { command: 'x' 'y' } },\n}\n` })
  expect(await failure(cwd)).toMatch(new RegExp(`^${join(cwd, MAIN)}:3:\\d+: syntax error: `))
})

test('a throw while evaluating names file and line', async () => {
  const cwd = folder({ [MAIN]: `const a: number = 1\n\nthrow new Error('no luck ' + a)\nexport default {}\n` })
  expect(await failure(cwd)).toBe(`${join(cwd, MAIN)}:3: cannot be evaluated: no luck 1`)
})

test('an import that is not installed names the line', async () => {
  const cwd = folder({ [MAIN]: `const a = 1\nimport x from 'no-such-plugin'\nexport default { plugins: [x, a] }\n` })
  expect(await failure(cwd)).toMatch(
    new RegExp(`^${join(cwd, MAIN)}:2: cannot be evaluated: Cannot find .*no-such-plugin`),
  )
})

test('a file without a default export says so', async () => {
  const cwd = folder({ [MAIN]: 'export const config = { port: 1 }\n' })
  expect(await failure(cwd)).toContain(`${join(cwd, MAIN)}:1: no default export`)
})
