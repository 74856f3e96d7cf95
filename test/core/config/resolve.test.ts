import { join } from 'node:path'
import { expect, test } from 'vitest'
import { defineConfig } from '../../../core/config/define.ts'
import type { Config } from '../../../core/config/define.ts'
import { DEFAULT_PLUGINS, resolveConfig } from '../../../core/config/resolve.ts'

const resolveWith = (env: NodeJS.ProcessEnv, config: Config = {}) => resolveConfig(config, { rootDir: '/x', env })

test('an empty configuration has every default', () => {
  expect(resolveWith({ MCP_LOG_FORMAT: 'json' })).toEqual({
    rootDir: '/x',
    typedIn: '/x',
    env: { MCP_LOG_FORMAT: 'json' },
    dataDir: '/x/data',
    files: [],
    watchFiles: [],
    host: '127.0.0.1',
    port: 8080,
    baseUrl: 'http://localhost:8080',
    baseUrlIsDefault: true,
    mcpPath: '/mcp',
    allowUnauthenticated: false,
    allowedHosts: [],
    allowedOrigins: [],
    trustedProxies: [],
    secret: undefined,
    plugins: ['transport-stdio', 'transport-streamable', 'transport-sse', 'storage-fs', 'reload'],
    servers: [],
    nameLimit: 64,
    limits: {
      bodyBytes: 4_194_304,
      messageBytes: 33_554_432,
      requestCeiling: 900_000,
      firstListWait: 5_000,
      sessionLife: 2_592_000_000,
    },
    log: { level: 'info', format: 'json', user: 'email' },
    restartDelay: 1_000,
    liveReload: false,
    warnings: [],
  })
})

test('an entry has every default of its settings, and its own name as prefix', () => {
  const [server] = resolveWith({}, { mcpServers: { time: { command: 'x' } } }).servers
  expect(server?.settings).toEqual({
    disabled: false,
    prefix: 'time',
    tools: { include: ['*'], exclude: [] },
    lazy: false,
    idleStop: 600_000,
    connectTimeout: 60_000,
    requestTimeout: 60_000,
    protocol: 'auto',
  })
})

test.each([
  [undefined, undefined, 'time'],
  [false, undefined, false],
  [false, true, 'time'],
  [true, false, false],
  [false, 'clock', 'clock'],
  [true, '', false],
] as const)('prefix %s at the top and %s in the entry give %s', (top, own, prefix) => {
  const entry = { command: 'x', ...(own === undefined ? {} : { prefix: own }) }
  const config = { ...(top === undefined ? {} : { prefix: top }), mcpServers: { time: entry } }
  expect(resolveWith({}, config).servers[0]?.settings.prefix).toBe(prefix)
})

test('every variable reaches its place', () => {
  const config = resolveWith({
    MCP_DATA_DIR: 'state',
    MCP_HOST: '[::1]',
    MCP_PORT: ' 9000 ',
    MCP_ALLOW_UNAUTHENTICATED: 'true',
    MCP_BASE_URL: 'https://mcp.example.com/',
    MCP_PATH_PREFIX: '/team/a/',
    MCP_SECRET: 'one,two',
    MCP_ALLOWED_ORIGINS: 'https://a.example, vscode-webview://b',
    MCP_ALLOWED_HOSTS: 'a.example,b.example:8443,',
    MCP_TRUSTED_PROXIES: '10.0.0.0/8,::1',
    MCP_LIVE_RELOAD: '1',
    MCP_RESTART_DELAY: '0.5',
    MCP_LOG_LEVEL: 'trace',
    MCP_LOG_FORMAT: 'pretty',
    MCP_LOG_USER: 'hash',
  })
  expect(config).toMatchObject({
    dataDir: join('/x', 'state'),
    host: '::1',
    port: 9000,
    allowUnauthenticated: true,
    baseUrl: 'https://mcp.example.com',
    baseUrlIsDefault: false,
    mcpPath: '/team/a/mcp',
    secret: 'one,two',
    allowedOrigins: ['https://a.example', 'vscode-webview://b'],
    allowedHosts: ['a.example', 'b.example:8443'],
    trustedProxies: ['10.0.0.0/8', '::1'],
    liveReload: true,
    restartDelay: 500,
    log: { level: 'trace', format: 'pretty', user: 'hash' },
  })
})

test('lists of the file and of the environment add up', () => {
  const config = resolveWith({ MCP_ALLOWED_HOSTS: 'b' }, { allowedHosts: ['a'] })
  expect(config.allowedHosts).toEqual(['a', 'b'])
})

test.each([
  ['MCP_PORT', '99999', 'a whole number from 0 to 65535'],
  ['MCP_PORT', 'abc', 'a whole number from 0 to 65535'],
  ['MCP_PORT', '-1', 'a whole number from 0 to 65535'],
  ['MCP_PORT', '80.5', 'a whole number from 0 to 65535'],
  ['MCP_HOST', 'http://x', 'a host name or an IP address'],
  ['MCP_ALLOW_UNAUTHENTICATED', 'maybe', 'expected 1, 0 or local'],
  ['MCP_PATH_PREFIX', '../x', 'path segments'],
  ['MCP_PATH_PREFIX', 'a?b', 'path segments'],
  ['MCP_AUTH_PROVIDER', 'google', '"oauth_proxy"|"oidc"|"local"|"none"'],
  ['MCP_ALLOWED_ORIGINS', 'https://a/path', 'an origin'],
  ['MCP_ALLOWED_HOSTS', 'https://a', '"host" or "host:port"'],
  ['MCP_TRUSTED_PROXIES', '10.0.0.0/33', 'CIDR'],
  ['MCP_MAX_RETRIES', 'many', 'a whole number from 0 to 20'],
  ['MCP_RESTART_DELAY', '1s', 'seconds from 0 to 86400'],
  ['MCP_LOG_LEVEL', 'verbose', '"error"|"warn"|"info"|"debug"|"trace"'],
  ['MCP_LOG_FORMAT', 'xml', '"pretty"|"json"'],
  ['MCP_LOG_USER', 'no', '"email"|"hash"'],
])('%s=%s names the variable, the value and what is allowed', (name, value, allowed) => {
  const attempt = () => resolveWith({ [name]: value })
  expect(attempt).toThrow(expect.objectContaining({ code: 'ERR_PROXY_CONFIG' }))
  expect(attempt).toThrow(`${name}: "${value}" is not allowed; `)
  expect(attempt).toThrow(allowed)
})

test('a wrong flag is named as the flag', () => {
  expect(() => resolveConfig({}, { env: {}, flags: { port: 'x' } })).toThrow('--port: "x" is not allowed')
})

test('MCP_SECRET and MCP_SECRET_FILE exclude each other, and neither is shown', () => {
  expect(() => resolveWith({ MCP_SECRET: 'hush', MCP_SECRET_FILE: '/f' })).toThrow(/^(?!.*hush).*both set/)
})

test.each([
  ['https://a.example/mcp', /has a path; .*"https:\/\/a\.example".*MCP_PATH_PREFIX/],
  ['https://a.example/?x=1', /has a path/],
  ['ftp://a.example', /must begin with https/],
  ['a.example', /is no URL/],
  ['http://a.example', /MCP_INSECURE=1/],
  ['https://user:hush@a.example', /^(?!.*hush).*must not hold a user/],
])('MCP_BASE_URL=%s is refused', (value, message) => {
  expect(() => resolveWith({ MCP_BASE_URL: value })).toThrow(message)
  expect(() => resolveWith({ MCP_BASE_URL: value })).toThrow(/^MCP_BASE_URL: /)
})

test('http is fine for this machine, and elsewhere with MCP_INSECURE', () => {
  expect(resolveWith({ MCP_BASE_URL: 'http://localhost:9' }).baseUrl).toBe('http://localhost:9')
  expect(resolveWith({ MCP_BASE_URL: 'http://a.example', MCP_INSECURE: '1' }).baseUrl).toBe('http://a.example')
})

test.each([
  ['oauth_proxy', ['auth-auth0', 'access-users']],
  ['oidc', ['auth-oidc', 'access-users']],
  ['local', ['auth-local', 'access-users']],
  ['none', []],
])('MCP_AUTH_PROVIDER=%s adds its plugins, and the first alone may let callers in', (provider, added) => {
  const config = resolveWith({ MCP_AUTH_PROVIDER: provider })
  expect(config.plugins).toEqual([...DEFAULT_PLUGINS, ...added])
  expect(config.authPlugin).toBe(added[0] ?? 'none')
})

test.each([
  [undefined, '/x'],
  ['/typed', '/typed'],
  ['rel', join(process.cwd(), 'rel')],
])('what is typed in %s starts from %s', (typedIn, found) => {
  const config = resolveConfig({}, { rootDir: '/x', env: {}, ...(typedIn !== undefined && { typedIn }) })
  expect(config.typedIn).toBe(found)
})

test('a plugin that is listed already is not added again', () => {
  const plugins = [['auth-local', {}], { name: 'access-users', setup() {} }] as const
  expect(resolveWith({ MCP_AUTH_PROVIDER: 'local' }, { plugins }).plugins).toEqual(plugins)
})

test('a missing variable names the server, where, and what to set; a disabled server may lack it', () => {
  const entry = { command: 'x', env: { TOKEN: '${NOPE}' } }
  const { servers } = resolveWith({}, { mcpServers: { a: entry, b: { ...entry, disabled: true } } })
  expect(servers[0]?.problem).toBe('mcpServers.a.env.TOKEN: ${NOPE} has no value; set NOPE')
  expect(servers[1]?.problem).toBeUndefined()
})

test('the types refuse what the loader would', () => {
  const right: Config = {
    mcpServers: { a: { command: 'x', lazy: true }, b: { url: 'https://x', headers: { a: 'b' } } },
  }
  expect(defineConfig(right)).toBe(right)
  // @ts-expect-error -- misspelt key of an entry
  defineConfig({ mcpServers: { a: { comand: 'x' } } })
  // @ts-expect-error -- misspelt setting
  defineConfig({ mcpServers: { a: { command: 'x', lazzy: true } } })
  // @ts-expect-error -- misspelt key at the top
  defineConfig({ hots: 'x' })
})
